#include "broker/lease/reaper.h"

#include <algorithm>
#include <optional>

namespace curfew::broker {
namespace {

constexpr std::size_t kPage = 512;
constexpr std::size_t kPagesMax = 64;  // looked through for work in one go
constexpr std::size_t kTokenPage = 200;
constexpr std::size_t kQueueMax = 4096;
constexpr std::size_t kPutOffMax = 10'000;
// The wall clock may be stepped while this waits: look again after a second at the latest.
constexpr Millis kLookAgain = Seconds{1};
constexpr Millis kHousekeeping = std::chrono::minutes{1};
// Before a row is looked at again whose date could not be moved: the store failed, or the row was
// altered in it, which does not mend itself.
constexpr Millis kStoreRetry = Seconds{1};
constexpr Millis kDamagedRetry = std::chrono::minutes{1};

}  // namespace

Reaper::Reaper(LeaseStore& leases, TokenStore& tokens, MountTable& mounts, Revoker& revoker,
               const Clock& clock, Log& log, ReaperOptions options,
               std::function<void()> attempt_finished, std::function<Status()> housekeeping)
    : leases_(leases),
      tokens_(tokens),
      mounts_(mounts),
      revoker_(revoker),
      clock_(clock),
      log_(log),
      options_(options),
      attempt_finished_(std::move(attempt_finished)),
      housekeeping_(std::move(housekeeping)) {}

Reaper::~Reaper() {
  stop();
}

void Reaper::start() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
    woken_ = true;
  }
  threads_.emplace_back([this] { find_work(); });
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

void Reaper::request_stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  job_ready_.notify_all();
}

void Reaper::stop() {
  request_stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const std::scoped_lock lock(mutex_);
  queue_.clear();
  taken_.clear();
  waiting_.clear();
}

bool Reaper::is_stopping() {
  const std::scoped_lock lock(mutex_);
  return stopping_;
}

