#include "broker/reconcile/repair.h"

#include "broker/lease/lease_codec.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kLeaseIdBytesMax = 1024;
constexpr Millis kRenewTimeout = Seconds{20};

// How a difference is put right; the words stand in the report.
struct Way {
  enum { kNothing, kAdopt, kAdoptExpired, kEndAgain, kEnd, kResetExpiry } what;
  Repair needs;
  const char* done;
};

Way way_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::kUnknownRole:
      return {Way::kAdopt, Repair::kAll, "adopted as a lease that is being revoked"};
    case FindingKind::kRehearsalRole:
      return {Way::kAdoptExpired, Repair::kAll, "adopted as a lease that is being revoked"};
    case FindingKind::kLeftoverRole:
    case FindingKind::kLeftoverSessions:
    case FindingKind::kLoginRestored:
      return {Way::kEndAgain, Repair::kEnded, "its lease is being revoked again"};
    case FindingKind::kAbsentRole:
    case FindingKind::kUnusableRole:
    case FindingKind::kChangedMark:
    case FindingKind::kRenamedRole:
    case FindingKind::kGainedRights: return {Way::kEnd, Repair::kAll, "its lease is being revoked"};
    case FindingKind::kExtendedExpiry:
      return {Way::kResetExpiry, Repair::kAll, "set back to the end of the lease"};
    case FindingKind::kDamagedLease:
    case FindingKind::kRemovedTarget:
    case FindingKind::kRemovedMount:
    case FindingKind::kForeignRole: break;
  }
  return {Way::kNothing, Repair::kAll, ""};
}

// "database/creds/agent-readonly/<random>": the last but one.
std::string role_in(const std::string& lease_id) {
  const auto end = lease_id.rfind('/');
  if (end == std::string::npos || end == 0) return "";
  const auto begin = lease_id.rfind('/', end - 1);
  return lease_id.substr(begin == std::string::npos ? 0 : begin + 1,
                         end - (begin == std::string::npos ? 0 : begin + 1));
}

}  // namespace

const char* repair_name(Repair repair) {
  switch (repair) {
    case Repair::kNone: return "none";
    case Repair::kEnded: return "ended";
    case Repair::kAll: return "all";
  }
  return "none";
}

std::string Repairer::repair(const Difference& difference, Repair allowed) {
  const Way way = way_of(difference.finding.kind);
  if (way.what == Way::kNothing || allowed < way.needs) return "reported";
  const std::string& id = difference.finding.lease_id;
  // Before its end whoever made it may still be at work with it.
  const auto& ends_at = difference.effect.ends_at;
  if (way.what == Way::kAdoptExpired && (!ends_at || *ends_at > parts_.clock.wall()))
    return "reported";
  Status done = ok();
  if (way.what == Way::kAdopt || way.what == Way::kAdoptExpired) done = adopt(difference);
  if (way.what == Way::kEndAgain) done = end_again(id);
  if (way.what == Way::kEnd) done = parts_.lease_service.revoke_later(id);
  if (way.what == Way::kResetExpiry) done = reset_expiry(id);
  parts_.log.warn("difference between target and leases",
                  {{"kind", finding_name(difference.finding.kind)},
                   {"role", difference.finding.name},
                   {"lease", id},
                   {"action", done ? way.done : "failed"},
                   {"error", done ? "" : done.error().message}});
  return done ? way.done : "failed: " + done.error().message;
}

// The mark is all that is known of it.
Status Repairer::adopt(const Difference& difference) {
  const engines::MarkedEffect& effect = difference.effect;
  if (effect.lease_id.size() > kLeaseIdBytesMax || !store::is_storable_text(effect.lease_id))
    return Error{Errc::kInvalidArgument, "the lease that the mark names cannot be one"};
  const WallTime now = parts_.clock.wall();
  Lease lease;
  lease.id = effect.lease_id;
  lease.mount = effect.mount;
  lease.role = role_in(effect.lease_id);
  lease.state = LeaseState::kRevoking;
  lease.issued_at = now;
  lease.expires_at = effect.ends_at.value_or(now);
  lease.next_action_at = now;
  lease.handle = effect.handle;
  lease.attribution = effect.attribution;
  lease.apply_ended = true;
  lease.apply_deadline = now;
  // kConflict where there is a lease of that id meanwhile.
  ASSIGN_OR_RETURN(const std::string sealed, seal_lease(parts_.barrier, lease));
  return parts_.database.write(
      [&](store::Writer& writer) { return insert_lease(writer, parts_.barrier, lease, sealed); });
}

Status Repairer::end_again(const std::string& lease_id) {
  const WallTime now = parts_.clock.wall();
  RETURN_IF_ERROR(parts_.leases.change(lease_id, [&](Lease& lease) -> Status {
    if (lease.state == LeaseState::kPending || lease.state == LeaseState::kActive)
      return Error{Errc::kConflict, "the lease has not ended"};
    lease.state = LeaseState::kRevoking;
    lease.phases.clear();
    lease.error.clear();
    lease.due_at.reset();
    lease.ended_at.reset();
    lease.audit_pending = false;  // the new receipt holds the earlier one
    lease.apply_ended = true;
    lease.next_action_at = now;
    return ok();
  }));
  return ok();
}

// Nobody renews the lease meanwhile: a renewal moves the role's expiry first and the lease's after.
Status Repairer::reset_expiry(const std::string& lease_id) {
  const LeaseClaims::Claim claim(parts_.claims, lease_id);
  ASSIGN_OR_RETURN(const auto lease, parts_.leases.get(lease_id));
  const auto mount = lease ? parts_.mounts.by_accessor(lease->mount) : nullptr;
  if (!mount || lease->state != LeaseState::kActive)
    return Error{Errc::kConflict, "the lease is not active any more"};
  return mount->engine().renew(lease_id, lease->handle, lease->expires_at,
                               {.deadline = parts_.clock.steady() + kRenewTimeout});
}

}  // namespace curfew::broker
