#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "store/group_commit.h"
#include "store/sql.h"

namespace curfew::store {

struct SqliteOptions {
  GroupCommitOptions commit = {};
  std::size_t readers = 4;        // connections that read; each keeps up to 4 MiB of pages
  Millis reader_wait_max{5'000};  // how long a read waits for one of them
  Millis busy_wait_max{5'000};    // how long a foreign program that holds the file is waited for
  std::int64_t writer_cache_kib = 16'384;
  std::size_t rows_max = 1'000'000;  // of one query
  int checkpoint_pages = 1'000;      // copy the log into the file when it has so many (4 KiB each)
  int wal_pages_max = 16'384;        // hold back readers for a moment to empty a log of this size
  std::string vfs = {};              // SQLite's file layer, for tests; empty: the system's
};

// An embedded database: one file in WAL mode, flushed at every commit. One connection, in one
// thread, writes and checkpoints; a few others read and never block it. Programs other than the
// server must not write to the file, and may read it only with a read-only connection.
//
// Thread-safe.
class SqliteDatabase final : public Database {
 public:
  ~SqliteDatabase() override;

  Status read(const std::function<Status(const Reader&)>& reader) const override;
  Status write(const std::function<Status(Writer&)>& writer) override;
  Status forget_deleted() override;

  CommitStats stats() const;

 private:
  friend Result<std::unique_ptr<SqliteDatabase>> open_sqlite(const std::string& path,
                                                             const SqliteOptions& options,
                                                             Log& log);
  struct Parts;
  explicit SqliteDatabase(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

// Opens the database at `path`, creating it with mode 600 when it does not exist, and brings its
// schema up to date. Takes a lock (`path`.lock) that keeps a second server out and that ends with
// the process. An empty path opens a private, temporary database that is removed on close and not
// flushed to disk: for tests and development. Takes milliseconds, however large the file is.
//
// kUnavailable: held by another server, or the disk or directory cannot be used;
// kPreconditionFailed: another program's file, or of a newer Curfew; kCorrupt: damaged. Messages
// say what the operator is to do. `log` outlives the database.
Result<std::unique_ptr<SqliteDatabase>> open_sqlite(const std::string& path,
                                                    const SqliteOptions& options, Log& log);

}  // namespace curfew::store
