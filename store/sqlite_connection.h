#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "store/sql.h"

namespace curfew::store {

struct SqliteConnectionOptions {
  bool read_only = true;
  int busy_timeout_ms = 5'000;
  std::int64_t cache_kib = 4'096;
  std::size_t rows_max = 1'000'000;  // of one query
  std::size_t statements_max = 256;  // prepared and kept
  const char* vfs = nullptr;         // SQLite's name of the file layer; nullptr: the system's
  const char* synchronous = "FULL";  // of the writing connection
};

// One connection to an SQLite file, with its prepared statements. Refuses statements that would
// steer the transaction, attach files or change settings: those are made here alone.
//
// Thread-safety: one thread at a time.
class SqliteConnection final : public Writer {
 public:
  // The file exists. Errors as explain() gives them.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::string& path,
                                                        const SqliteConnectionOptions& options);
  ~SqliteConnection() override;
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  Result<std::vector<Row>> query(std::string_view sql,
                                 const std::vector<Value>& parameters = {}) const override;
  Result<std::int64_t> execute(std::string_view sql,
                               const std::vector<Value>& parameters = {}) override;

  // Runs one statement that is not limited to what execute() allows (BEGIN, PRAGMA); gives the
  // first column of its first row as text, or "".
  Result<std::string> control(std::string_view sql);

  // Runs BEGIN, COMMIT, SAVEPOINT and their like; kept prepared.
  Status steer(std::string_view sql);

  // False also when SQLite has ended the transaction by itself, as it does when the disk is full.
  bool in_transaction() const;

  // The first error of query() or execute() since this was asked before.
  std::optional<Error> take_failure();

  struct WalState {
    int pages = 0;         // in the write-ahead log
    int pages_copied = 0;  // of those, already in the database file
  };
  // Copies the log into the database file. With `truncate` the log is emptied too, which fails with
  // kUnavailable while somebody reads. Waits for nobody.
  Result<WalState> checkpoint(bool truncate);

  // The pages of the log after the last commit of this connection.
  int wal_pages() const { return wal_pages_; }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  struct Statement {
    std::unique_ptr<sqlite3_stmt, Finalize> handle;
    std::vector<std::size_t> numbers;  // [i]: which parameter SQLite's (i+1)-th one is, from 0
    std::size_t parameters = 0;
    std::vector<int> column_types;  // SQLite's code for what the schema declares; 0: an expression
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  SqliteConnection(sqlite3* handle, const SqliteConnectionOptions& options)
      : handle_(handle), options_(options) {}

  Status configure();
  Result<Statement> prepare(std::string_view sql) const;
  Result<Statement*> cached(std::string_view sql) const;
  Status bind(const Statement& statement, const std::vector<Value>& parameters) const;
  Result<std::vector<Row>> run(std::string_view sql, const std::vector<Value>& parameters) const;
  Result<Row> current_row(const Statement& statement) const;
  Error explain(int code) const;
  Error failed(Error error) const;

  sqlite3* handle_;
  const SqliteConnectionOptions options_;
  bool restricted_ = false;
  int wal_pages_ = 0;
  mutable std::optional<Error> failure_;
  using Statements = std::unordered_map<std::string, Statement, Hash, std::equal_to<>>;
  mutable Statements statements_;
  Statements steering_;  // apart, so that execute() cannot reach them
};

// What an SQLite result code means to the program. `detail` goes to the operator's log.
Error explain_sqlite(int extended_code, std::string detail);

}  // namespace curfew::store
