#include "store/group_commit.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace curfew::store {
namespace {

Status call(const std::function<Status(Writer&)>& function, Writer& writer) {
  try {
    return function(writer);
  } catch (const std::exception& exception) {
    return Error{Errc::kInternal, "the change failed inside the broker; nothing was written",
                 exception.what()};
  } catch (...) {
    return Error{Errc::kInternal, "the change failed inside the broker; nothing was written"};
  }
}

Error gave_up(std::string detail) {
  return {Errc::kUnavailable,
          "the broker's database gave up the change; nothing was written. Retry later",
          std::move(detail)};
}

}  // namespace

GroupCommit::GroupCommit(std::unique_ptr<CommitSession> session, const GroupCommitOptions& options,
                         Log& log)
    : session_(std::move(session)), options_(options), log_(log), thread_([this] { run(); }) {}

GroupCommit::~GroupCommit() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

Status GroupCommit::write(const std::function<Status(Writer&)>& writer) {
  if (in_writer_thread())
    return Error{Errc::kInternal, "the change failed inside the broker; nothing was written",
                 "a write was started inside a write"};
  Job job;
  job.writer = &writer;
  std::unique_lock lock(mutex_);
  if (stopping_)
    return Error{Errc::kUnavailable, "the server is shutting down; nothing was written"};
  if (queue_.size() >= options_.queue_max)
    return Error{Errc::kOverloaded,
                 "too many changes are waiting for the broker's database; nothing was written. "
                 "Retry later"};
  queue_.push_back(&job);
  wake_.notify_one();
  job.finished.wait(lock, [&] { return job.done; });
  return std::move(job.outcome);
}

CommitStats GroupCommit::stats() const {
  const std::scoped_lock lock(mutex_);
  CommitStats stats = stats_;
  stats.waiting = queue_.size();
  return stats;
}

std::vector<GroupCommit::Job*> GroupCommit::take_batch() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
  const auto count = static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.batch_max));
  std::vector<Job*> batch(queue_.begin(), queue_.begin() + count);
  queue_.erase(queue_.begin(), queue_.begin() + count);
  return batch;
}

void GroupCommit::run() {
  for (;;) {
    const std::vector<Job*> batch = take_batch();
    if (batch.empty()) return;  // stopping, and nothing waits any more
    const std::size_t count = run_batch(batch);
    {
      const std::scoped_lock lock(mutex_);
      queue_.insert(queue_.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count),
                    batch.end());
      for (std::size_t i = 0; i < count; ++i) {
        // Notified under the lock: once it is free the job may be gone.
        batch[i]->done = true;
        batch[i]->finished.notify_one();
      }
    }
    session_->tidy();
  }
}

void GroupCommit::fail_all(const std::vector<Job*>& batch, std::size_t count, const Error& error) {
  for (std::size_t i = 0; i < count; ++i) {
    if (batch[i]->outcome) batch[i]->outcome = error;
  }
}

std::size_t GroupCommit::run_batch(const std::vector<Job*>& batch) {
  CommitStats delta;
  std::size_t ran = 0;
  std::size_t good = 0;
  std::optional<Error> failure;
  if (Status begun = session_->begin(); !begun) {
    ran = batch.size();
    failure = std::move(begun).error();
  }
  while (!failure && ran < batch.size()) {
    Job& job = *batch[ran++];
    job.outcome = run_job(job);
    ++delta.writes;
    if (job.outcome) ++good;
    if (!job.outcome) ++delta.writes_refused;
    // The writes before this one went down with it. Those after it get a transaction of their own.
    if (session_->is_lost()) failure = job.outcome ? gave_up("") : job.outcome.error();
  }
  if (!failure && good == 0) {
    session_->rollback();
  } else if (!failure) {
    Status committed = session_->commit();
    if (committed) ++delta.commits;
    if (!committed) failure = std::move(committed).error();
  }
  if (failure) {
    ++delta.commits_failed;
    log_.error("database transaction failed",
               {{"error", failure->message}, {"detail", failure->detail}});
    // What one statement was refused for is not the reason of its neighbours.
    if (failure->code != Errc::kCorrupt && failure->code != Errc::kUnavailable)
      failure = gave_up(std::move(failure->detail));
    fail_all(batch, ran, *failure);
  }
  const std::scoped_lock lock(mutex_);
  stats_.writes += delta.writes;
  stats_.writes_refused += delta.writes_refused;
  stats_.commits += delta.commits;
  stats_.commits_failed += delta.commits_failed;
  return ran;
}

Status GroupCommit::run_job(const Job& job) {
  RETURN_IF_ERROR(session_->savepoint());
  session_->take_failure();
  Status outcome = call(*job.writer, session_->writer());
  std::optional<Error> failure = session_->take_failure();
  if (outcome && failure) outcome = std::move(*failure);
  if (session_->is_lost()) return outcome;
  if (outcome) outcome = session_->release_savepoint();
  if (outcome) return outcome;
  // If not even that works the whole transaction goes.
  if (!session_->rollback_to_savepoint()) session_->rollback();
  return outcome;
}

}  // namespace curfew::store
