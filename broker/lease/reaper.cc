#include "broker/lease/reaper.h"

#include <algorithm>
#include <optional>

#include "base/contained.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kPage = 512;
constexpr std::size_t kPagesMax = 64;  // looked through for work in one go
constexpr std::size_t kTokenPage = 200;
constexpr std::size_t kPutOffMax = 100'000;
// The wall clock may be stepped while this waits: look again after a second at the latest.
constexpr Millis kLookAgain = Seconds{1};
// Between two looks while much is due: each issue wakes the one that looks, and a look at a long
// backlog is not free.
constexpr Millis kLookPause = Millis{50};
constexpr Millis kHousekeeping = std::chrono::minutes{1};
// Before a row is looked at again whose date could not be moved: the store failed, or the row was
// altered in it, which does not mend itself.
constexpr Millis kStoreRetry = Seconds{1};
constexpr Millis kDamagedRetry = std::chrono::minutes{1};

}  // namespace

Reaper::Reaper(LeaseStore& leases, TokenStore& tokens, TokenBudgets& budgets, Wraps& wraps,
               MountTable& mounts, Revoker& revoker, BatchRevoker& batches,
               TargetBreakers& breakers, LeaseEnds& ends, const Clock& clock, Log& log,
               ReaperOptions options, std::function<void()> attempt_finished,
               std::function<Status()> housekeeping, TokenEnded token_ended,
               std::function<Status()> also_due)
    : leases_(leases),
      tokens_(tokens),
      budgets_(budgets),
      wraps_(wraps),
      mounts_(mounts),
      revoker_(revoker),
      batches_(batches),
      breakers_(breakers),
      ends_(ends),
      clock_(clock),
      log_(log),
      options_(options),
      attempt_finished_(std::move(attempt_finished)),
      housekeeping_(std::move(housekeeping)),
      token_ended_(std::move(token_ended)),
      also_due_(std::move(also_due)),
      queue_({.busy_max = options.per_group_max,
              .waiting_max = options.queue_per_group_max,
              .batch_max = options.batch_max}) {}

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

// What the token held is due, what is below it and what it would have opened has ended, its row is
// gone. False: try again later.
bool Reaper::sweep_token(const std::string& id, WallTime now) {
  Status swept = tokens_.end_children(id, now);
  for (const LeaseState state : {LeaseState::kPending, LeaseState::kActive}) {
    if (!swept) break;
    const auto ended = leases_.end_all({.token = id, .state = state}, now);
    if (!ended) swept = ended.error();
  }
  if (swept) swept = wraps_.settle(id, now);
  if (swept) swept = budgets_.forget(id);
  if (swept && token_ended_) swept = token_ended_(id, now);
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
  const auto put_off = put_off_.find(due.id);
  if (put_off != put_off_.end()) {
    if (clock_.steady() < put_off->second) return false;
    put_off_.erase(put_off);
  }
  return queue_.add(due);
}

// Looks past what waits already: the leases of a target that hangs must not hide those of others,
// nor ended leases that cannot leave those that live. True: something was added.
Result<bool> Reaper::enqueue_due(LeaseStore::Kind kind, WallTime now, LeaseStore::Due& from) {
  bool added = false;
  for (std::size_t page_number = 0; page_number < kPagesMax; ++page_number) {
    auto page = leases_.due(kind, now, from, kPage);
    if (!page) {
      // What is in the queue must not wait for the rest.
      if (added) job_ready_.notify_all();
      return std::move(page).error();
    }
    backlog_ = backlog_ || page_number > 0 || page->size() == kPage;
    for (const LeaseStore::Due& due : *page) added = enqueue(due) || added;
    // The next look begins at the longest overdue again.
    from = page->size() == kPage ? page->back() : LeaseStore::Due{};
    if (page->size() < kPage) break;
  }
  return added;
}

Status Reaper::enqueue_due() {
  const WallTime now = clock_.wall();
  backlog_ = false;
  bool retires = false;
  {
    const std::scoped_lock lock(mutex_);
    queue_.begin_scan();
    retires = clock_.steady() >= retire_not_before_;
  }
  ASSIGN_OR_RETURN(bool added, enqueue_due(LeaseStore::Kind::kLive, now, live_from_));
  if (added) job_ready_.notify_all();
  if (!retires) return ok();
  ASSIGN_OR_RETURN(added, enqueue_due(LeaseStore::Kind::kEnded, now, ended_from_));
  if (added) job_ready_.notify_all();
  return ok();
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
  for (const LeaseState state : {LeaseState::kRevoking, LeaseState::kQuarantined}) {
    const auto resumed = leases_.end_all({.state = state}, clock_.wall());
    if (resumed) continue;
    log_.error("looking for interrupted revocations failed", {{"error", resumed.error().message}});
    return false;
  }
  return true;
}

// Gives how long to wait before the next look.
Millis Reaper::look_once() {
  keep_house();
  if (!resumed_) resumed_ = resume_interrupted();
  const auto swept = sweep_tokens();
  if (!swept) log_.error("looking for ended tokens failed", {{"error", swept.error().message}});
  const Status also = also_due_ ? also_due_() : ok();
  if (!also) log_.error("what else is due failed", {{"error", also.error().message}});
  const Status unmounted = mounts_.finish_unmounts();
  if (!unmounted) log_.error("removing mounts failed", {{"error", unmounted.error().message}});
  const Status looked = enqueue_due();
  if (!looked) log_.error("looking for due leases failed", {{"error", looked.error().message}});
  return swept && *swept > 0 ? Millis{0} : time_to_next();
}

