#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/route.h"

namespace curfew::engines::postgres {

// When a password is changed: so long after the last time, or by the clock, or only on demand.
struct RotationPlan {
  Millis period{0};           // 0: not by period
  std::string schedule = {};  // cron's five fields, UTC; empty: not by schedule
  Millis window{0};           // after a time of the schedule; 0: until it is done

  bool is_on_demand() const { return period == Millis{0} && schedule.empty(); }

  // When the next change is due, given the last one; not after `now` means that it is due. A window
  // that is over is passed by. nullopt: only on demand.
  std::optional<WallTime> due(WallTime last, WallTime now) const;

  // rotation_period, or rotation_schedule and rotation_window, in seconds, as a read shows them.
  void show(Json& out) const;

  Json to_json() const;
  static Result<RotationPlan> from_json(const Json& stored);
};

// The fields rotation_period, rotation_schedule and rotation_window of a write on top of what is
// stored; those that are left out keep their values, and one kind takes the place of the other. A
// period of 0 means on demand. `given` tells whether the write says anything. kInvalidArgument
// names the field.
Status merge_rotation_plan(const Json& data, RotationPlan& plan, bool& given);

// For the API description.
std::vector<FieldSpec> rotation_plan_fields();

}  // namespace curfew::engines::postgres
