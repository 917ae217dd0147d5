#include "broker/lease/receipt.h"

#include <algorithm>

#include "base/duration.h"

namespace curfew::broker {

std::string target_group(const Lease& lease) {
  return lease.mount + ' ' + lease.handle.resource;
}

void begin_attempt(Lease& lease, WallTime now) {
  if (!lease.due_at) lease.due_at = std::min(lease.next_action_at.value_or(now), now);
  if (lease.state != LeaseState::kQuarantined) lease.state = LeaseState::kRevoking;
  if (lease.attempts == 0 || !lease.error.empty()) ++lease.attempts;
}

void record_phase(Lease& lease, engines::Phase phase, Json note, WallTime now) {
  if (!note.is_object()) note = Json::object();
  note["at"] = format_rfc3339(now);
  lease.phases[engines::phase_name(phase)] = std::move(note);
}

void end_lease(Lease& lease, LeaseState state, Json checked, Json warnings, WallTime now) {
  Json phases = Json::object();
  for (const auto& [name, note] : lease.phases) phases[name] = note;
  const Json earlier = std::exchange(lease.receipt, nullptr);
  lease.state = state;
  lease.receipt = {{"lease_id", lease.id},
                   {"proven", state == LeaseState::kRevoked},
                   {"due_at", format_rfc3339(lease.due_at.value_or(now))},
                   {"ended_at", format_rfc3339(now)},
                   {"attempts", lease.attempts},
                   {"subject", lease.handle.fields.value("receipt_subject", Json::object())},
                   {"phases", std::move(phases)},
                   {"checked", std::move(checked)},
                   {"warnings", std::move(warnings)}};
  if (!lease.approval.is_null()) lease.receipt["approval"] = lease.approval;
  // It had ended before, and something of it was found again.
  if (earlier.is_object()) lease.receipt["earlier"] = earlier;
  lease.ended_at = now;
}

}  // namespace curfew::broker
