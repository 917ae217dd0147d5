#include "broker/approval/approver.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/identity/entity.h"

namespace curfew::broker {
namespace {

Error no_approver(std::string_view why) {
  return {Errc::kPermissionDenied, fmt::format("permission denied: {}", why)};
}

bool holds(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

Result<Approver> approver_of(const Caller* caller, const std::string& place) {
  if (caller == nullptr) return no_approver("no token was sent");
  const Token& token = caller->token;
  if (caller->standing == nullptr)
    return no_approver(
        "an approval is the decision of a human, and no identity is behind this token: log in by "
        "an auth method (a root token cannot approve)");
  const Standing& standing = *caller->standing;
  if (standing.kind == kAgent || standing.agent || !token.sub_agent.empty() ||
      !token.on_behalf_of.empty())
    return no_approver("an agent never approves, whatever its policies say");
  if (standing.kind != kHuman)
    return no_approver(
        fmt::format("the entity \"{}\" is not known to be a human: an operator says "
                    "so with: curfew write identity/entity/id/{} kind=human",
                    standing.name, standing.entity_id));
  if (token.mount.empty())
    return no_approver(
        "an approval needs the token of a login; this one was made by another token");
  if (caller->from_above || caller->name_space != place)
    return no_approver("approvers belong to the namespace of the request: log in there");
  Approver out{standing.entity_id, standing.name, {}};
  for (const policy::Identity::Group& group : standing.identity.groups)
    out.groups.push_back(group.id);
  return out;
}

Status check_eligible(const Approval& approval, const Approver& approver) {
  const ApprovalRequester& requester = approval.requester;
  if (holds(requester.excluded, approver.entity_id))
    return no_approver(
        "nobody approves what she or he has asked for, nor what an agent asks that is theirs, that "
        "they have launched, or that acts for them");
  for (const std::string& group : requester.excluded_groups)
    if (holds(approver.groups, group))
      return no_approver(
          "you are in the group that answers for the agent that asks: somebody "
          "else has to decide");
  for (const ApproverFactor& factor : approval.factors)
    for (const ApproverGroup& group : factor.groups)
      if (holds(approver.groups, group.id)) return ok();
  return no_approver("you are in none of the groups that this approval request waits for");
}

// ---- counting -----------------------------------------------------------------------------------

namespace {

// The humans who approved the present content, each once.
std::vector<const ApprovalDecision*> approvals_of(
    const Approval& approval, const std::function<std::string(const std::string&)>& same) {
  std::map<std::string, const ApprovalDecision*> humans;
  for (const ApprovalDecision& decision : approval.decisions) {
    const bool approves =
        decision.verdict == Verdict::kApprove || decision.verdict == Verdict::kNarrow;
    if (approves && decision.digest == approval.digest && !decision.by.empty())
      humans[same(decision.by)] = &decision;
  }
  std::vector<const ApprovalDecision*> out;
  for (const auto& [id, decision] : humans) out.push_back(decision);
  return out;
}

bool counts_for(const ApprovalDecision& decision, const ApproverFactor& factor) {
  return std::any_of(factor.groups.begin(), factor.groups.end(),
                     [&](const ApproverGroup& group) { return holds(decision.groups, group.id); });
}

// Finds a place for a human, moving others to other factors where that makes room.
bool place(const ApprovalDecision* human, std::vector<FactorTally>& tallies,
           std::vector<bool>& tried) {
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    FactorTally& tally = tallies[i];
    if (tried[i] || !counts_for(*human, *tally.factor)) continue;
    tried[i] = true;
    if (!tally.is_satisfied()) {
      tally.by.push_back(human);
      return true;
    }
    for (const ApprovalDecision*& other : tally.by) {
      if (!place(other, tallies, tried)) continue;
      other = human;
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<FactorTally> tally(const Approval& approval,
                               const std::function<std::string(const std::string&)>& same) {
  std::vector<FactorTally> out;
  for (const ApproverFactor& factor : approval.factors) out.push_back({&factor, {}});
  for (const ApprovalDecision* human : approvals_of(approval, same)) {
    std::vector<bool> tried(out.size(), false);
    place(human, out, tried);
  }
  return out;
}

bool is_satisfied(const std::vector<FactorTally>& tallies) {
  return !tallies.empty() &&
         std::all_of(tallies.begin(), tallies.end(), [](const FactorTally& tally) {
           return tally.factor->approvals > 0 && tally.is_satisfied();
         });
}

}  // namespace curfew::broker
