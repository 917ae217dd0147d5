#include "broker/token/token_roles.h"

#include <algorithm>

#include "base/glob.h"
#include "broker/token/cidr.h"
#include "broker/token/token_api.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "token/roles";

bool any_match(const std::vector<std::string>& globs, std::string_view text) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return glob_match(glob, text); });
}

bool holds(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Status take_list(const Fields& fields, std::string_view name, std::vector<std::string>& into) {
  ASSIGN_OR_RETURN(auto value, fields.comma_list(name));
  if (value) into = std::move(*value);
  return ok();
}

// Names of policies are lower case everywhere.
Status take_names(const Fields& fields, std::string_view name, std::vector<std::string>& into) {
  RETURN_IF_ERROR(take_list(fields, name, into));
  for (std::string& policy : into) policy = lower_case(std::move(policy));
  return check_policy_names(into);
}

Status take_duration(const Fields& fields, std::string_view name, Millis& into) {
  ASSIGN_OR_RETURN(into, fields.duration_or(name, into));
  return ok();
}

// A role can only say "batch" where nothing else that it says needs a token with a row.
Status take_type(const Fields& fields, TokenRole& role) {
  ASSIGN_OR_RETURN(std::string type, fields.text_or("token_type", role.token_type));
  if (type.empty() || type == "default") type = "default-service";
  if (type != "service" && type != "batch" && type != "default-service" && type != "default-batch")
    return Error{Errc::kInvalidArgument,
                 "invalid 'token_type' value: expected \"service\", \"batch\", "
                 "\"default-service\" or \"default-batch\""};
  role.token_type = type;
  if (type != "batch") return ok();
  const char* odd = !role.orphan                        ? "non-orphan tokens"
                    : role.period > Millis{0}           ? "periodic tokens"
                    : role.renewable                    ? "renewable tokens"
                    : role.explicit_max_ttl > Millis{0} ? "tokens with an explicit max TTL"
                    : role.num_uses > 0                 ? "tokens with limited use count"
                                                        : nullptr;
  if (odd == nullptr) return ok();
  return Error{Errc::kInvalidArgument,
               std::string("'token_type' cannot be 'batch' when role is set to generate ") + odd};
}

TokenRole from_stored(const Json& stored) {
  TokenRole role;
  role.name = stored.at("name").get<std::string>();
  role.allowed_policies = stored.at("allowed_policies").get<std::vector<std::string>>();
  role.allowed_policies_glob = stored.at("allowed_policies_glob").get<std::vector<std::string>>();
  role.disallowed_policies = stored.at("disallowed_policies").get<std::vector<std::string>>();
  role.disallowed_policies_glob =
      stored.at("disallowed_policies_glob").get<std::vector<std::string>>();
  role.bound_cidrs = stored.at("bound_cidrs").get<std::vector<std::string>>();
  role.path_suffix = stored.at("path_suffix").get<std::string>();
  role.explicit_max_ttl = Millis{stored.at("explicit_max_ttl").get<std::int64_t>()};
  role.period = Millis{stored.at("period").get<std::int64_t>()};
  role.num_uses = stored.at("num_uses").get<std::int64_t>();
  role.orphan = stored.at("orphan").get<bool>();
  role.renewable = stored.at("renewable").get<bool>();
  role.no_default_policy = stored.at("no_default_policy").get<bool>();
  role.token_type = stored.value("token_type", "default-service");  // not in older records
  role.allowed_entity_aliases =
      stored.value("allowed_entity_aliases", std::vector<std::string>{});  // likewise
  return role;
}

Json to_stored(const TokenRole& role) {
  return {{"name", role.name},
          {"allowed_policies", role.allowed_policies},
          {"allowed_policies_glob", role.allowed_policies_glob},
          {"disallowed_policies", role.disallowed_policies},
          {"disallowed_policies_glob", role.disallowed_policies_glob},
          {"bound_cidrs", role.bound_cidrs},
          {"path_suffix", role.path_suffix},
          {"explicit_max_ttl", role.explicit_max_ttl.count()},
          {"period", role.period.count()},
          {"num_uses", role.num_uses},
          {"orphan", role.orphan},
          {"renewable", role.renewable},
          {"no_default_policy", role.no_default_policy},
          {"allowed_entity_aliases", role.allowed_entity_aliases},
          {"token_type", role.token_type}};
}

}  // namespace

