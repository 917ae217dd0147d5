#include "broker/token/delegation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/glob.h"
#include "broker/attribution.h"
#include "broker/identity/identity_checks.h"
#include "broker/token/token_budgets.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kTaskBytesMax = 64;
constexpr std::size_t kTasksMax = 8;  // one below the other

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Error denied(std::string message) {
  return {Errc::kPermissionDenied, "permission denied: " + std::move(message)};
}

bool is_agent(const Caller& caller) {
  return caller.standing != nullptr && caller.standing->agent.has_value();
}

void add(const std::vector<std::string>& more, std::vector<std::string>& to) {
  to.insert(to.end(), more.begin(), more.end());
}

// Who was asked for; at most one of the first three.
struct Asked {
  std::string agent, task, alias, human;
};

Result<Asked> asked_of(const Fields& fields) {
  Asked asked;
  ASSIGN_OR_RETURN(asked.agent, fields.text_or("agent", ""));
  ASSIGN_OR_RETURN(asked.task, fields.text_or("sub_agent", ""));
  ASSIGN_OR_RETURN(asked.alias, fields.text_or("entity_alias", ""));
  ASSIGN_OR_RETURN(asked.human, fields.text_or("on_behalf_of", ""));
  const int given =
      (asked.agent.empty() ? 0 : 1) + (asked.task.empty() ? 0 : 1) + (asked.alias.empty() ? 0 : 1);
  if (given > 1) return invalid("give only one of \"agent\", \"sub_agent\" and \"entity_alias\"");
  if (!asked.human.empty() && asked.agent.empty())
    return invalid("field \"on_behalf_of\": say with \"agent\" which agent acts for the human");
  return asked;
}

// ---- budgets ----------------------------------------------------------------------------------

// Of limits where 0 means none, the least.
template <class T>
void lower(T& limit, T to) {
  if (to != T{0}) limit = limit == T{0} ? to : std::min(limit, to);
}

Status check_within(const char* field, std::int64_t wanted, std::int64_t above) {
  if (wanted >= 0 && (above == 0 || wanted <= above)) return ok();
  if (wanted < 0) return invalid(fmt::format("field \"{}\": expected 0 or more", field));
  return invalid(fmt::format("field \"{}\": {} is more than the {} that the caller may have itself",
                             field, wanted, above));
}

// What the caller itself is bound by now.
TokenBudget bounds_of(const Caller& caller, const std::vector<TokenBudget>& budgets) {
  TokenBudget least;
  const auto lower_to = [&](std::int64_t live, std::int64_t hourly, Millis ttl) {
    lower(least.live_leases_max, live);
    lower(least.leases_per_hour, hourly);
    lower(least.ttl_max, ttl);
  };
  for (const TokenBudget& one : budgets)
    lower_to(one.live_leases_max, one.leases_per_hour, one.ttl_max);
  if (is_agent(caller)) {
    const AgentLimits& limits = *caller.standing->agent;
    lower_to(limits.live_leases_max, limits.leases_per_hour, limits.ttl_max);
  }
  return least;
}

Status add_budget(const BackendCall& call, const Fields& fields, TokenSpec& spec) {
  TokenBudget own;
  ASSIGN_OR_RETURN(own.live_leases_max, fields.integer_or("max_live_leases", 0));
  ASSIGN_OR_RETURN(own.leases_per_hour, fields.integer_or("max_leases_per_hour", 0));
  ASSIGN_OR_RETURN(own.ttl_max, fields.duration_or("max_lease_ttl", Millis{0}));
  const bool counts = own.live_leases_max != 0 || own.leases_per_hour != 0;
  if (!counts && own.ttl_max == Millis{0}) return ok();
  const TokenBudget above = bounds_of(*call.caller, spec.budgets);
  RETURN_IF_ERROR(check_within("max_live_leases", own.live_leases_max, above.live_leases_max));
  RETURN_IF_ERROR(check_within("max_leases_per_hour", own.leases_per_hour, above.leases_per_hour));
  if (std::max(own.live_leases_max, own.leases_per_hour) > kTokenBudgetMax)
    return invalid(fmt::format("a token's budget has at most {} leases", kTokenBudgetMax));
  if (own.ttl_max < Millis{0}) return invalid("field \"max_lease_ttl\": expected 0 or more");
  if (above.ttl_max > Millis{0} && own.ttl_max > above.ttl_max)
    return invalid(
        fmt::format("field \"max_lease_ttl\": more than the {} that the caller may have itself",
                    format_duration(above.ttl_max)));
  if (spec.type == TokenType::kBatch)
    return invalid("batch tokens cannot have a budget: it stands beside the token in the store");
  own.holder = spec.sub_agent.empty() ? spec.display_name : spec.sub_agent;
  spec.budgets.push_back(std::move(own));
  return ok();
}

