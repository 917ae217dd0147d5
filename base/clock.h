#pragma once

#include <chrono>

namespace curfew {

// Two clocks, two types that do not mix. Wall time decides when a lease ends and is what gets
// stored; it may jump. Steady time measures time-outs and never goes back, but means nothing
// after a restart. Only app/ constructs the system's clock.
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using WallTime = std::chrono::sys_time<Millis>;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, Millis>;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual SteadyTime steady() const = 0;
};

inline std::int64_t to_unix_millis(WallTime time) {
  return time.time_since_epoch().count();
}
inline WallTime from_unix_millis(std::int64_t millis) {
  return WallTime{Millis{millis}};
}
inline std::int64_t to_unix_seconds(WallTime time) {
  return std::chrono::floor<Seconds>(time).time_since_epoch().count();
}

}  // namespace curfew
