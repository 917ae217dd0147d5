#include "broker/token/token_api.h"

#include <algorithm>

#include "base/duration.h"
#include "broker/token/token_certificate.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

std::int64_t seconds(Millis time) {
  return std::chrono::round<Seconds>(time).count();
}

Json time_or_null(const std::optional<WallTime>& time) {
  return time ? Json(format_rfc3339(*time)) : Json(nullptr);
}

Json meta_or_null(const std::map<std::string, std::string>& meta) {
  return meta.empty() ? Json(nullptr) : Json(meta);
}

constexpr std::size_t kPolicyNameBytesMax = 256;

}  // namespace

Status check_policy_names(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool odd = std::any_of(name.begin(), name.end(),
                                 [](unsigned char c) { return c < 0x20 || c == 0x7f || c == ','; });
    if (odd || name.size() > kPolicyNameBytesMax)
      return Error{Errc::kInvalidArgument,
                   "a policy's name has at most 256 bytes, without commas and control characters"};
    // What these allow is bound to something that only the broker makes.
    const std::string known = lower_case(name);
    if (known == "response-wrapping" || known == "control-group")
      return Error{Errc::kInvalidArgument, "cannot assign policy \"" + known + "\""};
  }
  return ok();
}

Auth auth_of(const Token& token, const Secret& secret, Millis lease_duration) {
  Auth auth;
  auth.client_token = secret;
  auth.accessor = token.accessor;
  auth.policies = token.policies;
  auth.token_policies = token.policies;
  auth.metadata = meta_or_null(token.meta);
  auth.lease_duration = lease_duration;
  auth.renewable = token.renewable;
  auth.entity_id = token.entity_id;
  auth.orphan = token.orphan;
  auth.token_type = token.type_name();
  auth.num_uses = token.num_uses;
  return auth;
}

void add_identity_policies(const std::vector<std::string>& policies, Auth& auth) {
  auth.identity_policies = policies;
  for (const std::string& policy : policies) auth.policies.push_back(policy);
  auth.policies = normalise_policies(std::move(auth.policies), false);
}

Json lookup_data(const Token& token, const Secret* secret, WallTime now) {
  Json data = {
      {"accessor", token.accessor},
      {"creation_time", to_unix_seconds(token.created_at)},
      {"creation_ttl", seconds(token.creation_ttl)},
      {"display_name", token.display_name},
      {"entity_id", token.entity_id},
      {"expire_time", time_or_null(token.expires_at)},
      {"explicit_max_ttl", seconds(token.explicit_max_ttl)},
      {"id", secret != nullptr ? secret->reveal() : ""},
      {"issue_time", format_rfc3339(token.created_at)},
      {"meta", meta_or_null(token.meta)},
      {"num_uses", token.num_uses},
      {"orphan", token.orphan},
      {"path", token.path},
      {"policies", token.policies},
      {"renewable", token.renewable},
      {"ttl", token.expires_at ? seconds(*token.expires_at - now) : 0},
      {"type", token.type_name()},
  };
  if (!token.role.empty()) data["role"] = token.role;
  if (!token.on_behalf_of.empty()) data["on_behalf_of"] = token.on_behalf_of;
  if (!token.sub_agent.empty()) data["sub_agent"] = token.sub_agent;
  for (const TokenBudget& budget : token.budgets)
    data["budgets"].push_back({{"of", budget.holder},
                               {"max_live_leases", budget.live_leases_max},
                               {"max_leases_per_hour", budget.leases_per_hour},
                               {"max_lease_ttl", seconds(budget.ttl_max)}});
  if (token.period > Millis{0}) data["period"] = seconds(token.period);
  if (!token.bound_cidrs.empty()) data["bound_cidrs"] = token.bound_cidrs;
  // As RFC 8705 has it in the introspection of a token.
  if (!token.certificate.empty()) data["cnf"] = {{"x5t#S256", x5t_s256(token.certificate)}};
  if (token.last_renewal) {
    data["last_renewal"] = format_rfc3339(*token.last_renewal);
    data["last_renewal_time"] = to_unix_seconds(*token.last_renewal);
  }
  return data;
}