// ---- policies ---------------------------------------------------------------------------------

PolicyBounds bounds_of(const Caller& caller, const Asked& asked, const TokenRole* role, bool sudo) {
  const Token& token = caller.token;
  PolicyBounds bounds{.held = token.policies,
                      .usual = token.policies,
                      .role = role,
                      .any = sudo,
                      .strict = !token.sub_agent.empty() || !asked.task.empty(),
                      .of_root = token.is_root()};
  // A sub-agent has what its token names, so that what the agent has of its entity can be named;
  // what a human has of hers binds her agent beside the token.
  const bool names_own = !asked.task.empty() || !asked.agent.empty();
  if (names_own && caller.standing && token.sub_agent.empty())
    add(caller.standing->policies, bounds.held);
  if (!asked.task.empty()) bounds.usual = bounds.held;
  // An agent has its own policies, and only what it is given of others.
  if (!asked.agent.empty()) bounds.usual = {"default"};
  return bounds;
}

}  // namespace

// ---- whose ------------------------------------------------------------------------------------

Status Delegation::apply(const BackendCall& call, const TokenRole* role, bool sudo,
                         TokenSpec& spec) const {
  const Fields fields(call.request.data);
  const Token& parent = call.caller->token;
  // Whoever comes from above is nobody in this namespace.
  if (!call.caller->from_above) {
    spec.entity_id = parent.entity_id;
    spec.on_behalf_of = parent.on_behalf_of;
    spec.principal_policies = parent.principal_policies;
    spec.sub_agent = parent.sub_agent;
    spec.delegator_policies = parent.delegator_policies;
    spec.budgets = parent.budgets;
  }
  ASSIGN_OR_RETURN(const Asked asked, asked_of(fields));
  const bool is_other = !asked.agent.empty() || !asked.alias.empty();
  if (is_other && !parent.sub_agent.empty())
    return denied("a sub-agent's token makes tokens of its own task only");
  if (!asked.agent.empty()) RETURN_IF_ERROR(name_agent(call, asked.agent, sudo, spec));
  if (!asked.alias.empty()) RETURN_IF_ERROR(name_alias(call, asked.alias, role, spec));
  if (!asked.task.empty()) RETURN_IF_ERROR(name_task(call, asked.task, spec));
  ASSIGN_OR_RETURN(spec.policies,
                   child_policies(bounds_of(*call.caller, asked, role, sudo), fields));
  RETURN_IF_ERROR(add_budget(call, fields, spec));
  const bool must_end_with_parent = !spec.budgets.empty() || !spec.sub_agent.empty();
  if (must_end_with_parent && spec.parent.empty())
    return invalid(
        "a sub-agent's token, or one with a budget, ends with the one that makes it: it "
        "cannot be an orphan");
  return ok();
}

Result<std::optional<EntityView>> Delegation::find(const std::string& text) const {
  ASSIGN_OR_RETURN(auto found, identities_.find_entity({IdentityKey::By::kId, text}));
  if (found) return found;
  return identities_.find_entity({IdentityKey::By::kName, text});
}

Result<bool> Delegation::answers_for(const Standing& human, const Entity& agent) const {
  const AgentOwner& owner = agent.agent->owner;
  ASSIGN_OR_RETURN(const auto person,
                   identities_.find_entity({IdentityKey::By::kId, human.entity_id}));
  if (!person || person->entity.agent) return false;
  if (!owner.is_group) {
    ASSIGN_OR_RETURN(const auto answering,
                     identities_.find_entity({IdentityKey::By::kId, owner.id}));
    return answering && answering->entity.id == person->entity.id;
  }
  const auto is_in = [&](const std::vector<std::string>& groups) {
    return std::find(groups.begin(), groups.end(), owner.id) != groups.end();
  };
  return is_in(person->entity.group_ids) || is_in(person->inherited_group_ids);
}

