#include "broker/auth/kubernetes/kubernetes_settings.h"

#include "broker/auth/https_client.h"
#include "broker/auth/jwt/public_key.h"

namespace curfew::broker::kubernetes {
namespace {

constexpr std::size_t kListMax = 1'000;
constexpr std::size_t kReviewerBytesMax = 32 * 1024;

Error invalid(std::string why) {
  return {Errc::kInvalidArgument, std::move(why)};
}

Status take_globs(const Fields& fields, const char* name, std::vector<std::string>& into) {
  ASSIGN_OR_RETURN(auto value, fields.comma_list(name));
  if (value) into = std::move(*value);
  if (into.empty()) return invalid("\"" + std::string(name) + "\" can not be empty");
  if (into.size() > kListMax)
    return invalid("field \"" + std::string(name) + "\": more than 1000 values");
  return ok();
}

Status check(const KubernetesConfig& config) {
  if (config.host.empty()) return invalid("no host provided: the field \"kubernetes_host\"");
  RETURN_IF_ERROR(check_https_url("kubernetes_host", config.host));
  if (!config.ca_cert.empty()) RETURN_IF_ERROR(check_ca_pem("kubernetes_ca_cert", config.ca_cert));
  if (config.reviewer.reveal().size() > kReviewerBytesMax ||
      config.reviewer.reveal().find_first_of(" \r\n\t") != std::string::npos)
    return invalid("field \"token_reviewer_jwt\": expected a token");
  for (const std::string& pem : config.pem_keys) {
    const auto key = jwt::PublicKey::from_pem(pem);
    if (!key) return invalid("field \"pem_keys\": " + key.error().message);
  }
  if (config.issuer_checked && config.issuer.empty())
    return invalid("field \"issuer\": must be set when \"disable_iss_validation\" is false");
  return ok();
}

Status take_alias_source(const Fields& fields, KubernetesRole& role) {
  ASSIGN_OR_RETURN(const std::string source,
                   fields.text_or("alias_name_source", role.alias_is_name ? "serviceaccount_name"
                                                                          : "serviceaccount_uid"));
  if (source != "serviceaccount_uid" && source != "serviceaccount_name" && !source.empty())
    return invalid("invalid alias_name_source \"" + source +
                   "\": expected serviceaccount_uid or serviceaccount_name");
  role.alias_is_name = source == "serviceaccount_name";
  return ok();
}

Status take_bounds(const Fields& fields, KubernetesRole& role) {
  RETURN_IF_ERROR(take_globs(fields, "bound_service_account_names", role.names));
  RETURN_IF_ERROR(take_globs(fields, "bound_service_account_namespaces", role.name_spaces));
  ASSIGN_OR_RETURN(const std::string selector,
                   fields.text_or("bound_service_account_namespace_selector", ""));
  if (!selector.empty())
    return invalid("field \"bound_service_account_namespace_selector\": not supported");
  ASSIGN_OR_RETURN(role.audience, fields.text_or("audience", role.audience));
  return take_alias_source(fields, role);
}

}  // namespace

Result<KubernetesConfig> config_from_api(const Json& data) {
  const Fields fields(data);
  KubernetesConfig config;
  ASSIGN_OR_RETURN(config.host, fields.text_or("kubernetes_host", ""));
  ASSIGN_OR_RETURN(config.ca_cert, fields.text_or("kubernetes_ca_cert", ""));
  ASSIGN_OR_RETURN(std::string reviewer, fields.text_or("token_reviewer_jwt", ""));
  config.reviewer = Secret(std::move(reviewer));
  ASSIGN_OR_RETURN(auto keys, fields.comma_list("pem_keys"));
  config.pem_keys = std::move(keys).value_or(std::vector<std::string>{});
  ASSIGN_OR_RETURN(config.issuer, fields.text_or("issuer", ""));
  ASSIGN_OR_RETURN(const bool unchecked, fields.boolean_or("disable_iss_validation", true));
  config.issuer_checked = !unchecked;
  ASSIGN_OR_RETURN(const bool not_local, fields.boolean_or("disable_local_ca_jwt", false));
  config.local_allowed = !not_local;
  RETURN_IF_ERROR(check(config));
  return config;
}

Status apply_fields(const Json& data, KubernetesRole& role) {
  RETURN_IF_ERROR(take_bounds(Fields(data), role));
  return broker::apply_fields(data, role.tokens);
}

Json to_api(const KubernetesConfig& config) {
  return {{"disable_iss_validation", !config.issuer_checked},
          {"disable_local_ca_jwt", !config.local_allowed},
          {"issuer", config.issuer},
          {"kubernetes_ca_cert", config.ca_cert},
          {"kubernetes_host", config.host},
          {"pem_keys", config.pem_keys},
          {"token_reviewer_jwt_set", !config.reviewer.empty()}};
}

Json to_api(const KubernetesRole& role) {
  Json out = {
      {"alias_name_source", role.alias_is_name ? "serviceaccount_name" : "serviceaccount_uid"},
      {"audience", role.audience},
      {"bound_service_account_names", role.names},
      {"bound_service_account_namespace_selector", ""},
      {"bound_service_account_namespaces", role.name_spaces}};
  add_to_api(role.tokens, out);
  return out;
}

Json to_stored(const KubernetesConfig& config) {
  Json stored = to_api(config);
  stored["token_reviewer_jwt"] = config.reviewer.reveal();
  return stored;
}

Json to_stored(const KubernetesRole& role) {
  Json stored = to_api(role);
  stored["tokens"] = broker::to_stored(role.tokens);
  return stored;
}

Result<KubernetesConfig> config_from_stored(const Json& stored) {
  return config_from_api(stored);
}

Result<KubernetesRole> role_from_stored(const Json& stored) {
  KubernetesRole role;
  RETURN_IF_ERROR(take_bounds(Fields(stored), role));
  role.tokens = token_rules_from_stored(stored.at("tokens"));
  return role;
}

std::vector<FieldSpec> config_fields() {
  using enum FieldType;
  return {{"kubernetes_host", kText, "Address of the API server: https://host:port.", true},
          {"kubernetes_ca_cert", kText, "Certificates of its authority, PEM."},
          {"token_reviewer_jwt", kText, "Token to ask the API server with. Never read back."},
          {"pem_keys", kList, "Public keys, PEM; where given, one must have signed the token."},
          {"issuer", kText, "What the claim iss must be."},
          {"disable_iss_validation", kBoolean, "Whether iss is not looked at (true)."},
          {"disable_local_ca_jwt", kBoolean,
           "Whether this pod's own token and authority are not used."}};
}

std::vector<FieldSpec> role_fields() {
  using enum FieldType;
  std::vector<FieldSpec> fields = {
      {"bound_service_account_names", kList, "Service accounts; '*' stands for anything.", true},
      {"bound_service_account_namespaces", kList, "Their namespaces, likewise.", true},
      {"audience", kText, "Must be among the token's audiences."},
      {"alias_name_source", kText, "serviceaccount_uid (default) or serviceaccount_name."}};
  for (FieldSpec& field : token_rules_fields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace curfew::broker::kubernetes
