#include "store/sqlite.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "store/database_file.h"
#include "store/migrations.h"
#include "store/sqlite_connection.h"

namespace curfew::store {
namespace {

// Damage is looked for at start-up when that costs a few milliseconds; in larger files it is found
// when a damaged page is read.
constexpr std::uint64_t kQuickCheckBytesMax = 4 * 1024 * 1024;
constexpr Millis kGateWaitMax{100};
constexpr int kEmptyLogAttempts = 20;
constexpr Millis kEmptyLogPause{50};

// The connections that read. Thread-safe.
class ReaderPool {
 public:
  explicit ReaderPool(Millis wait_max) : wait_max_(wait_max) {}

  void add(std::unique_ptr<SqliteConnection> connection) { idle_.push_back(std::move(connection)); }

  // nullptr: none came free in time.
  std::unique_ptr<SqliteConnection> acquire() {
    std::unique_lock lock(mutex_);
    // The writer opens the gate when it has used the moment of quiet. If that does not come, or no
    // write does, readers go on all the same.
    if (!changed_.wait_for(lock, kGateWaitMax, [&] { return !gate_closed_; })) gate_closed_ = false;
    if (!changed_.wait_for(lock, wait_max_, [&] { return !idle_.empty(); })) return nullptr;
    std::unique_ptr<SqliteConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    ++in_use_;
    return connection;
  }

  void release(std::unique_ptr<SqliteConnection> connection) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(connection));
    --in_use_;
    changed_.notify_one();
  }

  // Holds back new reads, so that there comes a moment without any.
  void close_gate() {
    const std::scoped_lock lock(mutex_);
    gate_closed_ = true;
  }
  void close_all() {
    const std::scoped_lock lock(mutex_);
    idle_.clear();
  }
  void open_gate() {
    const std::scoped_lock lock(mutex_);
    gate_closed_ = false;
    changed_.notify_all();
  }
  bool is_gate_closed() const {
    const std::scoped_lock lock(mutex_);
    return gate_closed_;
  }
  // Nobody reads, and nobody will before the gate opens.
  bool is_quiet() const {
    const std::scoped_lock lock(mutex_);
    return gate_closed_ && in_use_ == 0;
  }

 private:
  const Millis wait_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<SqliteConnection>> idle_;
  std::size_t in_use_ = 0;
  bool gate_closed_ = false;
};

// A wish of callers that the thread that writes fulfils. Thread-safe.
class Wish {
 public:
  void make() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    failed_ = false;
  }
  bool is_open() const {
    const std::scoped_lock lock(mutex_);
    return open_;
  }
  void fulfil() {
    const std::scoped_lock lock(mutex_);
    open_ = false;
    changed_.notify_all();
  }
  // It stays open.
  void fail() {
    const std::scoped_lock lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }
  // Until it is fulfilled or has failed, `time` at most.
  void wait(Millis time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [&] { return !open_ || failed_; });
  }
  bool has_failed() const {
    const std::scoped_lock lock(mutex_);
    return failed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  bool failed_ = false;
};

class SqliteSession final : public CommitSession {
 public:
  SqliteSession(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options,
                ReaderPool& readers, Wish& empty_log, Log& log)
      : connection_(std::move(connection)),
        options_(options),
        readers_(readers),
        empty_log_(empty_log),
        log_(log) {}

  Writer& writer() override { return *connection_; }
  // The lock is taken at once: a transaction that could still fail to get it is of no use.
  Status begin() override { return connection_->steer("BEGIN IMMEDIATE"); }
  Status savepoint() override { return connection_->steer("SAVEPOINT one_write"); }
  Status release_savepoint() override { return connection_->steer("RELEASE one_write"); }
  Status rollback_to_savepoint() override {
    RETURN_IF_ERROR(connection_->steer("ROLLBACK TO one_write"));
    return connection_->steer("RELEASE one_write");
  }
  bool is_lost() const override { return !connection_->in_transaction(); }
  std::optional<Error> take_failure() override { return connection_->take_failure(); }

  void rollback() override {
    if (!connection_->in_transaction()) return;
    if (Status done = connection_->steer("ROLLBACK"); !done)
      log_.error("database rollback failed", {{"detail", done.error().detail}});
  }

