#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

// A thin SQL interface: numbered parameters ($1), rows by value, transactions. Statements are kept
// to what SQLite and PostgreSQL both understand; where one could not be, the statement says so.
namespace curfew::store {

struct Blob {
  std::string bytes;
  bool operator==(const Blob&) const = default;
};

// NULL, BIGINT, TEXT, BLOB.
using Value = std::variant<std::monostate, std::int64_t, std::string, Blob>;

// Whether `text` may stand in a TEXT column of every database: UTF-8 without a zero byte.
bool is_storable_text(std::string_view text);

// One row of a result. Asking for a column as another type than it has aborts: it is a bug in the
// statement.
class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  bool is_null(std::size_t column) const;
  std::int64_t integer(std::size_t column) const;
  std::optional<std::int64_t> integer_or_null(std::size_t column) const;
  const std::string& text(std::size_t column) const;
  const std::string& blob(std::size_t column) const;

 private:
  std::vector<Value> values_;
};

// Reads in one consistent view. Belongs to the function it was handed to.
class Reader {
 public:
  virtual ~Reader() = default;
  // All rows. TEXT compares byte by byte. kUnavailable: the database failed; kCorrupt: it says that
  // its file is damaged; kInvalidArgument: a text parameter is not storable; kTooLarge: more rows
  // than the database's bound (page with LIMIT); kInternal: the statement is wrong.
  virtual Result<std::vector<Row>> query(std::string_view sql,
                                         const std::vector<Value>& parameters = {}) const = 0;
  // The first row, or nullopt.
  Result<std::optional<Row>> query_one(std::string_view sql,
                                       const std::vector<Value>& parameters = {}) const;
};

// Once a statement of a write has failed, the whole write fails with that error, whatever its
// function returns: that is how PostgreSQL behaves, and no half of a change can slip through.
class Writer : public Reader {
 public:
  // The number of rows changed. Errors as of query(); kConflict: a constraint was violated.
  virtual Result<std::int64_t> execute(std::string_view sql,
                                       const std::vector<Value>& parameters = {}) = 0;
};

// A database. Thread-safe.
class Database {
 public:
  virtual ~Database() = default;

  // Runs `reader` in a read transaction in the calling thread. It sees every write that returned
  // before. Not to be nested. kOverloaded: no connection came free in time.
  virtual Status read(const std::function<Status(const Reader&)>& reader) const = 0;

  // Runs `writer` alone (one writer at a time, in an order that is also the order of commit),
  // possibly in another thread, and returns when its changes are on stable storage. When `writer`
  // or the commit fails nothing of it remains and the error is returned. `writer` must not block,
  // throw, or use the database by another way (kInternal). kUnavailable: the commit failed (disk
  // full, I/O error); the message says what to do. kOverloaded: too many writes are waiting.
  virtual Status write(const std::function<Status(Writer&)>& writer) = 0;

  // Returns when no file of the database holds what was deleted or replaced before the call.
  // (Backups do, and so may blocks that the file system has given back.) kUnavailable: not yet,
  // because of reads without a gap or the disk; it is tried again with every later write.
  virtual Status forget_deleted() = 0;
};

}  // namespace curfew::store
