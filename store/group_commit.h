#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "store/sql.h"

namespace curfew::store {

// The one connection that writes, as the committing thread drives it: begin, for each write
// savepoint and release or undo, then commit.
//
// Thread-safety: one thread at a time.
class CommitSession {
 public:
  virtual ~CommitSession() = default;

  virtual Writer& writer() = 0;
  virtual Status begin() = 0;
  // When this fails nothing of the transaction remains, now or after a crash.
  virtual Status commit() = 0;
  virtual void rollback() = 0;
  virtual Status savepoint() = 0;
  virtual Status release_savepoint() = 0;
  virtual Status rollback_to_savepoint() = 0;
  // The database has given up the whole transaction by itself, or rollback() was called.
  virtual bool is_lost() const = 0;
  // The first statement that failed since the last call.
  virtual std::optional<Error> take_failure() = 0;
  // Called when the callers of a batch have their answers: the place for what can wait.
  virtual void tidy() = 0;
};

struct GroupCommitOptions {
  std::size_t batch_max = 64;      // writes in one transaction
  std::size_t queue_max = 10'000;  // writes that wait; more are refused
};

struct CommitStats {
  std::uint64_t writes = 0;          // functions that were run
  std::uint64_t writes_refused = 0;  // of those, how many failed alone
  std::uint64_t commits = 0;         // transactions that became durable
  std::uint64_t commits_failed = 0;  // transactions of which nothing remains
  std::uint64_t waiting = 0;         // writes that wait for their turn now
};

// Runs writes one at a time in a thread of its own and commits those that wait together: a commit
// costs one flush of the disk, however many writes are in it. A write that fails is undone alone.
//
// Thread-safe.
class GroupCommit {
 public:
  // `log` outlives this object.
  GroupCommit(std::unique_ptr<CommitSession> session, const GroupCommitOptions& options, Log& log);
  // Runs what still waits. REQUIRES: no new call of write().
  ~GroupCommit();
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // As Database::write.
  Status write(const std::function<Status(Writer&)>& writer);

  // Whether the caller is inside a write.
  bool in_writer_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  CommitStats stats() const;

 private:
  // One call of write(); lives on its caller's stack until `done`.
  struct Job {
    const std::function<Status(Writer&)>* writer = nullptr;
    Status outcome = ok();
    bool done = false;
    std::condition_variable finished;
  };

  void run();
  std::vector<Job*> take_batch();
  // Returns how many of the batch, from its start, have been dealt with.
  std::size_t run_batch(const std::vector<Job*>& batch);
  Status run_job(const Job& job);
  static void fail_all(const std::vector<Job*>& batch, std::size_t count, const Error& error);

  const std::unique_ptr<CommitSession> session_;
  const GroupCommitOptions options_;
  Log& log_;

  mutable std::mutex mutex_;  // protects what follows and every Job's outcome and done
  std::condition_variable wake_;
  std::deque<Job*> queue_;
  bool stopping_ = false;
  CommitStats stats_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace curfew::store