// Of its owner, and of nobody else without sudo. Who has no right to it does not learn whether
// there is such an agent.
Status Delegation::name_agent(const BackendCall& call, const std::string& name, bool sudo,
                              TokenSpec& spec) const {
  const Caller& caller = *call.caller;
  ASSIGN_OR_RETURN(const auto found, find(name));
  const bool is_known = found && found->entity.agent;
  bool is_owner = false;
  if (is_known && caller.standing != nullptr) {
    ASSIGN_OR_RETURN(is_owner, answers_for(*caller.standing, found->entity));
  }
  if (!is_owner && !sudo)
    return denied(
        fmt::format("there is no agent \"{}\" for which you answer; its owner can make "
                    "a token for it, or who has sudo at this path",
                    name));
  if (!is_known) return invalid(fmt::format("field \"agent\": there is no agent \"{}\"", name));
  ASSIGN_OR_RETURN(const auto standing, identities_.standing(found->entity.id));
  if (standing == nullptr || standing->disabled)
    return denied(fmt::format("the agent \"{}\" may not act: {}", found->entity.name,
                              standing ? standing->disabled_why : "it is gone"));
  spec.entity_id = found->entity.id;
  spec.agent = found->entity.name;
  return name_human(call, is_owner, sudo, spec);
}

// The owner's agent acts for her, always: so it never has more than she has. What her token had is
// known while it lives; an agent's token that outlives it has what her entity has.
Status Delegation::name_human(const BackendCall& call, bool is_owner, bool sudo,
                              TokenSpec& spec) const {
  const Caller& caller = *call.caller;
  ASSIGN_OR_RETURN(const std::string text, Fields(call.request.data).text_or("on_behalf_of", ""));
  std::string human = is_owner ? caller.standing->entity_id : "";
  if (!text.empty()) {
    ASSIGN_OR_RETURN(const auto found, find(text));
    const bool is_self =
        found && caller.standing != nullptr && found->entity.id == caller.standing->entity_id;
    if (!is_self && !sudo)
      return denied(
          "only she herself, or who has sudo at this path, can let an agent act on "
          "behalf of a human");
    if (!found)
      return invalid(fmt::format("field \"on_behalf_of\": there is no entity \"{}\"", text));
    if (found->entity.agent)
      return invalid(fmt::format("field \"on_behalf_of\": \"{}\" is an agent", found->entity.name));
    if (found->entity.disabled)
      return denied(fmt::format("the entity \"{}\" is disabled", found->entity.name));
    human = found->entity.id;
  }
  if (!spec.on_behalf_of.empty()) {
    if (human.empty() || human == spec.on_behalf_of) return ok();
    return denied("a token that acts on behalf of somebody makes no token for somebody else");
  }
  if (human.empty()) return ok();
  const bool is_self = caller.standing != nullptr && human == caller.standing->entity_id;
  spec.on_behalf_of = human;
  spec.principal_policies =
      is_self && !spec.parent.empty() ? caller.token.policies : std::vector<std::string>{"default"};
  return ok();
}

Status Delegation::name_task(const BackendCall& call, const std::string& name,
                             TokenSpec& spec) const {
  const Caller& caller = *call.caller;
  RETURN_IF_ERROR(check_agent_name(name));
  if (name.size() > kTaskBytesMax)
    return invalid(fmt::format("field \"sub_agent\": longer than {} bytes", kTaskBytesMax));
  const bool may = !caller.token.is_root() && (caller.standing == nullptr || is_agent(caller));
  if (!may)
    return invalid(
        "field \"sub_agent\": only an agent's token has sub-agents; make one with "
        "\"agent\"");
  if (!call.params.empty()) return invalid("field \"sub_agent\": not with a token role");
  const auto depth = spec.sub_agent.empty()
                         ? 0
                         : std::count(spec.sub_agent.begin(), spec.sub_agent.end(), '/') + 1;
  if (static_cast<std::size_t>(depth) >= kTasksMax)
    return invalid(fmt::format("sub-agents are at most {} deep", kTasksMax));
  if (spec.sub_agent.empty()) spec.delegator_policies = caller.token.policies;
  spec.sub_agent += (spec.sub_agent.empty() ? "" : "/") + name;
  return ok();
}

// As in Vault, where the role says for whom its tokens may be.
Status Delegation::name_alias(const BackendCall& call, const std::string& alias,
                              const TokenRole* role, TokenSpec& spec) const {
  if (role == nullptr)
    return invalid("'entity_alias' is only allowed in combination with token role");
  const std::string name = lower_case(alias);
  const auto& allowed = role->allowed_entity_aliases;
  if (std::none_of(allowed.begin(), allowed.end(),
                   [&](const std::string& one) { return glob_match(one, name); }))
    return invalid("invalid 'entity_alias' value");
  const MountEntry mount = mount_.entry();
  ASSIGN_OR_RETURN(
      spec.entity_id,
      identities_.sign_in({.mount_accessor = mount.accessor, .mount_type = "token", .alias = name},
                          call.now));
  spec.agent.clear();
  return ok();
}

}  // namespace curfew::broker