Result<std::vector<std::string>> child_policies(const PolicyBounds& bounds, const Fields& fields) {
  ASSIGN_OR_RETURN(auto asked, fields.comma_list("policies"));
  ASSIGN_OR_RETURN(const bool no_default, fields.boolean_or("no_default_policy", false));
  std::vector<std::string> policies = asked.value_or(std::vector<std::string>{});
  RETURN_IF_ERROR(check_policy_names(policies));
  // A role without lists says nothing about policies: the parent's bound the child's, as without a
  // role.
  const TokenRole* role = bounds.role;
  const bool role_decides = role != nullptr && role->bounds_policies();
  const bool leave_out_default = no_default || (role != nullptr && role->no_default_policy);
  if (role_decides) {
    ASSIGN_OR_RETURN(policies, policies_under(*role, std::move(policies)));
  } else if (policies.empty()) {
    policies = normalise_policies(bounds.usual, false);
    if (leave_out_default) std::erase(policies, "default");
  } else {
    policies = normalise_policies(std::move(policies), !leave_out_default);
  }
  if (policies == std::vector<std::string>{"root"} && (!bounds.of_root || bounds.strict))
    return Error{Errc::kInvalidArgument,
                 "root tokens may not be created without parent token being root"};
  if (!bounds.strict && (role_decides || bounds.any)) return policies;
  for (const std::string& policy : policies) {
    const bool held = policy == "default" || std::find(bounds.held.begin(), bounds.held.end(),
                                                       policy) != bounds.held.end();
    if (!held)
      return Error{Errc::kInvalidArgument,
                   "child policies must be subset of parent: the calling token does not have the "
                   "policy \"" +
                       policy + "\""};
  }
  return policies;
}

std::vector<FieldSpec> token_create_fields() {
  using enum FieldType;
  return {
      {"policies", kList, "Policies of the token; those of the parent where none are given."},
      {"meta", kMap, "Metadata, kept on the token and in the audit log."},
      {"ttl", kDuration, "Time to live."},
      {"explicit_max_ttl", kDuration, "The longest that the token may live, renewals included."},
      {"period", kDuration, "Every renewal gives this much again (sudo)."},
      {"num_uses", kInteger, "How often the token may be used; 0: without limit."},
      {"renewable", kBoolean, "Whether the token can be renewed."},
      {"display_name", kText, "Name of the token in lookups and in the audit log."},
      {"no_default_policy", kBoolean, "Leaves out the policy \"default\"."},
      {"no_parent", kBoolean, "Makes the token an orphan (sudo)."},
      {"id", kText, "The token itself, instead of a random one (sudo)."},
      {"type", kText, "\"service\" or \"batch\"."},
      {"entity_alias", kText, "Whose token it is, by an alias that the token role allows."},
      {"agent", kText, "Agent whose token it is (of its owner, or sudo)."},
      {"on_behalf_of", kText, "Human that the agent acts for (herself, or sudo)."},
      {"sub_agent", kText, "Name of the child task of the calling agent that it is for."},
      {"max_live_leases", kInteger, "Leases at a time, of it and all tokens below it."},
      {"max_leases_per_hour", kInteger, "Leases within an hour, of it and all tokens below it."},
      {"max_lease_ttl", kDuration, "Longest life of a lease of it and all tokens below it."},
      {"bound_certificate", kText,
       "SHA-256 of a client certificate; only connections that show it can use the token."},
  };
}

std::vector<FieldSpec> token_role_fields() {
  using enum FieldType;
  return {
      {"allowed_policies", kList, "Policies that a token of this role may have."},
      {"allowed_policies_glob", kList, "The same, with '*' for any run of characters."},
      {"disallowed_policies", kList, "Policies that it may not have."},
      {"disallowed_policies_glob", kList, "The same, with '*' for any run of characters."},
      {"orphan", kBoolean, "Tokens of this role have no parent."},
      {"renewable", kBoolean, "Tokens of this role can be renewed."},
      {"path_suffix", kText, "Added to the path that a token remembers."},
      {"token_period", kDuration, "Every renewal gives this much again."},
      {"token_explicit_max_ttl", kDuration, "The longest that a token may live."},
      {"token_bound_cidrs", kList, "Networks that a token may be used from."},
      {"token_num_uses", kInteger, "How often a token may be used; 0: without limit."},
      {"token_no_default_policy", kBoolean, "Leaves out the policy \"default\"."},
      {"allowed_entity_aliases", kList, "Aliases that a token may be made for, with '*'."},
      {"token_type", kText,
       "\"service\" or \"batch\"; \"default-service\" or \"default-batch\" where the request may "
       "choose."},
  };
}

}  // namespace curfew::broker
