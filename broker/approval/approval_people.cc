#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/approval/approval_service.h"

// Who must and who must not approve.
namespace curfew::broker {
namespace {

constexpr int kTokenDepthMax = 64;

void add(std::vector<std::string>& list, const std::string& text) {
  if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end())
    list.push_back(text);
}

}  // namespace

// ---- who must not approve -----------------------------------------------------------------------

// Whoever answers for an agent, at this moment.
Status ApprovalService::exclude_owner(const std::string& entity_id,
                                      ApprovalRequester& requester) const {
  if (entity_id.empty()) return ok();
  ASSIGN_OR_RETURN(const auto found,
                   parts_.identities.find_entity({IdentityKey::By::kId, entity_id}));
  if (!found || !found->entity.agent) return ok();
  const AgentOwner& owner = found->entity.agent->owner;
  add(owner.is_group ? requester.excluded_groups : requester.excluded, owner.id);
  return ok();
}

Status ApprovalService::exclude(const Caller& caller, ApprovalRequester& requester) const {
  add(requester.excluded, requester.by.entity_id);
  add(requester.excluded, caller.token.on_behalf_of);
  RETURN_IF_ERROR(exclude_owner(requester.by.entity_id, requester));
  // Who made the token, or the one that it was made with, has launched whoever uses it.
  std::string parent = caller.token.parent;
  for (int depth = 0; depth < kTokenDepthMax && !parent.empty(); ++depth) {
    ASSIGN_OR_RETURN(const auto token, parts_.tokens.get(parent));
    if (!token) break;
    add(requester.excluded, token->entity_id);
    add(requester.excluded, token->on_behalf_of);
    RETURN_IF_ERROR(exclude_owner(token->entity_id, requester));
    parent = token->parent;
  }
  return ok();
}

// ---- who must approve ---------------------------------------------------------------------------

// Groups of this namespace; from here on they are known by their ids. Names that nobody has are
// left out.
Result<std::vector<ApproverGroup>> ApprovalService::groups_of(
    const std::vector<std::string>& names, const std::vector<std::string>& ids) const {
  std::vector<ApproverGroup> out;
  const auto look = [&](IdentityKey::By by, const std::string& value) -> Status {
    ASSIGN_OR_RETURN(const auto found, parts_.identities.find_group({by, value}));
    if (!found) return ok();
    const bool known = std::any_of(out.begin(), out.end(), [&](const ApproverGroup& group) {
      return group.id == found->group.id;
    });
    if (!known) out.push_back({found->group.id, found->group.name});
    return ok();
  };
  for (const std::string& name : names) RETURN_IF_ERROR(look(IdentityKey::By::kName, name));
  for (const std::string& id : ids) RETURN_IF_ERROR(look(IdentityKey::By::kId, id));
  return out;
}

Result<std::vector<ApproverFactor>> ApprovalService::factors_of(
    const policy::ApprovalRule& rule) const {
  std::vector<ApproverFactor> out;
  const auto ids_of = [](const ApproverFactor& factor) {
    std::vector<std::string> ids;
    for (const ApproverGroup& group : factor.groups) ids.push_back(group.id);
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  for (const policy::ApprovalFactor& wanted : rule.factors) {
    ApproverFactor factor{wanted.name, {}, std::max(wanted.approvals, 1)};
    ASSIGN_OR_RETURN(factor.groups, groups_of(wanted.group_names, wanted.group_ids));
    if (factor.groups.empty())
      return Error{
          Errc::kInvalidArgument,
          fmt::format(
              "nobody could approve this: the groups of the factor \"{}\" ({}) do "
              "not exist in this namespace; an operator creates them or changes "
              "the policy",
              wanted.name,
              fmt::join(wanted.group_names.empty() ? wanted.group_ids : wanted.group_names, ", "))};
    // The same people asked twice are asked once, for the larger number.
    const auto twin = std::find_if(out.begin(), out.end(), [&](const ApproverFactor& other) {
      return ids_of(other) == ids_of(factor);
    });
    if (twin != out.end())
      twin->approvals = std::max(twin->approvals, factor.approvals);
    else
      out.push_back(std::move(factor));
  }
  if (out.empty())
    return Error{Errc::kInvalidArgument, "nobody could approve this: the policy names no factor"};
  return out;
}

}  // namespace curfew::broker