void Reaper::find_work() {
  resumed_ = false;
  for (;;) {
    const auto looked =
        contained(log_, "looking for due leases", [&]() -> Result<Millis> { return look_once(); });
    const Millis wait = looked ? *looked : kLookAgain;
    std::unique_lock lock(mutex_);
    if (backlog_) wake_.wait_for(lock, kLookPause, [this] { return stopping_; });
    wake_.wait_for(lock, wait, [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

// ---- working ----------------------------------------------------------------------------------

void Reaper::put_off(const std::string& id, const Error& error) {
  log_.error("lease put off", {{"lease", id}, {"error", error.message}});
  put_off(std::vector{id}, error.code == Errc::kCorrupt ? kDamagedRetry : kStoreRetry);
}

void Reaper::put_off(const std::vector<std::string>& ids, Millis how_long) {
  const SteadyTime now = clock_.steady();
  const std::scoped_lock lock(mutex_);
  if (put_off_.size() >= kPutOffMax)
    std::erase_if(put_off_, [&](const auto& entry) { return entry.second <= now; });
  for (const std::string& id : ids)
    if (put_off_.size() < kPutOffMax) put_off_[id] = now + how_long;
}

void Reaper::revoke_one(const std::string& id) {
  const auto tried = contained(log_, "revoking a lease", [&] { return revoker_.attempt(id); });
  if (!tried) put_off(id, tried.error());
}

void Reaper::retire(const std::vector<std::string>& ids) {
  const auto unreadable = ends_.retire(ids);
  if (unreadable) {
    put_off(*unreadable, kDamagedRetry);
    return;
  }
  log_.error("ended leases kept longer",
             {{"number", std::to_string(ids.size())}, {"error", unreadable.error().message}});
  const std::scoped_lock lock(mutex_);
  retire_not_before_ = clock_.steady() + kDamagedRetry;
}

ReaperQueue::Mode Reaper::mode_of(const std::string& group) {
  switch (breakers_.state(group)) {
    case TargetBreakers::State::kClosed: return ReaperQueue::Mode::kWork;
    case TargetBreakers::State::kOpen: return ReaperQueue::Mode::kPutOff;
    case TargetBreakers::State::kProbing: return ReaperQueue::Mode::kWait;
    case TargetBreakers::State::kDue: break;
  }
  return breakers_.begin_probe(group) ? ReaperQueue::Mode::kProbe : ReaperQueue::Mode::kWait;
}

// Gives what is left to do of the batch.
ReaperQueue::Next Reaper::run(const ReaperQueue::Batch& batch) {
  using Mode = ReaperQueue::Mode;
  ReaperQueue::Next next;
  if (batch.mode == Mode::kPutOff) {
    const auto target = breakers_.open(batch.group);
    const auto unchanged = target ? revoker_.put_off(batch.ids, *target) : batch.ids;
    put_off(unchanged, kStoreRetry);
  } else if (batch.mode == Mode::kProbe || batch.step == ReapStep::kOne) {
    for (const std::string& id : batch.ids) revoke_one(id);
    if (batch.mode == Mode::kProbe) breakers_.end_probe(batch.group);
  } else if (batch.step == ReapStep::kRetire) {
    retire(batch.ids);
  } else {
    const bool lock_out = batch.step == ReapStep::kLockOut;
    std::vector<std::string> done =
        lock_out ? batches_.lock_out(batch.ids) : batches_.revoke(batch.ids);
    std::sort(done.begin(), done.end());
    for (const std::string& id : batch.ids)
      if (!std::binary_search(done.begin(), done.end(), id)) next.one.push_back(id);
    if (lock_out) next.many = std::move(done);
  }
  attempt_finished_();
  return next;
}

ReaperQueue::Next Reaper::run_contained(const ReaperQueue::Batch& batch) {
  auto next = contained(log_, "working on due leases",
                        [&]() -> Result<ReaperQueue::Next> { return run(batch); });
  if (next) return *std::move(next);
  if (batch.mode == ReaperQueue::Mode::kProbe) breakers_.end_probe(batch.group);
  for (const std::string& id : batch.ids) put_off(id, next.error());
  return {};
}

void Reaper::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::optional<ReaperQueue::Batch> batch;
    job_ready_.wait(lock, [&] {
      if (!stopping_ && !batch)
        batch = queue_.take([this](const std::string& group) { return mode_of(group); });
      return stopping_ || batch;
    });
    if (stopping_) return;
    lock.unlock();
    const ReaperQueue::Next next = run_contained(*batch);
    lock.lock();
    queue_.finish(*batch, next);
    job_ready_.notify_all();
    if (!queue_.wants_more()) continue;
    woken_ = true;
    wake_.notify_one();
  }
}

Status Reaper::run_due() {
  for (;;) {
    RETURN_IF_ERROR(sweep_tokens());
    if (also_due_) RETURN_IF_ERROR(also_due_());
    RETURN_IF_ERROR(mounts_.finish_unmounts());
    RETURN_IF_ERROR(enqueue_due());
    bool worked = false;
    for (;;) {
      std::unique_lock lock(mutex_);
      const auto batch = queue_.take([this](const std::string& group) { return mode_of(group); });
      if (!batch) break;
      worked = true;
      lock.unlock();
      const ReaperQueue::Next next = run_contained(*batch);
      lock.lock();
      queue_.finish(*batch, next);
    }
    if (!worked) return ok();
  }
}

}  // namespace curfew::broker
