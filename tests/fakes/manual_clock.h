#pragma once

#include <mutex>

#include "base/clock.h"

namespace curfew::fakes {

// A clock that stands until it is moved. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = from_unix_millis(1'800'000'000'000)) : wall_(start) {}

  WallTime wall() const override {
    const std::scoped_lock lock(mutex_);
    return wall_;
  }
  SteadyTime steady() const override {
    const std::scoped_lock lock(mutex_);
    return steady_;
  }
  // Moves both clocks, as time does.
  void advance(Millis by) {
    const std::scoped_lock lock(mutex_);
    wall_ += by;
    steady_ += by;
  }
  // Moves the wall clock alone, as an operator or NTP does; `by` may be negative.
  void step_wall(Millis by) {
    const std::scoped_lock lock(mutex_);
    wall_ += by;
  }

 private:
  mutable std::mutex mutex_;
  WallTime wall_;
  SteadyTime steady_{};
};

}  // namespace curfew::fakes