void Reaper::wake() {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

// ---- finding ----------------------------------------------------------------------------------

// What the token held is due, what is below it has ended, its row is gone. False: try again later.
bool Reaper::sweep_token(const std::string& id, WallTime now) {
  Status swept = tokens_.end_children(id, now);
  for (const LeaseState state : {LeaseState::kPending, LeaseState::kActive}) {
    if (!swept) break;
    const auto ended = leases_.end_all({.token = id, .state = state}, now);
    if (!ended) swept = ended.error();
  }
  if (swept) swept = tokens_.remove(id, now);
  if (!swept && swept.error().code != Errc::kConflict)
    log_.warn("ended token not cleared away", {{"error", swept.error().message}});
  return swept.has_value();
}

Result<std::size_t> Reaper::sweep_tokens() {
  std::size_t removed = 0;
  TokenStore::Ended last;
  for (;;) {
    const WallTime now = clock_.wall();
    ASSIGN_OR_RETURN(const auto page, tokens_.ended(now, last, kTokenPage));
    if (page.empty() || is_stopping()) return removed;
    last = page.back();
    for (const TokenStore::Ended& token : page) removed += sweep_token(token.id, now) ? 1 : 0;
  }
}

bool Reaper::enqueue(const LeaseStore::Due& due) {
  const std::scoped_lock lock(mutex_);
  if (queue_.size() >= kQueueMax || waiting_[due.group] >= options_.queue_per_group_max)
    return false;
  const auto put_off = put_off_.find(due.id);
  if (put_off != put_off_.end()) {
    if (clock_.steady() < put_off->second) return false;
    put_off_.erase(put_off);
  }
  if (!taken_.insert(due.id).second) return false;
  ++waiting_[due.group];
  queue_.push_back(due);
  return true;
}

// Looks past what waits already: the leases of a target that hangs must not hide those of others.
Result<std::size_t> Reaper::enqueue_due() {
  std::size_t enqueued = 0;
  LeaseStore::Due last;
  const WallTime now = clock_.wall();
  for (std::size_t page_number = 0; page_number < kPagesMax; ++page_number) {
    ASSIGN_OR_RETURN(const auto page, leases_.due(now, last, kPage));
    if (page.empty()) break;
    last = page.back();
    for (const LeaseStore::Due& due : page) enqueued += enqueue(due) ? 1 : 0;
  }
  if (enqueued > 0) job_ready_.notify_all();
  return enqueued;
}

// Until something falls due that is not due yet. What is overdue is being worked on or put off;
// whoever finishes work wakes the thread that waits here.
Millis Reaper::time_to_next() {
  Millis wait = kLookAgain;
  const WallTime now = clock_.wall();
  const auto lease = leases_.next_due(now);
  if (lease && *lease) wait = std::min(wait, Millis{**lease - now});
  const auto token = tokens_.next_end(now);
  if (token && *token) wait = std::min(wait, Millis{**token - now});
  return std::max(wait, Millis{1});
}

void Reaper::keep_house() {
  if (clock_.steady() < next_housekeeping_) return;
  next_housekeeping_ = clock_.steady() + kHousekeeping;
  const Status done = housekeeping_();
  if (!done) log_.warn("housekeeping failed", {{"error", done.error().message}});
}

// What a process that died was revoking is still claimed by it, and nobody else works on this
// store.
bool Reaper::resume_interrupted() {
  const auto resumed = leases_.end_all({.state = LeaseState::kRevoking}, clock_.wall());
  if (!resumed)
    log_.error("looking for interrupted revocations failed", {{"error", resumed.error().message}});
  return resumed.has_value();
}

void Reaper::find_work() {
  bool resumed = false;
  for (;;) {
    keep_house();
    if (!resumed) resumed = resume_interrupted();
    const auto swept = sweep_tokens();
    if (!swept) log_.error("looking for ended tokens failed", {{"error", swept.error().message}});
    const Status unmounted = mounts_.finish_unmounts();
    if (!unmounted) log_.error("removing mounts failed", {{"error", unmounted.error().message}});
    const auto enqueued = enqueue_due();
    if (!enqueued)
      log_.error("looking for due leases failed", {{"error", enqueued.error().message}});
    const Millis wait = swept && *swept > 0 ? Millis{0} : time_to_next();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, wait, [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

// ---- working ----------------------------------------------------------------------------------

void Reaper::revoke_or_remove(const LeaseStore::Due& job) {
  std::optional<Error> error;
  if (job.ended) {
    Status removed = leases_.remove(job.id);
    if (!removed) error = std::move(removed).error();
  } else {
    auto tried = revoker_.attempt(job.id);
    if (!tried) error = std::move(tried).error();
    attempt_finished_();
  }
  if (!error) return;
  log_.error("lease put off", {{"lease", job.id}, {"error", error->message}});
  const std::scoped_lock lock(mutex_);
  if (put_off_.size() >= kPutOffMax) put_off_.clear();
  put_off_[job.id] =
      clock_.steady() + (error->code == Errc::kCorrupt ? kDamagedRetry : kStoreRetry);
}

void Reaper::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto job = queue_.end();
    job_ready_.wait(lock, [&] {
      job = std::find_if(queue_.begin(), queue_.end(), [&](const LeaseStore::Due& candidate) {
        const auto busy = busy_.find(candidate.group);
        return busy == busy_.end() || busy->second < options_.per_group_max;
      });
      return stopping_ || job != queue_.end();
    });
    if (stopping_) return;
    const LeaseStore::Due taken = std::move(*job);
    queue_.erase(job);
    const std::size_t waiting = --waiting_[taken.group];
    ++busy_[taken.group];
    // More of this target may be due than could wait.
    if (waiting == options_.queue_per_group_max / 2) {
      woken_ = true;
      wake_.notify_one();
    }
    lock.unlock();
    revoke_or_remove(taken);
    lock.lock();
    if (--busy_[taken.group] == 0) busy_.erase(taken.group);
    if (waiting_[taken.group] == 0) waiting_.erase(taken.group);
    taken_.erase(taken.id);
    job_ready_.notify_one();
    if (queue_.empty()) {
      woken_ = true;
      wake_.notify_one();
    }
  }
}

Status Reaper::run_due() {
  for (;;) {
    RETURN_IF_ERROR(sweep_tokens());
    RETURN_IF_ERROR(mounts_.finish_unmounts());
    ASSIGN_OR_RETURN(const std::size_t enqueued, enqueue_due());
    if (enqueued == 0) return ok();
    std::deque<LeaseStore::Due> jobs;
    {
      const std::scoped_lock lock(mutex_);
      jobs.swap(queue_);
      taken_.clear();
      waiting_.clear();
    }
    for (const LeaseStore::Due& job : jobs) revoke_or_remove(job);
  }
}

}  // namespace curfew::broker
