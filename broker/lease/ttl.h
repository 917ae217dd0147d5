#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::broker {

// 32 days: what Vault's clients expect where nothing is configured.
inline constexpr Millis kSystemTtl = std::chrono::hours{768};

struct TtlRules {
  Millis requested{0};  // what the caller asked for, counted from now; 0: nothing
  Millis period{0};     // > 0: each renewal gives this, without the bound of max_ttl from the issue
  Millis role_ttl{0};   // 0: the mount's
  Millis mount_ttl{0};  // 0: the system's
  Millis role_max{0};   // 0: the mount's
  Millis mount_max{0};  // 0: the system's
  Millis explicit_max{0};  // counted from the issue, whatever else holds; 0: none
  WallTime issued_at = {};
  // The end of the token that the lease belongs to: nothing outlives it.
  std::optional<WallTime> token_end = {};
};

struct Ttl {
  Millis ttl{0};  // whole seconds, at least one
  WallTime expires_at;
  std::vector<std::string> warnings = {};
};

// How long a credential may live from `now` on. The request wins over the role, the role over the
// mount, the mount over the system; the least maximum counts, from the time of issue. Every cut
// gives a warning. kInvalidArgument: the maximum is over ("past the max TTL, cannot renew").
Result<Ttl> calculate_ttl(const TtlRules& rules, WallTime now);

}  // namespace curfew::broker
