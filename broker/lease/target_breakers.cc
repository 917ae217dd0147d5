#include "broker/lease/target_breakers.h"

#include <algorithm>

namespace curfew::broker {

TargetBreakers::State TargetBreakers::state(const std::string& group) const {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(group);
  if (it == entries_.end() || !it->second.is_open) return State::kClosed;
  if (it->second.probing) return State::kProbing;
  return clock_.steady() >= it->second.open.next_probe ? State::kDue : State::kOpen;
}

bool TargetBreakers::begin_probe(const std::string& group) {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(group);
  if (it == entries_.end() || !it->second.is_open || it->second.probing) return false;
  it->second.probing = true;
  return true;
}

void TargetBreakers::end_probe(const std::string& group) {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(group);
  if (it == entries_.end() || !it->second.probing) return;
  // Nothing was learned (the store failed, or the lease was gone): the next one probes soon.
  it->second.probing = false;
  it->second.open.next_probe = clock_.steady() + options_.probe_first;
}

// Between half and the whole of the interval, so that targets that went together are not asked
// together.
void TargetBreakers::postpone_probe(Entry& entry) {
  entry.interval = entry.interval == Millis{0} ? options_.probe_first
                                               : std::min(entry.interval * 2, options_.probe_max);
  const auto half =
      static_cast<std::uint32_t>(std::max<std::int64_t>(entry.interval.count() / 2, 1));
  entry.open.next_probe = clock_.steady() + entry.interval - Millis{random_below(random_, half)};
}

void TargetBreakers::failed(const std::string& group, const std::string& lease,
                            const std::string& error) {
  const std::scoped_lock lock(mutex_);
  Entry& entry = entries_[group];
  entry.open.group = group;
  entry.open.error = error;
  ++entry.open.failures;
  if (entry.leases.size() < options_.leases) entry.leases.insert(lease);
  if (entry.is_open) {
    if (entry.probing || clock_.steady() >= entry.open.next_probe) postpone_probe(entry);
    entry.probing = false;
    return;
  }
  if (entry.open.failures < options_.failures || entry.leases.size() < options_.leases) return;
  entry.is_open = true;
  entry.open.since = clock_.wall();
  postpone_probe(entry);
}

bool TargetBreakers::answered(const std::string& group) {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(group);
  if (it == entries_.end()) return false;
  const bool was_open = it->second.is_open;
  entries_.erase(it);
  return was_open;
}

std::vector<TargetBreakers::Open> TargetBreakers::open() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Open> out;
  for (const auto& [group, entry] : entries_)
    if (entry.is_open) out.push_back(entry.open);
  return out;
}

std::optional<TargetBreakers::Open> TargetBreakers::open(const std::string& group) const {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(group);
  if (it == entries_.end() || !it->second.is_open) return std::nullopt;
  return it->second.open;
}

}  // namespace curfew::broker
