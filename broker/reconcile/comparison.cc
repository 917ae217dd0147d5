#include "broker/reconcile/comparison.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::broker {
namespace {

constexpr std::size_t kRolesPage = 500;
constexpr std::size_t kLeasesPage = 200;
constexpr Millis kCallTimeout = Seconds{20};
// How the marks of roles begin that only try a role's statements.
constexpr std::string_view kRehearsal = "rehearsal/";

engines::ExpectedEffect expected_of(const Lease& lease) {
  return {lease.id, lease.handle, lease.expires_at};
}

bool is_done(const Lease& lease, engines::Phase phase) {
  return lease.phases.contains(engines::phase_name(phase));
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

}  // namespace

Comparison::Comparison(const Parts& parts, std::shared_ptr<const Mount> mount, std::string target,
                       bool with_foreign, std::function<void(const Difference&)> found)
    : parts_(parts),
      mount_(std::move(mount)),
      inventory_(*engines::inventory_of(mount_->engine())),
      target_(std::move(target)),
      with_foreign_(with_foreign),
      found_(std::move(found)) {}

engines::CallContext Comparison::in_time() const {
  return {.deadline = parts_.clock.steady() + kCallTimeout};
}

Status Comparison::run(TargetReport& report) {
  ASSIGN_OR_RETURN(configured_, inventory_.resources());
  const LeaseFilter on_target{.mount = mount_->entry.accessor, .resource = target_};
  RETURN_IF_ERROR(compare_leases(on_target, &report.leases));
  RETURN_IF_ERROR(compare_roles(report));
  // Ended leases are many, so the target is asked first whether one of them could matter. Those
  // that were given up may have left anything.
  ASSIGN_OR_RETURN(const bool ownerless, inventory_.has_ownerless_sessions(target_, in_time()));
  for (const LeaseState state : {LeaseState::kAbandoned, LeaseState::kRevoked}) {
    LeaseFilter ended = on_target;
    ended.state = state;
    if (ownerless || state == LeaseState::kAbandoned)
      RETURN_IF_ERROR(compare_leases(ended, nullptr));
  }
  return ok();
}

// ---- from the roles to the leases ---------------------------------------------------------------

Status Comparison::compare_roles(TargetReport& report) {
  std::string after;
  do {
    if (parts_.stopping()) return Error{Errc::kSealed, "stopped before the end"};
    ASSIGN_OR_RETURN(const auto page, inventory_.marked(target_, after, kRolesPage, in_time()));
    std::vector<Difference> suspects;
    for (const engines::MarkedEffect& effect : page.effects) {
      report.marked += effect.mount == mount_->entry.accessor && effect.resource == target_ ? 1 : 0;
      ASSIGN_OR_RETURN(auto difference, judge_role(effect));
      if (difference) suspects.push_back(*std::move(difference));
    }
    RETURN_IF_ERROR(confirm_roles(std::move(suspects)));
    after = page.next;
  } while (!after.empty());
  return ok();
}

// The lease is read after the role was seen: it was durable before the role could exist.
Result<std::optional<Difference>> Comparison::judge_role(
    const engines::MarkedEffect& effect) const {
  if (effect.mount != mount_->entry.accessor) return judge_other_mount(effect);
  const auto difference = [&](FindingKind kind, std::string state = "", std::string detail = "") {
    return std::optional{Difference{{.kind = kind,
                                     .target = effect.resource,
                                     .mount = effect.mount,
                                     .name = effect.name,
                                     .lease_id = effect.lease_id,
                                     .lease_state = std::move(state),
                                     .detail = std::move(detail)},
                                    effect}};
  };
  if (effect.resource != target_) {
    const bool elsewhere =
        std::find(configured_.begin(), configured_.end(), effect.resource) != configured_.end();
    if (elsewhere) return std::optional<Difference>{};  // it is met there
    return difference(FindingKind::kRemovedTarget, "",
                      fmt::format("write {}config/{} again, and its leases can be ended",
                                  mount_->entry.path, effect.resource));
  }
  const auto lease = parts_.leases.get(effect.lease_id);
  if (!lease && lease.error().code == Errc::kCorrupt)
    return difference(FindingKind::kDamagedLease, "", lease.error().message);
  if (!lease) return lease.error();
  if (!*lease && effect.lease_id.starts_with(kRehearsal))
    return difference(FindingKind::kRehearsalRole);
  if (!*lease) return difference(FindingKind::kUnknownRole);
  if (is_live((*lease)->state)) return std::optional<Difference>{};
  return difference(FindingKind::kLeftoverRole, lease_state_name((*lease)->state));
}

Result<std::optional<Difference>> Comparison::judge_other_mount(
    const engines::MarkedEffect& effect) const {
  if (parts_.mounts.by_accessor(effect.mount)) return std::optional<Difference>{};
  const auto lease = parts_.leases.get(effect.lease_id);
  if (!lease && lease.error().code != Errc::kCorrupt) return lease.error();
  const bool ours = lease && *lease && (*lease)->mount == effect.mount;
  if (!ours && !with_foreign_) return std::optional<Difference>{};
  return std::optional{
      Difference{{.kind = ours ? FindingKind::kRemovedMount : FindingKind::kForeignRole,
                  .target = effect.resource,
                  .mount = effect.mount,
                  .name = effect.name,
                  .lease_id = effect.lease_id,
                  .lease_state = ours ? lease_state_name((*lease)->state) : "",
                  .detail = ours ? "no mount is left to end it: drop the role by hand" : ""},
                 effect}};
}

// A lease that ended a moment ago takes its role with it.
Status Comparison::confirm_roles(std::vector<Difference> suspects) {
  std::vector<engines::ExpectedEffect> effects;
  for (const Difference& suspect : suspects)
    effects.push_back({suspect.effect.lease_id, suspect.effect.handle, {}});
  ASSIGN_OR_RETURN(const States seen, inventory_.inspect(target_, effects, in_time()));
  for (std::size_t i = 0; i < suspects.size(); ++i) {
    if (seen[i].present) found_(suspects[i]);
  }
  return ok();
}

// ---- from the leases to the roles ---------------------------------------------------------------

Status Comparison::compare_leases(const LeaseFilter& filter, std::int64_t* compared) {
  std::string after;
  for (;;) {
    if (parts_.stopping()) return Error{Errc::kSealed, "stopped before the end"};
    ASSIGN_OR_RETURN(const auto page, parts_.leases.find(filter, after, kLeasesPage));
    if (page.empty()) return ok();
    after = page.back().id;
    std::vector<Lease> settled;
    std::copy_if(page.begin(), page.end(), std::back_inserter(settled),
                 [this](const Lease& lease) { return is_settled(lease); });
    if (compared != nullptr) *compared += static_cast<std::int64_t>(settled.size());
    RETURN_IF_ERROR(compare_page(settled));
  }
}

// Whether the role is as the lease says: not while it is being made, nor when it is about to be
// taken away.
bool Comparison::is_settled(const Lease& lease) const {
  const WallTime now = parts_.clock.wall();
  if (lease.state == LeaseState::kPending) return false;
  if (lease.state == LeaseState::kActive) return lease.expires_at > now;
  return lease.apply_ended || lease.apply_deadline <= now;
}

Result<Comparison::States> Comparison::inspect(const std::vector<Lease>& leases) const {
  std::vector<engines::ExpectedEffect> effects;
  effects.reserve(leases.size());
  for (const Lease& lease : leases) effects.push_back(expected_of(lease));
  return inventory_.inspect(target_, effects, in_time());
}

std::vector<Finding> Comparison::judge_lease(const Lease& lease,
                                             const engines::EffectState& seen) const {
  std::vector<Finding> findings;
  const auto add = [&](FindingKind kind, std::string detail = "") {
    findings.push_back({.kind = kind,
                        .target = target_,
                        .mount = lease.mount,
                        .name = seen.name,
                        .lease_id = lease.id,
                        .lease_state = lease_state_name(lease.state),
                        .detail = std::move(detail)});
  };
  const std::string sessions = fmt::format("{} sessions", seen.sessions);
  if (!is_live(lease.state)) {
    // Those that bear the mark are met among the roles.
    if (seen.present && !seen.marked) add(FindingKind::kLeftoverRole, "without its mark");
    if (!seen.present && seen.sessions > 0) add(FindingKind::kLeftoverSessions, sessions);
  } else if (lease.state != LeaseState::kActive) {
    if (seen.usable && is_done(lease, engines::Phase::kLockOut)) add(FindingKind::kLoginRestored);
    if (seen.sessions > 0 && is_done(lease, engines::Phase::kTerminate))
      add(FindingKind::kLeftoverSessions, sessions);
  } else if (!seen.present) {
    add(FindingKind::kAbsentRole);
  } else {
    if (!seen.usable) add(FindingKind::kUnusableRole);
    if (!seen.marked) add(FindingKind::kChangedMark);
    if (seen.renamed) add(FindingKind::kRenamedRole);
    if (!seen.gained.empty()) add(FindingKind::kGainedRights, joined(seen.gained));
    // A renewal moves the role's expiry first and the lease's after.
    if (seen.outlives_lease && !parts_.claims.contains(lease.id)) add(FindingKind::kExtendedExpiry);
  }
  return findings;
}

Status Comparison::compare_page(const std::vector<Lease>& page) {
  ASSIGN_OR_RETURN(const States seen, inspect(page));
  std::vector<Lease> suspects;
  States states;
  for (std::size_t i = 0; i < page.size(); ++i) {
    if (judge_lease(page[i], seen[i]).empty()) continue;
    suspects.push_back(page[i]);
    states.push_back(seen[i]);
  }
  return confirm_leases(suspects, states);
}

// Once more, for leases that have not moved on since.
Status Comparison::confirm_leases(const std::vector<Lease>& suspects, const States& before) {
  if (suspects.empty()) return ok();
  ASSIGN_OR_RETURN(const States again, inspect(suspects));
  for (std::size_t i = 0; i < suspects.size(); ++i) {
    ASSIGN_OR_RETURN(const auto now, parts_.leases.get(suspects[i].id));
    const bool same = now && now->state == suspects[i].state &&
                      now->expires_at == suspects[i].expires_at && is_settled(*now);
    if (!same) continue;
    const auto first = judge_lease(*now, before[i]);
    for (Finding& finding : judge_lease(*now, again[i])) {
      const bool twice = std::any_of(first.begin(), first.end(), [&](const Finding& earlier) {
        return earlier.kind == finding.kind;
      });
      if (twice) found_({std::move(finding), {}, now->expires_at});
    }
  }
  return ok();
}

}  // namespace curfew::broker
