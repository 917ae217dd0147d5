#pragma once

#include <bitset>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace curfew {

// A schedule in the five fields of cron: minute, hour, day of the month, month, day of the week.
// Always UTC, so that no hour is missing or comes twice. Immutable; thread-safe.
//
// A field is a list of "*" (or "?"), "7", "1-5", each with a step: "*/15", "10-40/10", "5/20" (from
// 5 to the end). Months and days of the week may be named (JAN, sun); 0 and 7 are Sunday. Where
// both kinds of day are restricted, a day that fits either one counts.
class CronSchedule {
 public:
  // kInvalidArgument says which field is wrong and why, or that there is no such day at all.
  static Result<CronSchedule> parse(std::string_view text);

  // The first time after `time`. nullopt: none within a hundred years.
  std::optional<WallTime> next(WallTime time) const;
  // The last time that is not after `time`. nullopt: none within a hundred years.
  std::optional<WallTime> latest(WallTime time) const;

 private:
  bool fits(std::chrono::sys_days day) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_day_ = false;      // the field begins with '*'
  bool any_weekday_ = false;  // the same
};

}  // namespace curfew
