#include <fmt/format.h>

#include <algorithm>

#include "broker/approval/approval_service.h"

// Going ahead without an approver: by a rule of the policy, or by breaking the glass.
namespace curfew::broker {
namespace {

constexpr std::size_t kReasonOfBreakGlassMin = 10;  // characters
constexpr Millis kHour = std::chrono::hours{1};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

// Rules of the policy that approve without a person, or would.
Status ApprovalService::apply_rules(store::Writer& writer, const policy::ApprovalRule& rule,
                                    Approval& approval, std::string& event) const {
  for (const policy::AutoApproval& automatic : rule.automatic) {
    const std::string name = automatic.name + '@' + approval.rule_path;
    std::string why_not;
    if (approval.is_task() || approval.role.empty()) why_not = "only single leases are";
    if (approval.ttl > automatic.max_ttl) why_not = "the TTL is longer than the rule's";
    if (why_not.empty()) {
      ASSIGN_OR_RETURN(const std::int64_t used,
                       parts_.store.count_automatic(writer, name, approval.created_at - kHour));
      if (used >= automatic.per_hour) why_not = "the rule's budget for this hour is used up";
    }
    if (automatic.shadow) {
      approval.shadow.push_back(
          {{"rule", automatic.name}, {"would_approve", why_not.empty()}, {"why", why_not}});
      continue;
    }
    if (!why_not.empty() || approval.state != ApprovalState::kPending) continue;
    approval.automatic = name;
    approval.decisions.push_back(
        {.by_name = automatic.name,
         .verdict = Verdict::kAutomatic,
         .reason = fmt::format("rule \"{}\" of {} ({})", automatic.name, approval.rule_path,
                               approval.policy_version),
         .at = approval.created_at,
         .digest = approval.digest});
    approve(approval, approval.created_at);
    event = "auto_approved";
  }
  return ok();
}

Status ApprovalService::break_glass(const ApprovalSubject& subject, Approval& approval,
                                    std::string& event) const {
  const auto& allowed = subject.demand.rule.break_glass;
  if (!allowed)
    return Error{Errc::kPermissionDenied,
                 "permission denied: the policy knows no break glass for this path"};
  if (approval.is_task())
    return Error{Errc::kInvalidArgument, "a break glass is for one lease, not for a task"};
  ASSIGN_OR_RETURN(const Approver human, approver_of(subject.caller, subject.place));
  ASSIGN_OR_RETURN(const auto groups, groups_of(allowed->group_names, allowed->group_ids));
  const bool may = std::any_of(groups.begin(), groups.end(), [&](const ApproverGroup& group) {
    return std::find(human.groups.begin(), human.groups.end(), group.id) != human.groups.end();
  });
  if (!may)
    return Error{Errc::kPermissionDenied,
                 "permission denied: you are in none of the groups that may break the glass here"};
  if (characters(approval.reason) < kReasonOfBreakGlassMin)
    return Error{Errc::kInvalidArgument,
                 fmt::format("reason: a break glass needs one of at least {} characters",
                             kReasonOfBreakGlassMin)};
  approval.break_glass = true;
  approval.review_due = approval.created_at + options_.review_within;
  approval.decisions.push_back({.by = human.entity_id,
                                .by_name = human.name,
                                .verdict = Verdict::kBreakGlass,
                                .reason = approval.reason,
                                .at = approval.created_at,
                                .digest = approval.digest});
  approve(approval, approval.created_at);
  approval.notify.clear();  // everybody is told
  event = "break_glass";
  return ok();
}

}  // namespace curfew::broker
