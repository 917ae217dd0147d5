#include "broker/lease/lease_ends.h"

#include <algorithm>

#include "base/duration.h"
#include "broker/attribution.h"
#include "broker/lease/receipt.h"

namespace curfew::broker {
namespace {

constexpr Millis kAuditAgain = Seconds{30};

// What stays of an ended lease; no credential is in it, because none is on the lease.
Json archived(const Lease& lease) {
  return {{"lease_id", lease.id},
          {"mount", lease.mount},
          {"role", lease.role},
          {"target", lease.handle.resource},
          {"state", lease_state_name(lease.state)},
          {"issue_time", format_rfc3339(lease.issued_at)},
          {"expire_time", format_rfc3339(lease.expires_at)},
          {"attribution", to_api(lease.attribution)},
          {"receipt", lease.receipt}};
}

}  // namespace

LeaseEnds::LeaseEnds(LeaseStore& leases, AuditBroker& audit, LeaseMeters& meters,
                     const Clock& clock, Log& log, LeaseEndOptions options)
    : leases_(leases),
      audit_(audit),
      meters_(meters),
      clock_(clock),
      log_(log),
      options_(std::move(options)) {
  if (!options_.archive_file.empty()) archive_.emplace(options_.archive_file);
}

bool LeaseEnds::audit(const Lease& lease) {
  const Status written = audit_.write_end(clock_.wall(), archived(lease));
  if (written) return true;
  ++meters_.unaudited;
  log_.error("end of a lease not audited",
             {{"lease", lease.id}, {"error", written.error().message}});
  return false;
}

void LeaseEnds::end(Lease& lease, LeaseState state, Json checked, Json warnings) {
  const WallTime now = clock_.wall();
  end_lease(lease, state, std::move(checked), std::move(warnings), now);
  lease.audit_pending = !audit(lease);
  lease.next_action_at = now + (lease.audit_pending ? kAuditAgain : options_.retention);
  if (state != LeaseState::kRevoked) return;
  ++meters_.ended;
  meters_.gone.add(Millis{now - lease.due_at.value_or(now)});
}

void LeaseEnds::copy(const Lease& ended, Lease& stored) {
  stored.state = ended.state;
  stored.phases = ended.phases;
  stored.error = ended.error;
  stored.receipt = ended.receipt;
  stored.ended_at = ended.ended_at;
  stored.audit_pending = ended.audit_pending;
  stored.next_action_at = ended.next_action_at;
}

Status LeaseEnds::audit_again(const std::vector<std::string>& ids) {
  if (ids.empty()) return ok();
  const WallTime now = clock_.wall();
  ASSIGN_OR_RETURN(auto leases, leases_.get_all(ids));
  std::vector<std::string> told;
  for (const Lease& lease : leases)
    if (audit(lease)) told.push_back(lease.id);
  RETURN_IF_ERROR(leases_.change_all(ids, [&](Lease& lease) -> Status {
    if (is_live(lease.state)) return Error{Errc::kConflict, "the lease is being revoked again"};
    lease.audit_pending = std::find(told.begin(), told.end(), lease.id) == told.end();
    lease.next_action_at =
        lease.audit_pending ? now + kAuditAgain : lease.ended_at.value_or(now) + options_.retention;
    return ok();
  }));
  return ok();
}

Result<std::vector<std::string>> LeaseEnds::retire(const std::vector<std::string>& ids) {
  ASSIGN_OR_RETURN(const auto leases, leases_.get_all(ids));
  std::vector<std::string> unaudited, over, unreadable = ids;
  std::vector<Json> lines;
  for (const Lease& lease : leases) {
    std::erase(unreadable, lease.id);
    if (is_live(lease.state)) continue;
    (lease.audit_pending ? unaudited : over).push_back(lease.id);
    if (!lease.audit_pending) lines.push_back(archived(lease));
  }
  const Status audited = audit_again(unaudited);
  if (archive_ && !lines.empty()) RETURN_IF_ERROR(archive_->append(lines));
  RETURN_IF_ERROR(leases_.remove_all(over));
  RETURN_IF_ERROR(audited);
  return unreadable;
}

}  // namespace curfew::broker
