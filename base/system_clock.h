#pragma once

#include "base/clock.h"

namespace curfew {

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  SteadyTime steady() const override;
};

}  // namespace curfew
