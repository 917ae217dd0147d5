#include "broker/auth/token_rules.h"

#include <fmt/format.h>

#include "broker/token/cidr.h"
#include "broker/token/token_api.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

Status take_durations(const Fields& fields, TokenRules& rules) {
  ASSIGN_OR_RETURN(rules.ttl, fields.duration_or("token_ttl", rules.ttl));
  ASSIGN_OR_RETURN(rules.max_ttl, fields.duration_or("token_max_ttl", rules.max_ttl));
  ASSIGN_OR_RETURN(rules.explicit_max_ttl,
                   fields.duration_or("token_explicit_max_ttl", rules.explicit_max_ttl));
  ASSIGN_OR_RETURN(rules.period, fields.duration_or("token_period", rules.period));
  if (rules.max_ttl > Millis{0} && rules.ttl > rules.max_ttl)
    return invalid("\"token_ttl\" cannot be greater than \"token_max_ttl\"");
  return ok();
}

// What a batch token cannot have.
Status check_batch(const TokenRules& rules) {
  if (rules.type != "batch") return ok();
  if (rules.period > Millis{0})
    return invalid("\"token_type\" cannot be \"batch\" when \"token_period\" is set");
  if (rules.num_uses != 0)
    return invalid("\"token_type\" cannot be \"batch\" when \"token_num_uses\" is set");
  if (rules.explicit_max_ttl > Millis{0})
    return invalid("\"token_type\" cannot be \"batch\" when \"token_explicit_max_ttl\" is set");
  return ok();
}

}  // namespace

Status apply_fields(const Json& data, TokenRules& rules) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(auto policies, fields.comma_list("token_policies"));
  if (policies) {
    for (std::string& policy : *policies) policy = lower_case(std::move(policy));
    RETURN_IF_ERROR(check_policy_names(*policies));
    rules.policies = normalise_policies(std::move(*policies), false);
    if (rules.policies == std::vector<std::string>{"root"})
      return invalid("field \"token_policies\": a login cannot give the policy \"root\"");
  }
  ASSIGN_OR_RETURN(auto cidrs, fields.comma_list("token_bound_cidrs"));
  if (cidrs) {
    for (const std::string& cidr : *cidrs) RETURN_IF_ERROR(check_cidr(cidr));
    rules.bound_cidrs = std::move(*cidrs);
  }
  RETURN_IF_ERROR(take_durations(fields, rules));
  ASSIGN_OR_RETURN(rules.num_uses, fields.integer_or("token_num_uses", rules.num_uses));
  if (rules.num_uses < 0) return invalid("\"token_num_uses\" cannot be negative");
  ASSIGN_OR_RETURN(rules.no_default_policy,
                   fields.boolean_or("token_no_default_policy", rules.no_default_policy));
  ASSIGN_OR_RETURN(rules.bind_address,
                   fields.boolean_or("token_strictly_bind_ip", rules.bind_address));
  ASSIGN_OR_RETURN(rules.bind_certificate,
                   fields.boolean_or("token_bind_certificate", rules.bind_certificate));
  ASSIGN_OR_RETURN(rules.type, fields.text_or("token_type", rules.type));
  if (rules.type.empty() || rules.type == "default-service") rules.type = "default";
  if (rules.type != "default" && rules.type != "service" && rules.type != "batch")
    return invalid("field \"token_type\": expected \"service\", \"batch\" or \"default\"");
  return check_batch(rules);
}

void add_to_api(const TokenRules& rules, Json& data) {
  data["token_policies"] = rules.policies;
  data["token_bound_cidrs"] = rules.bound_cidrs;
  data["token_ttl"] = seconds(rules.ttl);
  data["token_max_ttl"] = seconds(rules.max_ttl);
  data["token_explicit_max_ttl"] = seconds(rules.explicit_max_ttl);
  data["token_period"] = seconds(rules.period);
  data["token_num_uses"] = rules.num_uses;
  data["token_no_default_policy"] = rules.no_default_policy;
  data["token_strictly_bind_ip"] = rules.bind_address;
  data["token_bind_certificate"] = rules.bind_certificate;
  data["token_type"] = rules.type;
}

Json to_stored(const TokenRules& rules) {
  return {{"policies", rules.policies},
          {"bound_cidrs", rules.bound_cidrs},
          {"ttl", rules.ttl.count()},
          {"max_ttl", rules.max_ttl.count()},
          {"explicit_max_ttl", rules.explicit_max_ttl.count()},
          {"period", rules.period.count()},
          {"num_uses", rules.num_uses},
          {"no_default_policy", rules.no_default_policy},
          {"bind_address", rules.bind_address},
          {"bind_certificate", rules.bind_certificate},
          {"type", rules.type}};
}

TokenRules token_rules_from_stored(const Json& stored) {
  TokenRules rules;
  rules.policies = stored.at("policies").get<std::vector<std::string>>();
  rules.bound_cidrs = stored.at("bound_cidrs").get<std::vector<std::string>>();
  rules.ttl = Millis{stored.at("ttl").get<std::int64_t>()};
  rules.max_ttl = Millis{stored.at("max_ttl").get<std::int64_t>()};
  rules.explicit_max_ttl = Millis{stored.at("explicit_max_ttl").get<std::int64_t>()};
  rules.period = Millis{stored.at("period").get<std::int64_t>()};
  rules.num_uses = stored.at("num_uses").get<std::int64_t>();
  rules.no_default_policy = stored.at("no_default_policy").get<bool>();
  rules.bind_address = stored.at("bind_address").get<bool>();
  rules.bind_certificate = stored.value("bind_certificate", false);  // not in older records
  rules.type = stored.at("type").get<std::string>();
  return rules;
}

std::vector<FieldSpec> token_rules_fields() {
  using enum FieldType;
  return {
      {"token_policies", kList, "Policies of the tokens."},
      {"token_ttl", kDuration, "Their time to live; 0: the mount's."},
      {"token_max_ttl", kDuration, "The longest that they may live, renewals included."},
      {"token_explicit_max_ttl", kDuration, "The same, whatever else changes afterwards."},
      {"token_period", kDuration, "Every renewal gives this much again."},
      {"token_num_uses", kInteger, "How often a token may be used; 0: without limit."},
      {"token_bound_cidrs", kList, "Networks that they may be used from."},
      {"token_strictly_bind_ip", kBoolean, "Only from the address that logged in."},
      {"token_bind_certificate", kBoolean,
       "Only over connections that show the client certificate of the login."},
      {"token_no_default_policy", kBoolean, "Leaves out the policy \"default\"."},
      {"token_type", kText, "\"service\", \"batch\" or \"default\" (as the mount says)."},
  };
}

}  // namespace curfew::broker
