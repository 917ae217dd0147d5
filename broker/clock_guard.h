#pragma once

#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/log.h"

namespace curfew::broker {

// The wall clock as the broker believes it. It goes on with the steady clock and follows the
// machine's wall clock forward, but
//   - never back: when the machine's clock is set back this one goes on from where it was, so that
//     nothing lives longer by it;
//   - not far at once: a jump forward by more than `jump_max` is held until somebody confirms it,
//     so that a wrong clock does not end everything.
// Leases, tokens and what else the broker dates are all judged by this one clock. Thread-safe.
class ClockGuard final : public Clock {
 public:
  // Both outlive this. `jump_max` 0: no jump is held.
  ClockGuard(const Clock& machine, Millis jump_max, Log& log);

  WallTime wall() const override;
  SteadyTime steady() const override { return machine_.steady(); }

  // What was believed before a restart: time goes on from there at least.
  void resume(WallTime last_seen);

  struct State {
    WallTime machine;               // what the machine's clock says
    WallTime believed;              // what wall() gives
    bool held = false;              // a jump forward waits to be confirmed
    std::optional<WallTime> since;  // when the difference was noticed, as believed then
  };
  State state() const;

  // The machine's clock is right: believe it, wherever it is.
  State confirm();

 private:
  WallTime now() const;  // mutex_ is held
  void note(Millis ahead, WallTime believed) const;

  const Clock& machine_;
  const Millis jump_max_;
  Log& log_;
  mutable std::mutex mutex_;
  // Guarded by mutex_: what is believed is the steady clock plus this.
  mutable Millis offset_{0};
  mutable bool held_ = false;
  mutable bool behind_ = false;  // the machine's clock is behind what is believed
  mutable std::optional<WallTime> since_;
};

}  // namespace curfew::broker
