#include "broker/lease/reaper.h"

#include <algorithm>

namespace curfew::broker {
namespace {

constexpr std::size_t kDueBatch = 512;
constexpr std::size_t kTokenBatch = 200;
constexpr std::size_t kQueueMax = 4096;
// The wall clock may be stepped while this waits: look again after a second at the latest.
constexpr Millis kLookAgain = Seconds{1};
constexpr Millis kHousekeeping = std::chrono::minutes{1};

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

void Reaper::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  job_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const std::scoped_lock lock(mutex_);
  queue_.clear();
  queued_.clear();
}

void Reaper::wake() {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

// ---- finding ----------------------------------------------------------------------------------

Status Reaper::sweep_tokens() {
  for (;;) {
    const WallTime now = clock_.wall();
    ASSIGN_OR_RETURN(const auto ended, tokens_.ended(now, kTokenBatch));
    std::size_t removed = 0;
    for (const Token& token : ended) {
      // The tree first: a child that outlives its parent's row would be an orphan nobody asked for.
      RETURN_IF_ERROR(tokens_.end_tree(token.id, now));
      for (const LeaseState state : {LeaseState::kPending, LeaseState::kActive})
        RETURN_IF_ERROR(leases_.end_all({.token = token.id, .state = state}, now));
      const Status gone = tokens_.remove(token.id);
      if (gone) ++removed;  // else its children come first; they are in one of the next batches
    }
    if (removed == 0) return ok();
  }
}

Status Reaper::find_leases(std::vector<Lease>& due) {
  RETURN_IF_ERROR(sweep_tokens());
  RETURN_IF_ERROR(mounts_.finish_unmounts());
  ASSIGN_OR_RETURN(due, leases_.due(clock_.wall(), kDueBatch));
  return ok();
}

Millis Reaper::time_to_next() {
  Millis wait = kLookAgain;
  const WallTime now = clock_.wall();
  const auto lease = leases_.next_due();
  if (lease && *lease) wait = std::min(wait, **lease - now);
  const auto token = tokens_.next_end();
  if (token && *token) wait = std::min(wait, **token - now);
  // What is overdue is being worked on, or waits for a thread or for its children.
  return wait <= Millis{0} ? Millis{50} : wait;
}

bool Reaper::enqueue(Lease lease) {
  const std::scoped_lock lock(mutex_);
  if (queue_.size() >= kQueueMax || !queued_.insert(lease.id).second) return false;
  queue_.push_back(
      {std::move(lease.id), lease.mount + '\0' + lease.handle.resource, !is_live(lease.state)});
  return true;
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
    std::vector<Lease> due;
    const Status found = find_leases(due);
    if (!found) log_.error("looking for due leases failed", {{"error", found.error().message}});
    bool any = false;
    for (Lease& lease : due) any = enqueue(std::move(lease)) || any;
    if (any) job_ready_.notify_all();
    const Millis wait = found ? time_to_next() : kLookAgain;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, wait, [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

// ---- working ----------------------------------------------------------------------------------

void Reaper::revoke_or_remove(const std::string& id, bool ended) {
  if (ended) {
    const Status removed = leases_.remove(id);
    if (!removed) log_.warn("ended lease not removed", {{"lease", id}});
    return;
  }
  const auto tried = revoker_.attempt(id);
  if (!tried)
    log_.error("revocation could not be recorded",
               {{"lease", id}, {"error", tried.error().message}});
  attempt_finished_();
}

void Reaper::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto job = queue_.end();
    job_ready_.wait(lock, [&] {
      job = std::find_if(queue_.begin(), queue_.end(), [&](const Job& candidate) {
        const auto busy = busy_.find(candidate.resource);
        return busy == busy_.end() || busy->second < options_.per_resource_max;
      });
      return stopping_ || job != queue_.end();
    });
    if (stopping_) return;
    const Job taken = std::move(*job);
    queue_.erase(job);
    ++busy_[taken.resource];
    lock.unlock();
    revoke_or_remove(taken.id, taken.ended);
    lock.lock();
    if (--busy_[taken.resource] == 0) busy_.erase(taken.resource);
    queued_.erase(taken.id);
    job_ready_.notify_one();
    if (queue_.empty()) {
      woken_ = true;  // more may be due than one batch held
      wake_.notify_one();
    }
  }
}

Status Reaper::run_due() {
  for (;;) {
    std::vector<Lease> due;
    RETURN_IF_ERROR(find_leases(due));
    if (due.empty()) return mounts_.finish_unmounts();
    for (const Lease& lease : due) revoke_or_remove(lease.id, !is_live(lease.state));
  }
}

}  // namespace curfew::broker
