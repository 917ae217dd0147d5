#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace curfew::broker {

// What an operator says on an auth method about names that are shut after failed logins; what is
// not said is the method's own.
struct LockoutSettings {
  std::optional<std::int64_t> threshold;
  std::optional<Millis> duration;
  std::optional<Millis> counter_reset;
  std::optional<bool> disabled;
};

// Applies the member user_lockout_config of a tune request or of a mount's config; members of it
// that are absent stay. kInvalidArgument names the member.
Status apply_lockout(const Json& data, LockoutSettings& settings);

// "user_lockout_threshold" and so on, in Vault's form; only what is said.
void add_to_api(const LockoutSettings& settings, Json& data);

Json to_stored(const LockoutSettings& settings);
LockoutSettings lockout_settings_from_stored(const Json& stored);

}  // namespace curfew::broker
