#include "broker/mount/lockout_settings.h"

#include <fmt/format.h>

namespace curfew::broker {
namespace {

constexpr std::int64_t kThresholdMax = 1'000'000;

Status take_duration(const Fields& fields, const char* name, std::optional<Millis>& into) {
  ASSIGN_OR_RETURN(const auto value, fields.duration(name));
  if (!value) return ok();
  if (*value == Millis{0})
    return Error{Errc::kInvalidArgument,
                 fmt::format("field \"user_lockout_config\": {} must be greater than 0", name)};
  into = value;
  return ok();
}

}  // namespace

Status apply_lockout(const Json& data, LockoutSettings& settings) {
  ASSIGN_OR_RETURN(const auto given, Fields(data).object("user_lockout_config"));
  if (!given) return ok();
  const Fields fields(*given);
  ASSIGN_OR_RETURN(const auto threshold, fields.integer("lockout_threshold"));
  if (threshold && (*threshold < 0 || *threshold > kThresholdMax))
    return Error{Errc::kInvalidArgument,
                 fmt::format("field \"user_lockout_config\": lockout_threshold is a number from 0 "
                             "(never) to {}",
                             kThresholdMax)};
  if (threshold) settings.threshold = threshold;
  RETURN_IF_ERROR(take_duration(fields, "lockout_duration", settings.duration));
  RETURN_IF_ERROR(take_duration(fields, "lockout_counter_reset_duration", settings.counter_reset));
  ASSIGN_OR_RETURN(const auto disabled, fields.boolean("lockout_disable"));
  if (disabled) settings.disabled = disabled;
  return ok();
}

void add_to_api(const LockoutSettings& settings, Json& data) {
  const auto seconds = [](Millis time) { return std::chrono::floor<Seconds>(time).count(); };
  if (settings.threshold) data["user_lockout_threshold"] = *settings.threshold;
  if (settings.duration) data["user_lockout_duration"] = seconds(*settings.duration);
  if (settings.counter_reset)
    data["user_lockout_counter_reset_duration"] = seconds(*settings.counter_reset);
  if (settings.disabled) data["user_lockout_disable"] = *settings.disabled;
}

Json to_stored(const LockoutSettings& settings) {
  Json stored = Json::object();
  if (settings.threshold) stored["threshold"] = *settings.threshold;
  if (settings.duration) stored["duration"] = settings.duration->count();
  if (settings.counter_reset) stored["counter_reset"] = settings.counter_reset->count();
  if (settings.disabled) stored["disabled"] = *settings.disabled;
  return stored;
}

LockoutSettings lockout_settings_from_stored(const Json& stored) {
  LockoutSettings settings;
  if (stored.contains("threshold")) settings.threshold = stored["threshold"].get<std::int64_t>();
  if (stored.contains("duration"))
    settings.duration = Millis{stored["duration"].get<std::int64_t>()};
  if (stored.contains("counter_reset"))
    settings.counter_reset = Millis{stored["counter_reset"].get<std::int64_t>()};
  if (stored.contains("disabled")) settings.disabled = stored["disabled"].get<bool>();
  return settings;
}

}  // namespace curfew::broker