  Status commit() override {
    Status committed = connection_->steer("COMMIT");
    if (committed) return ok();
    rollback();
    overwrite_failed_commit();
    return committed;
  }

  void tidy() override;

 private:
  void overwrite_failed_commit();
  void empty_log_if_quiet();

  const std::unique_ptr<SqliteConnection> connection_;
  const SqliteOptions& options_;
  ReaderPool& readers_;
  Wish& empty_log_;
  Log& log_;
  std::int64_t failed_commits_ = 0;
  int checkpointed_at_pages_ = 0;
  int retry_at_pages_ = 0;        // after a checkpoint that could not empty the log
  bool waits_for_quiet_ = false;  // the gate was closed
};

// When the flush of a commit fails, all of it may stand in the log already, and a process that dies
// now would find it there at its next start: a change that was reported as failed would come true.
// Another commit writes over its first page, which makes the rest invalid. (If this one's flush
// fails as well, what was written over is still what a restart would read.)
void SqliteSession::overwrite_failed_commit() {
  ++failed_commits_;
  Status done = connection_->steer("BEGIN IMMEDIATE");
  if (done) {
    // Any change will do, and this counter in the file's header is nobody else's.
    auto set = connection_->control("PRAGMA user_version = " +
                                    std::to_string(failed_commits_ % 1'000'000));
    done = set ? connection_->steer("COMMIT") : Status(std::move(set).error());
  }
  if (done) return;
  rollback();
  log_.warn("could not write over a failed commit", {{"detail", done.error().detail}});
}

void SqliteSession::empty_log_if_quiet() {
  const bool quiet = readers_.is_quiet();
  if (!quiet && readers_.is_gate_closed()) return;
  if (quiet) {
    if (auto emptied = connection_->checkpoint(true); emptied) {
      empty_log_.fulfil();
    } else {
      empty_log_.fail();
      log_.warn("database log could not be emptied", {{"detail", emptied.error().detail}});
    }
  }
  readers_.open_gate();
  waits_for_quiet_ = false;
  retry_at_pages_ = connection_->wal_pages() + options_.wal_pages_max / 4;
}

void SqliteSession::tidy() {
  const int pages = connection_->wal_pages();
  if (empty_log_.is_open() && !waits_for_quiet_) {
    readers_.close_gate();
    waits_for_quiet_ = true;
  }
  if (waits_for_quiet_) {
    empty_log_if_quiet();
    return;
  }
  if (pages < checkpointed_at_pages_) checkpointed_at_pages_ = 0;  // the log started anew
  if (pages - checkpointed_at_pages_ >= options_.checkpoint_pages) {
    checkpointed_at_pages_ = pages;
    if (auto copied = connection_->checkpoint(false); !copied)
      log_.warn("database checkpoint failed", {{"detail", copied.error().detail}});
  }
  // Readers that overlap without a gap keep SQLite from starting the log anew, and it would grow
  // for ever.
  if (pages >= options_.wal_pages_max && pages >= retry_at_pages_) {
    readers_.close_gate();
    waits_for_quiet_ = true;
  }
}

}  // namespace

struct SqliteDatabase::Parts {
  explicit Parts(SqliteOptions chosen)
      : options(std::move(chosen)), readers(options.reader_wait_max) {}

  const SqliteOptions options;
  std::unique_ptr<DatabaseFile> file;
  ReaderPool readers;
  Wish empty_log;
  std::unique_ptr<GroupCommit> commits;
};

