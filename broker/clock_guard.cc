#include "broker/clock_guard.h"

#include "base/duration.h"

namespace curfew::broker {
namespace {

// Smaller steps back are not worth a word.
constexpr Millis kNoticed = Seconds{2};

Millis offset_of(const Clock& clock, WallTime wall) {
  return Millis{(wall.time_since_epoch() - clock.steady().time_since_epoch())};
}

}  // namespace

ClockGuard::ClockGuard(const Clock& machine, Millis jump_max, Log& log)
    : machine_(machine), jump_max_(jump_max), log_(log) {
  offset_ = offset_of(machine_, machine_.wall());
}

void ClockGuard::note(Millis ahead, WallTime believed) const {
  since_ = believed;
  const bool forward = ahead > Millis{0};
  log_.error(forward ? "clock jumped forward" : "clock was set back",
             {{"by", format_duration_short(forward ? ahead : -ahead)},
              {"believed", format_rfc3339(believed)},
              {"effect", forward ? "what fell due by it is held until: curfew clock confirm"
                                 : "time goes on from where it was"}});
}

WallTime ClockGuard::now() const {
  // In this order: a pause between the two must not look like a jump forward, which stays.
  const WallTime machine = machine_.wall();
  const WallTime believed{machine_.steady().time_since_epoch() + offset_};
  const Millis ahead{machine - believed};
  const bool held = jump_max_ > Millis{0} && ahead > jump_max_;
  if (held && !held_) note(ahead, believed);
  const bool behind = ahead < -kNoticed;
  if (behind && !behind_) note(ahead, believed);
  held_ = held;
  behind_ = behind;
  if (held || ahead <= Millis{0}) return believed;
  since_.reset();
  offset_ += ahead;
  return believed + ahead;
}

WallTime ClockGuard::wall() const {
  const std::scoped_lock lock(mutex_);
  return now();
}

void ClockGuard::resume(WallTime last_seen) {
  const std::scoped_lock lock(mutex_);
  const WallTime believed = now();
  if (last_seen <= believed) return;
  offset_ += Millis{last_seen - believed};
  (void)now();
}

ClockGuard::State ClockGuard::state() const {
  const std::scoped_lock lock(mutex_);
  const WallTime believed = now();
  return {machine_.wall(), believed, held_, held_ || behind_ ? since_ : std::nullopt};
}

ClockGuard::State ClockGuard::confirm() {
  {
    const std::scoped_lock lock(mutex_);
    offset_ = offset_of(machine_, machine_.wall());
    held_ = behind_ = false;
    since_.reset();
  }
  log_.warn("clock confirmed", {{"now", format_rfc3339(machine_.wall())}});
  return state();
}

}  // namespace curfew::broker
