#include "broker/lease/batch_revoker.h"

#include <map>

#include "base/contained.h"
#include "broker/lease/receipt.h"

namespace curfew::broker {
namespace {

std::vector<std::string> ids_of(const std::vector<Lease>& leases) {
  std::vector<std::string> ids;
  for (const Lease& lease : leases) ids.push_back(lease.id);
  return ids;
}

}  // namespace

// Those that a batch may be tried for. The claim keeps renewals off, so that what is due stays due.
std::vector<Lease> BatchRevoker::read(const LeaseClaims::Claimed& claimed, bool locked_out) const {
  auto found = leases_.get_all(claimed.ids());
  if (!found) {
    failed("reading", found.error());
    return {};
  }
  const WallTime now = clock_.wall();
  std::erase_if(*found, [&](const Lease& lease) {
    return !is_live(lease.state) || lease.state == LeaseState::kPending || !lease.apply_ended ||
           !lease.next_action_at || *lease.next_action_at > now ||
           lease.phases.contains(engines::phase_name(engines::Phase::kLockOut)) != locked_out ||
           lease.phases.contains(engines::phase_name(engines::Phase::kDrop));
  });
  return *std::move(found);
}

std::vector<engines::LeaseRef> BatchRevoker::refs_of(const std::vector<Lease>& leases) {
  std::vector<engines::LeaseRef> refs;
  for (const Lease& lease : leases) refs.push_back({lease.id, lease.handle});
  return refs;
}

std::vector<std::string> BatchRevoker::failed(std::string_view what, const Error& error) const {
  if (error.code != Errc::kUnsupportedOperation)
    log_.debug("revoking one by one",
               {{"after", std::string(what)}, {"error", error.message}, {"detail", error.detail}});
  return {};
}

std::vector<std::string> BatchRevoker::lock_out(const std::vector<std::string>& ids) {
  const LeaseClaims::Claimed claimed(claims_, ids);
  std::vector<Lease> leases = read(claimed, false);
  if (leases.empty()) return {};
  const auto mount = mounts_.by_accessor(leases.front().mount);
  if (!mount) return {};
  auto notes = contained(log_, "locking leases out", [&] {
    return mount->engine().lock_out(refs_of(leases),
                                    {.deadline = clock_.steady() + options_.attempt_timeout});
  });
  if (!notes) return failed("lock out", notes.error());
  std::map<std::string, Json> note_of;
  for (std::size_t i = 0; i < leases.size() && i < notes->size(); ++i)
    if ((*notes)[i]) note_of[leases[i].id] = *std::move((*notes)[i]);
  std::vector<std::string> locked;
  for (const auto& [id, note] : note_of) locked.push_back(id);
  const WallTime now = clock_.wall();
  const auto changed = leases_.change_all(locked, [&](Lease& lease) -> Status {
    if (!is_live(lease.state)) return Error{Errc::kConflict, "the lease has ended already"};
    begin_attempt(lease, now);
    record_phase(lease, engines::Phase::kLockOut, note_of.at(lease.id), now);
    lease.next_action_at = now;  // behind those that are not locked out yet
    return ok();
  });
  if (!changed) return failed("recording the lock-out", changed.error());
  for (const Lease& lease : *changed) meters_.locked_out.add(Millis{now - *lease.due_at});
  return ids_of(*changed);
}

std::vector<std::string> BatchRevoker::revoke(const std::vector<std::string>& ids) {
  const LeaseClaims::Claimed claimed(claims_, ids);
  std::vector<Lease> leases = read(claimed, true);
  if (leases.empty()) return {};
  const auto mount = mounts_.by_accessor(leases.front().mount);
  if (!mount) return {};
  auto removed = contained(log_, "revoking leases", [&] {
    return mount->engine().revoke_many(refs_of(leases),
                                       {.deadline = clock_.steady() + options_.attempt_timeout});
  });
  if (!removed) return failed("removal", removed.error());
  const WallTime now = clock_.wall();
  std::map<std::string, Lease> over;
  std::vector<std::string> gone;
  for (std::size_t i = 0; i < leases.size() && i < removed->size(); ++i) {
    if (!(*removed)[i]) continue;
    Lease& lease = leases[i];
    engines::Removed& what = *(*removed)[i];
    for (auto& [phase, note] : what.notes) record_phase(lease, phase, std::move(note), now);
    lease.error.clear();
    ends_.end(lease, LeaseState::kRevoked, std::move(what.receipt.checked),
              std::move(what.receipt.warnings));
    gone.push_back(lease.id);
    over.emplace(lease.id, std::move(lease));
  }
  const auto changed = leases_.change_all(gone, [&](Lease& lease) -> Status {
    if (!is_live(lease.state)) return Error{Errc::kConflict, "the lease has ended already"};
    LeaseEnds::copy(over.at(lease.id), lease);
    return ok();
  });
  if (!changed) return failed("recording the removal", changed.error());
  log_.info("leases revoked", {{"number", std::to_string(changed->size())},
                               {"first", changed->empty() ? "" : changed->front().id}});
  return ids_of(*changed);
}

}  // namespace curfew::broker
