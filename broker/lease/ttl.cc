#include "broker/lease/ttl.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"

namespace curfew::broker {
namespace {

Millis first_set(Millis a, Millis b, Millis c) {
  if (a > Millis{0}) return a;
  return b > Millis{0} ? b : c;
}

// The least of those that are set; `a` is.
Millis least_set(Millis a, Millis b) {
  return b > Millis{0} ? std::min(a, b) : a;
}

}  // namespace

Result<Ttl> calculate_ttl(const TtlRules& rules, WallTime now) {
  const bool periodic = rules.period > Millis{0};
  const Millis mount_max = rules.mount_max > Millis{0} ? rules.mount_max : kSystemTtl;
  const Millis max = least_set(least_set(mount_max, rules.role_max), rules.explicit_max);
  Millis ttl = rules.requested > Millis{0} ? rules.requested
                                           : first_set(rules.role_ttl, rules.mount_ttl, kSystemTtl);
  Ttl out;
  if (periodic) {
    ttl = std::min(rules.period, mount_max);
    if (rules.explicit_max > Millis{0})
      ttl = std::min(ttl, rules.issued_at + rules.explicit_max - now);
  } else {
    const Millis left = rules.issued_at + max - now;
    if (left >= Millis{1000} && ttl > left) {
      // A role's or mount's own default that is above the maximum is configuration, not a request.
      if (rules.requested > Millis{0} || now > rules.issued_at)
        out.warnings.push_back(
            fmt::format("TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is "
                        "capped accordingly",
                        format_duration_short(ttl), format_duration_short(left)));
      ttl = left;
    }
    if (left < Millis{1000}) ttl = Millis{0};
  }
  ttl = std::chrono::floor<Seconds>(ttl);
  if (ttl <= Millis{0}) return Error{Errc::kInvalidArgument, "past the max TTL, cannot renew"};
  if (rules.token_end && now + ttl > *rules.token_end) {
    const Millis left = *rules.token_end - now;
    out.warnings.push_back(fmt::format(
        "TTL of \"{}\" is longer than the token that asked for it still lives; the lease ends with "
        "the token, "
        "in {}. Renew the token first, or ask with one that lives longer",
        format_duration_short(ttl), format_duration_short(std::chrono::floor<Seconds>(left))));
    ttl = left;
  }
  out.expires_at = now + ttl;
  out.ttl = std::max<Millis>(std::chrono::round<Seconds>(ttl), Millis{1000});
  return out;
}

}  // namespace curfew::broker
