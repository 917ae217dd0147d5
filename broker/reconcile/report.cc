#include "broker/reconcile/report.h"

#include "base/duration.h"

namespace curfew::broker {
namespace {

struct KindText {
  FindingKind kind;
  const char* name;
  const char* meaning;
};

constexpr KindText kKinds[] = {
    {FindingKind::kUnknownRole, "unknown_role", "bears this mount's mark, and no lease is known"},
    {FindingKind::kLeftoverRole, "leftover_role", "its lease has ended"},
    {FindingKind::kRehearsalRole, "rehearsal_role",
     "was made to try a role's statements, and is still there"},
    {FindingKind::kLeftoverSessions, "leftover_sessions",
     "sessions are open whose lease has ended, or whose role is locked out"},
    {FindingKind::kAbsentRole, "absent_role", "the role of a live lease does not exist"},
    {FindingKind::kUnusableRole, "unusable_role",
     "the role of a live lease cannot log in or has expired"},
    {FindingKind::kChangedMark, "changed_mark",
     "the mark on the role of a live lease was removed or changed"},
    {FindingKind::kRenamedRole, "renamed_role", "the role of a live lease has another name"},
    {FindingKind::kGainedRights, "gained_rights",
     "the role of a live lease has more rights than it was made with"},
    {FindingKind::kExtendedExpiry, "extended_expiry",
     "the role is valid beyond the end of its lease"},
    {FindingKind::kLoginRestored, "login_restored",
     "the role can log in again after it was locked out"},
    {FindingKind::kDamagedLease, "damaged_lease",
     "the stored lease of the role was altered and is not trusted"},
    {FindingKind::kRemovedTarget, "removed_target",
     "the role is of a target that has no configuration any more"},
    {FindingKind::kRemovedMount, "removed_mount", "the role is of a mount that was removed"},
    {FindingKind::kForeignRole, "foreign_role", "the role is another broker's"},
};

const KindText& text_of(FindingKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

Json to_json(const Finding& finding) {
  Json out{{"kind", finding_name(finding.kind)},
           {"target", finding.target},
           {"mount_accessor", finding.mount},
           {"database_role", finding.name},
           {"lease_id", finding.lease_id},
           {"action", finding.action},
           {"meaning", finding_meaning(finding.kind)}};
  if (!finding.lease_state.empty()) out["lease_state"] = finding.lease_state;
  if (!finding.detail.empty()) out["detail"] = finding.detail;
  return out;
}

Json to_json(const TargetReport& target) {
  Json out{{"mount", target.mount},   {"accessor", target.accessor},
           {"target", target.target}, {"roles", target.marked},
           {"leases", target.leases}, {"compared", target.error.empty()}};
  if (!target.error.empty()) out["error"] = target.error;
  if (!target.observed.empty()) out["observed"] = target.observed;
  return out;
}

}  // namespace

const char* finding_name(FindingKind kind) {
  return text_of(kind).name;
}

const char* finding_meaning(FindingKind kind) {
  return text_of(kind).meaning;
}

const std::vector<FindingKind>& all_finding_kinds() {
  static const std::vector<FindingKind> kinds = [] {
    std::vector<FindingKind> all;
    for (const KindText& text : kKinds) all.push_back(text.kind);
    return all;
  }();
  return kinds;
}

void ReconcileReport::add(Finding finding) {
  ++counts[finding.kind];
  if (findings.size() < kFindingsMax) findings.push_back(std::move(finding));
}

std::int64_t ReconcileReport::total() const {
  std::int64_t sum = 0;
  for (const auto& [kind, count] : counts) sum += count;
  return sum;
}

Json ReconcileReport::to_json() const {
  Json by_kind = Json::object();
  for (const auto& [kind, count] : counts) by_kind[finding_name(kind)] = count;
  Json shown_targets = Json::array();
  for (const TargetReport& target : targets) shown_targets.push_back(broker::to_json(target));
  Json shown_findings = Json::array();
  for (const Finding& finding : findings) shown_findings.push_back(broker::to_json(finding));
  return {{"trigger", trigger},
          {"repair", repair},
          {"started_at", format_rfc3339(started_at)},
          {"ended_at", ended_at ? Json(format_rfc3339(*ended_at)) : Json(nullptr)},
          {"targets", std::move(shown_targets)},
          {"counts", std::move(by_kind)},
          {"total", total()},
          {"findings", std::move(shown_findings)},
          {"truncated", total() > static_cast<std::int64_t>(findings.size())}};
}

}  // namespace curfew::broker
