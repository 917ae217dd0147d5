#include "broker/identity/standing_cache.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kRecentMax = 8192;

}  // namespace

std::uint64_t StandingCache::generation() const {
  const std::scoped_lock lock(mutex_);
  return generation_;
}

std::shared_ptr<const Standing> StandingCache::find(const std::string& id) {
  const std::scoped_lock lock(mutex_);
  const auto recent = recent_.find(id);
  if (recent != recent_.end()) return recent->second;
  const auto older = older_.find(id);
  if (older == older_.end()) return nullptr;
  auto standing = older->second;
  older_.erase(older);
  if (recent_.size() >= kRecentMax) {
    older_ = std::move(recent_);
    recent_.clear();
  }
  recent_.emplace(id, standing);
  return standing;
}

void StandingCache::put(const std::string& id, std::shared_ptr<const Standing> standing,
                        std::uint64_t generation) {
  const std::scoped_lock lock(mutex_);
  if (generation != generation_) return;
  if (recent_.size() >= kRecentMax) {
    older_ = std::move(recent_);
    recent_.clear();
  }
  recent_[id] = std::move(standing);
}

void StandingCache::forget(const std::string& id) {
  const std::scoped_lock lock(mutex_);
  ++generation_;
  recent_.erase(id);
  older_.erase(id);
}

void StandingCache::forget_all() {
  const std::scoped_lock lock(mutex_);
  ++generation_;
  recent_.clear();
  older_.clear();
}

}  // namespace curfew::broker
