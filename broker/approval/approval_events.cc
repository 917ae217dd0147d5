#include "broker/approval/approval_events.h"

namespace curfew::broker {
namespace {

// Calls something when the last holder lets go.
std::shared_ptr<void> on_release(std::function<void()> release) {
  return {nullptr, [release = std::move(release)](void*) { release(); }};
}

}  // namespace

std::shared_ptr<void> ApprovalEvents::Watch::arm(std::function<void()> wake) {
  const std::scoped_lock lock(mutex_);
  if (fired_) {
    wake();
    return nullptr;
  }
  wake_ = std::move(wake);
  return on_release([self = shared_from_this()] {
    const std::scoped_lock releasing(self->mutex_);
    self->wake_ = nullptr;
  });
}

void ApprovalEvents::Watch::fire() {
  const std::scoped_lock lock(mutex_);
  if (fired_) return;
  fired_ = true;
  if (wake_) wake_();
  wake_ = nullptr;
}

std::shared_ptr<ApprovalEvents::Watch> ApprovalEvents::watch(const std::string& id) {
  auto watch = std::make_shared<Watch>();
  const std::scoped_lock lock(mutex_);
  if (watches_.size() >= sweep_at_) {
    std::erase_if(watches_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = 2 * watches_.size() + 64;
  }
  watches_.emplace(id, watch);
  return watch;
}

std::shared_ptr<void> ApprovalEvents::listen(std::function<void(const ApprovalEvent&)> call) {
  auto listener = std::make_shared<Listener>();
  listener->call = std::move(call);
  {
    const std::scoped_lock lock(mutex_);
    listeners_.push_back(listener);
  }
  // Whoever is in the middle of a call is waited for.
  return on_release([listener] {
    const std::scoped_lock lock(listener->mutex);
    listener->call = nullptr;
  });
}

void ApprovalEvents::publish(const ApprovalEvent& event) {
  std::vector<std::shared_ptr<Watch>> watches;
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    const std::scoped_lock lock(mutex_);
    const auto [begin, end] = watches_.equal_range(event.id);
    for (auto it = begin; it != end; ++it)
      if (auto watch = it->second.lock()) watches.push_back(std::move(watch));
    watches_.erase(begin, end);
    std::erase_if(listeners_, [&](const std::weak_ptr<Listener>& weak) {
      auto listener = weak.lock();
      if (listener == nullptr) return true;
      listeners.push_back(std::move(listener));
      return false;
    });
  }
  for (const auto& watch : watches) watch->fire();
  for (const auto& listener : listeners) {
    const std::scoped_lock lock(listener->mutex);
    if (listener->call) listener->call(event);
  }
}

std::size_t ApprovalEvents::listeners() const {
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  for (const auto& weak : listeners_) count += weak.expired() ? 0 : 1;
  return count;
}

}  // namespace curfew::broker
