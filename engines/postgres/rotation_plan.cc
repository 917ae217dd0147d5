#include "engines/postgres/rotation_plan.h"

#include <fmt/format.h>

#include "base/cron.h"

namespace curfew::engines::postgres {
namespace {

constexpr Millis kPeriodMin = Seconds{5};
constexpr Millis kWindowMin = Seconds{3600};

Error bad(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

}  // namespace

std::optional<WallTime> RotationPlan::due(WallTime last, WallTime now) const {
  if (period > Millis{0}) return last + period;
  if (schedule.empty()) return std::nullopt;
  const auto cron = CronSchedule::parse(schedule);
  if (!cron) return std::nullopt;  // it was checked when it was written
  if (window == Millis{0}) return cron->next(last);
  const auto latest = cron->latest(now);
  if (latest && *latest > last && now < *latest + window) return latest;
  return cron->next(now);
}

void RotationPlan::show(Json& out) const {
  if (schedule.empty()) {
    out["rotation_period"] = seconds(period);
    return;
  }
  out["rotation_schedule"] = schedule;
  out["rotation_window"] = seconds(window);
}

Json RotationPlan::to_json() const {
  return Json{{"period_ms", period.count()}, {"schedule", schedule}, {"window_ms", window.count()}};
}

Result<RotationPlan> RotationPlan::from_json(const Json& stored) {
  const Fields fields(stored);
  RotationPlan plan;
  ASSIGN_OR_RETURN(const auto period, fields.integer_or("period_ms", 0));
  ASSIGN_OR_RETURN(plan.schedule, fields.text_or("schedule", ""));
  ASSIGN_OR_RETURN(const auto window, fields.integer_or("window_ms", 0));
  plan.period = Millis{period};
  plan.window = Millis{window};
  return plan;
}

Status merge_rotation_plan(const Json& data, RotationPlan& plan, bool& given) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(const auto period, fields.duration("rotation_period"));
  ASSIGN_OR_RETURN(const std::string schedule, fields.text_or("rotation_schedule", ""));
  ASSIGN_OR_RETURN(const auto window, fields.duration("rotation_window"));
  given = period || !schedule.empty();
  if (period && *period > Millis{0} && !schedule.empty())
    return bad(
        "mutually exclusive fields rotation_period and rotation_schedule were both specified; "
        "only one of them can be provided");
  if (period) {
    if (*period > Millis{0} && *period < kPeriodMin)
      return bad("rotation_period must be 5 seconds or more, or 0 for on demand only");
    plan.period = *period;
    if (*period > Millis{0}) plan.schedule.clear();
    if (schedule.empty()) plan = {.period = plan.period};
  }
  if (!schedule.empty()) {
    const auto cron = CronSchedule::parse(schedule);
    if (!cron) return bad("rotation_schedule: " + cron.error().message);
    plan.schedule = schedule;
    plan.period = Millis{0};
  }
  if (window) {
    if (plan.schedule.empty() && *window > Millis{0})
      return bad("rotation_window is invalid without rotation_schedule");
    if (*window > Millis{0} && *window < kWindowMin)
      return bad("rotation_window must be 3600 seconds or more");
    plan.window = *window;
  }
  return ok();
}

std::vector<FieldSpec> rotation_plan_fields() {
  return {
      {"rotation_period", FieldType::kDuration,
       "how long after the last change the password is changed again; 0: only on demand"},
      {"rotation_schedule", FieldType::kText,
       "when it is changed instead: minute, hour, day of the month, month, day of the week, UTC"},
      {"rotation_window", FieldType::kDuration,
       "how long after a time of the schedule it may still begin (an hour at least)"},
  };
}

}  // namespace curfew::engines::postgres
