#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "broker/clock_guard.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

struct ClockOptions {
  // A jump of the machine's clock forward by more is held until it is confirmed; 0: none is.
  Millis jump_max = std::chrono::minutes{10};
};

// What the clock guard knows across restarts. Used by one thread at a time.
class ClockKeeper {
 public:
  // All references outlive this object.
  ClockKeeper(ClockGuard& guard, store::Database& database, const store::Records& records)
      : guard_(guard), database_(database), records_(records) {}

  // After a start: time goes on from the latest that was remembered.
  Status resume();

  // Durable when it returns success.
  Status remember();

 private:
  ClockGuard& guard_;
  store::Database& database_;
  const store::Records& records_;
};

}  // namespace curfew::broker