SqliteDatabase::SqliteDatabase(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

SqliteDatabase::~SqliteDatabase() {
  // The writer closes as the last connection: it is the one that may move the log into the file.
  parts_->readers.close_all();
}

Status SqliteDatabase::read(const std::function<Status(const Reader&)>& reader) const {
  if (parts_->commits->in_writer_thread())
    return Error{Errc::kInternal, "the broker could not read its database",
                 "a read was started inside a write"};
  std::unique_ptr<SqliteConnection> connection = parts_->readers.acquire();
  if (connection == nullptr)
    return Error{Errc::kOverloaded,
                 "too many requests are reading the broker's database; retry later"};
  Status outcome = connection->steer("BEGIN");
  if (outcome) {
    try {
      outcome = reader(*connection);
    } catch (const std::exception& exception) {
      outcome = Error{Errc::kInternal, "the broker could not read its database", exception.what()};
    } catch (...) {
      outcome = Error{Errc::kInternal, "the broker could not read its database"};
    }
  }
  if (connection->in_transaction()) {
    if (Status ended = connection->steer("ROLLBACK"); !ended && outcome) outcome = std::move(ended);
  }
  connection->take_failure();
  parts_->readers.release(std::move(connection));
  return outcome;
}

Status SqliteDatabase::write(const std::function<Status(Writer&)>& writer) {
  return parts_->commits->write(writer);
}

Status SqliteDatabase::forget_deleted() {
  parts_->empty_log.make();
  for (int attempt = 0; attempt < kEmptyLogAttempts; ++attempt) {
    // Nothing to write, but the log is looked after when it is done.
    RETURN_IF_ERROR(write([](Writer&) { return ok(); }));
    parts_->empty_log.wait(kEmptyLogPause);
    if (!parts_->empty_log.is_open()) return ok();
    if (parts_->empty_log.has_failed()) break;
  }
  return Error{Errc::kUnavailable,
               "the database's log could not be emptied yet; it is tried again with every write"};
}

CommitStats SqliteDatabase::stats() const {
  return parts_->commits->stats();
}

namespace {

// Turns a new file into a database of ours, and an old one into one that is fit for use.
Status prepare(SqliteConnection& writer, const DatabaseFile& file) {
  if (file.is_new()) {
    // While the file is not in WAL mode yet: the mark is in the file itself from the first moment.
    RETURN_IF_ERROR(writer.control("PRAGMA application_id = " + std::to_string(kApplicationId)));
  } else if (file.size_bytes() <= kQuickCheckBytesMax) {
    ASSIGN_OR_RETURN(const std::string found, writer.control("PRAGMA quick_check(1)"));
    if (found != "ok") return explain_sqlite(SQLITE_CORRUPT, found);
  }
  ASSIGN_OR_RETURN(const std::string mode, writer.control("PRAGMA journal_mode = WAL"));
  if (mode != "wal")
    return Error{Errc::kUnavailable,
                 "the file system does not support SQLite's write-ahead log; use a local disk"};
  RETURN_IF_ERROR(writer.control("PRAGMA journal_size_limit = 67108864"));
  return ok();
}

Error at_opening(const DatabaseFile& file, Error error) {
  if (error.code != Errc::kPreconditionFailed)
    error.message = "cannot open the database " + file.path() + ": " + error.message;
  return error;
}

}  // namespace

Result<std::unique_ptr<SqliteDatabase>> open_sqlite(const std::string& path,
                                                    const SqliteOptions& options, Log& log) {
  auto parts = std::make_unique<SqliteDatabase::Parts>(options);
  ASSIGN_OR_RETURN(parts->file, DatabaseFile::open(path, log));
  const DatabaseFile& file = *parts->file;

  SqliteConnectionOptions tuning;
  tuning.busy_timeout_ms = static_cast<int>(options.busy_wait_max.count());
  tuning.rows_max = options.rows_max;
  tuning.vfs = options.vfs.empty() ? nullptr : parts->options.vfs.c_str();
  SqliteConnectionOptions writing = tuning;
  writing.read_only = false;
  writing.cache_kib = options.writer_cache_kib;
  writing.synchronous = file.is_temporary() ? "OFF" : "FULL";

  auto writer = SqliteConnection::open(file.path(), writing);
  if (!writer) return at_opening(file, std::move(writer).error());
  if (Status prepared = prepare(**writer, file); !prepared)
    return at_opening(file, std::move(prepared).error());
  for (std::size_t i = 0; i < options.readers; ++i) {
    auto reader = SqliteConnection::open(file.path(), tuning);
    if (!reader) return at_opening(file, std::move(reader).error());
    parts->readers.add(std::move(*reader));
  }
  parts->commits = std::make_unique<GroupCommit>(
      std::make_unique<SqliteSession>(std::move(*writer), parts->options, parts->readers,
                                      parts->empty_log, log),
      options.commit, log);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(std::move(parts)));
  if (Status migrated = database->write(migrate); !migrated)
    return at_opening(*database->parts_->file, std::move(migrated).error());
  return database;
}

}  // namespace curfew::store