Status apply_fields(const Json& data, TokenRole& role) {
  const Fields fields(data);
  RETURN_IF_ERROR(take_names(fields, "allowed_policies", role.allowed_policies));
  RETURN_IF_ERROR(take_names(fields, "allowed_policies_glob", role.allowed_policies_glob));
  RETURN_IF_ERROR(take_names(fields, "disallowed_policies", role.disallowed_policies));
  RETURN_IF_ERROR(take_names(fields, "disallowed_policies_glob", role.disallowed_policies_glob));
  for (const char* name : {"bound_cidrs", "token_bound_cidrs"})
    RETURN_IF_ERROR(take_list(fields, name, role.bound_cidrs));
  for (const std::string& cidr : role.bound_cidrs) RETURN_IF_ERROR(check_cidr(cidr));
  for (const char* name : {"explicit_max_ttl", "token_explicit_max_ttl"})
    RETURN_IF_ERROR(take_duration(fields, name, role.explicit_max_ttl));
  for (const char* name : {"period", "token_period"})
    RETURN_IF_ERROR(take_duration(fields, name, role.period));
  ASSIGN_OR_RETURN(role.num_uses, fields.integer_or("token_num_uses", role.num_uses));
  if (role.num_uses < 0)
    return Error{Errc::kInvalidArgument, "field \"token_num_uses\": expected 0 or more"};
  ASSIGN_OR_RETURN(role.orphan, fields.boolean_or("orphan", role.orphan));
  ASSIGN_OR_RETURN(role.renewable, fields.boolean_or("renewable", role.renewable));
  ASSIGN_OR_RETURN(role.no_default_policy,
                   fields.boolean_or("token_no_default_policy", role.no_default_policy));
  ASSIGN_OR_RETURN(role.path_suffix, fields.text_or("path_suffix", role.path_suffix));
  RETURN_IF_ERROR(take_type(fields, role));
  RETURN_IF_ERROR(take_list(fields, "allowed_entity_aliases", role.allowed_entity_aliases));
  for (std::string& alias : role.allowed_entity_aliases) alias = lower_case(std::move(alias));
  return ok();
}

Json to_api(const TokenRole& role) {
  const auto seconds = [](Millis time) { return std::chrono::floor<Seconds>(time).count(); };
  Json out = {{"allowed_entity_aliases", nullptr},
              {"allowed_policies", role.allowed_policies},
              {"allowed_policies_glob", role.allowed_policies_glob},
              {"disallowed_policies", role.disallowed_policies},
              {"disallowed_policies_glob", role.disallowed_policies_glob},
              {"explicit_max_ttl", 0},
              {"name", role.name},
              {"orphan", role.orphan},
              {"path_suffix", role.path_suffix},
              {"period", 0},
              {"renewable", role.renewable},
              {"token_explicit_max_ttl", seconds(role.explicit_max_ttl)},
              {"token_no_default_policy", role.no_default_policy},
              {"token_period", seconds(role.period)},
              {"token_type", role.token_type}};
  if (!role.allowed_entity_aliases.empty())
    out["allowed_entity_aliases"] = role.allowed_entity_aliases;
  if (!role.bound_cidrs.empty()) out["token_bound_cidrs"] = role.bound_cidrs;
  if (role.num_uses > 0) out["token_num_uses"] = role.num_uses;
  return out;
}

Result<std::vector<std::string>> policies_under(const TokenRole& role,
                                                std::vector<std::string> asked) {
  const bool bounded = !role.allowed_policies.empty() || !role.allowed_policies_glob.empty();
  if (asked.empty()) asked = role.allowed_policies;
  const bool default_denied = holds(role.disallowed_policies, "default") ||
                              any_match(role.disallowed_policies_glob, "default");
  asked = normalise_policies(std::move(asked), !role.no_default_policy && !default_denied);
  for (const std::string& policy : asked) {
    if (policy == "default" && !default_denied) continue;
    const bool allowed = !bounded || holds(role.allowed_policies, policy) ||
                         any_match(role.allowed_policies_glob, policy);
    const bool denied =
        holds(role.disallowed_policies, policy) || any_match(role.disallowed_policies_glob, policy);
    if (!allowed || denied)
      return Error{Errc::kInvalidArgument,
                   "token role \"" + role.name + "\" does not allow the policy \"" + policy + "\""};
  }
  return asked;
}

TokenRoles::TokenRoles(store::Database& database, const store::Records& records)
    : database_(database), records_(records) {}

Result<std::optional<TokenRole>> TokenRoles::get(const std::string& name) const {
  std::optional<TokenRole> role;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, name));
    if (stored) role = from_stored(*stored);
    return ok();
  }));
  return role;
}

Status TokenRoles::put(const TokenRole& role) {
  return database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kScope, role.name, to_stored(role));
  });
}

Status TokenRoles::remove(const std::string& name) {
  return database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, name));
    return ok();
  });
}

Result<std::vector<std::string>> TokenRoles::names() const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(names, records_.names(reader, kScope));
    return ok();
  }));
  return names;
}

}  // namespace curfew::broker
