#include "broker/lease/reaper_queue.h"

#include <algorithm>

namespace curfew::broker {
namespace {

// The rows of ended leases belong to no target.
constexpr const char* kEnded = "";

ReapStep first_step(const LeaseStore::Due& due) {
  if (due.ended) return ReapStep::kRetire;
  if (due.attempts == 0) return ReapStep::kLockOut;
  // Locked out by a batch that something interrupted, or failed once.
  return due.attempts == 1 ? ReapStep::kMany : ReapStep::kOne;
}

}  // namespace

std::size_t ReaperQueue::Group::size() const {
  std::size_t sum = 0;
  for (const auto& ids : waiting) sum += ids.size();
  return sum;
}

void ReaperQueue::begin_scan() {
  for (auto& [name, group] : groups_) group.more_to_lock = group.more = false;
}

bool ReaperQueue::add(const LeaseStore::Due& due) {
  if (taken_.contains(due.id)) return false;
  const ReapStep step = first_step(due);
  Group& group = groups_[due.ended ? kEnded : due.group];
  auto& waiting = group.waiting[static_cast<std::size_t>(step)];
  if (waiting.size() >= limits_.waiting_max) {
    group.more = true;
    if (step == ReapStep::kLockOut) group.more_to_lock = true;
    return false;
  }
  taken_.insert(due.id);
  waiting.push_back(due.id);
  return true;
}

std::optional<ReapStep> ReaperQueue::next_step(const Group& group, bool lock_out) const {
  // Revocations that hang leave a place for the lock-out of others.
  const std::size_t places =
      lock_out || limits_.busy_max == 1 ? limits_.busy_max : limits_.busy_max - 1;
  if (group.busy >= places) return std::nullopt;
  const auto waits = [&](ReapStep step) {
    return !group.waiting[static_cast<std::size_t>(step)].empty();
  };
  if (lock_out) return waits(ReapStep::kLockOut) ? std::optional(ReapStep::kLockOut) : std::nullopt;
  if (group.locking > 0 || group.more_to_lock) return std::nullopt;
  for (const ReapStep step : {ReapStep::kMany, ReapStep::kOne, ReapStep::kRetire})
    if (waits(step)) return step;
  return std::nullopt;
}

ReaperQueue::Batch ReaperQueue::take_from(const std::string& name, Group& group, ReapStep step,
                                          Mode mode) {
  Batch batch{name, step, mode, {}};
  auto& waiting = group.waiting[static_cast<std::size_t>(step)];
  const bool alone = mode == Mode::kProbe || (mode == Mode::kWork && step == ReapStep::kOne);
  while (!waiting.empty() && batch.ids.size() < (alone ? 1 : limits_.batch_max)) {
    batch.ids.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
  ++group.busy;
  if (step == ReapStep::kLockOut) ++group.locking;
  last_ = name;
  return batch;
}

std::optional<ReaperQueue::Batch> ReaperQueue::take(
    const std::function<Mode(const std::string&)>& mode_of) {
  for (const bool lock_out : {true, false}) {
    auto it = groups_.upper_bound(last_);
    for (std::size_t i = 0; i < groups_.size(); ++i, ++it) {
      if (it == groups_.end()) it = groups_.begin();
      const auto step = next_step(it->second, lock_out);
      if (!step) continue;
      const Mode mode = it->first == kEnded ? Mode::kWork : mode_of(it->first);
      if (mode != Mode::kWait) return take_from(it->first, it->second, *step, mode);
    }
  }
  return std::nullopt;
}

void ReaperQueue::push(Group& group, ReapStep step, const std::vector<std::string>& ids) {
  auto& waiting = group.waiting[static_cast<std::size_t>(step)];
  for (const std::string& id : ids) {
    if (waiting.size() >= limits_.waiting_max) {  // found again in the store
      group.more = true;
      return;
    }
    taken_.insert(id);
    waiting.push_back(id);
  }
}

void ReaperQueue::finish(const Batch& batch, const Next& next) {
  Group& group = groups_[batch.group];
  --group.busy;
  if (batch.step == ReapStep::kLockOut) --group.locking;
  for (const std::string& id : batch.ids) taken_.erase(id);
  push(group, ReapStep::kMany, next.many);
  push(group, ReapStep::kOne, next.one);
  if (group.busy == 0 && group.size() == 0 && !group.more) groups_.erase(batch.group);
}

bool ReaperQueue::wants_more() const {
  bool idle = true;
  for (const auto& [name, group] : groups_) {
    idle = idle && group.size() == 0;
    const auto& locking = group.waiting[static_cast<std::size_t>(ReapStep::kLockOut)];
    if (group.more_to_lock && locking.size() <= limits_.waiting_max / 2) return true;
    if (group.more && group.size() <= limits_.waiting_max / 2) return true;
  }
  return idle;
}

void ReaperQueue::clear() {
  groups_.clear();
  taken_.clear();
}

}  // namespace curfew::broker
