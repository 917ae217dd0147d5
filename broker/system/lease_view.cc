#include "broker/system/lease_view.h"

#include "base/duration.h"
#include "broker/attribution.h"

namespace curfew::broker {
namespace {

Json time_or_null(const std::optional<WallTime>& time) {
  return time ? Json(format_rfc3339(*time)) : Json(nullptr);
}

// What is taken away, or was, has no time left, whenever it would have ended by itself.
std::int64_t seconds_left(const Lease& lease, WallTime now) {
  if (lease.state != LeaseState::kPending && lease.state != LeaseState::kActive) return 0;
  return std::chrono::floor<Seconds>(lease.expires_at - now).count();
}

// What is done of a revocation that is not over; afterwards the receipt has it.
Json phases_of(const Lease& lease) {
  Json done = Json::object();
  for (const auto& [name, note] : lease.phases) done[name] = note;
  return done;
}

}  // namespace

Json lease_view(const Lease& lease, WallTime now) {
  Json out = {{"id", lease.id},
              {"issue_time", format_rfc3339(lease.issued_at)},
              {"expire_time", format_rfc3339(lease.expires_at)},
              {"last_renewal", time_or_null(lease.last_renewal)},
              {"renewable", lease.renewable && lease.state == LeaseState::kActive},
              {"ttl", seconds_left(lease, now)},
              {"state", lease_state_name(lease.state)}};
  out["attribution"] = to_api(lease.attribution);
  if (!lease.approval.is_null()) out["approval"] = lease.approval;
  if (is_live(lease.state) && lease.state != LeaseState::kActive) {
    out["attempts"] = lease.attempts;
    out["next_attempt"] = time_or_null(lease.next_action_at);
    if (!lease.error.empty()) out["revoke_error"] = lease.error;
    if (!lease.phases.empty()) out["phases"] = phases_of(lease);
  }
  if (!lease.receipt.is_null()) out["receipt"] = lease.receipt;
  return out;
}

}  // namespace curfew::broker
