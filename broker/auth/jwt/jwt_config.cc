#include "broker/auth/jwt/jwt_config.h"

#include "broker/auth/https_client.h"
#include "broker/auth/jwt/public_key.h"
#include "broker/token/token_service.h"

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kPubkeysMax = 32;

Error invalid(std::string why) {
  return {Errc::kInvalidArgument, std::move(why)};
}

Result<std::vector<Algorithm>> read_algorithms(const Fields& fields) {
  ASSIGN_OR_RETURN(const auto names, fields.comma_list("jwt_supported_algs"));
  std::vector<Algorithm> algorithms;
  for (const std::string& name : names.value_or(std::vector<std::string>{})) {
    const auto algorithm = parse_algorithm(name);
    if (!algorithm)
      return invalid("field \"jwt_supported_algs\": \"" + name +
                     "\" is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 "
                     "and EdDSA");
    algorithms.push_back(*algorithm);
  }
  return algorithms;
}

std::vector<std::string> names_of(const std::vector<Algorithm>& algorithms) {
  std::vector<std::string> names;
  for (const Algorithm algorithm : algorithms) names.emplace_back(algorithm_name(algorithm));
  return names;
}

Status check_keys(const JwtConfig& config) {
  if (config.validation_pubkeys.size() > kPubkeysMax)
    return invalid("field \"jwt_validation_pubkeys\": more than 32 keys");
  for (const std::string& pem : config.validation_pubkeys) {
    const auto key = PublicKey::from_pem(pem);
    if (!key) return invalid("field \"jwt_validation_pubkeys\": " + key.error().message);
  }
  return ok();
}

Status check_addresses(const JwtConfig& config) {
  const int ways = (config.validation_pubkeys.empty() ? 0 : 1) + (config.jwks_url.empty() ? 0 : 1) +
                   (config.discovery_url.empty() ? 0 : 1);
  if (ways != 1)
    return invalid(
        "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set");
  if (!config.jwks_url.empty()) RETURN_IF_ERROR(check_https_url("jwks_url", config.jwks_url));
  if (!config.discovery_url.empty())
    RETURN_IF_ERROR(check_https_url("oidc_discovery_url", config.discovery_url));
  if (!config.jwks_ca_pem.empty()) RETURN_IF_ERROR(check_ca_pem("jwks_ca_pem", config.jwks_ca_pem));
  if (!config.discovery_ca_pem.empty())
    RETURN_IF_ERROR(check_ca_pem("oidc_discovery_ca_pem", config.discovery_ca_pem));
  return ok();
}

Status check_client(const JwtConfig& config) {
  if (config.client_id.empty() != config.client_secret.empty())
    return invalid("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC");
  if (config.has_client() && config.discovery_url.empty())
    return invalid("'oidc_client_id' needs 'oidc_discovery_url': it tells where to log in");
  return ok();
}

// What is known elsewhere and not here is refused rather than left out in silence.
Status check_unsupported(const Fields& fields) {
  ASSIGN_OR_RETURN(const std::string mode, fields.text_or("oidc_response_mode", ""));
  if (!mode.empty() && mode != "query")
    return invalid("field \"oidc_response_mode\": only \"query\" is supported");
  ASSIGN_OR_RETURN(const auto types, fields.comma_list("oidc_response_types"));
  for (const std::string& type : types.value_or(std::vector<std::string>{}))
    if (type != "code") return invalid("field \"oidc_response_types\": only \"code\" is supported");
  ASSIGN_OR_RETURN(const auto provider, fields.object("provider_config"));
  if (provider && !provider->empty())
    return invalid("field \"provider_config\": not supported; groups come from 'groups_claim'");
  return ok();
}

}  // namespace

const std::vector<Algorithm>& JwtConfig::login_algorithms() const {
  return algorithms.empty() ? all_algorithms() : algorithms;
}

std::vector<Algorithm> JwtConfig::id_token_algorithms() const {
  return algorithms.empty() ? std::vector{Algorithm::kRs256} : algorithms;
}

Result<JwtConfig> config_from_api(const Json& data) {
  const Fields fields(data);
  JwtConfig config;
  ASSIGN_OR_RETURN(auto keys, fields.comma_list("jwt_validation_pubkeys"));
  config.validation_pubkeys = std::move(keys).value_or(std::vector<std::string>{});
  for (const auto& [name, into] : {std::pair{"jwks_url", &config.jwks_url},
                                   {"jwks_ca_pem", &config.jwks_ca_pem},
                                   {"oidc_discovery_url", &config.discovery_url},
                                   {"oidc_discovery_ca_pem", &config.discovery_ca_pem},
                                   {"oidc_client_id", &config.client_id},
                                   {"bound_issuer", &config.bound_issuer},
                                   {"default_role", &config.default_role}}) {
    ASSIGN_OR_RETURN(*into, fields.text_or(name, ""));
  }
  config.default_role = lower_case(std::move(config.default_role));
  ASSIGN_OR_RETURN(std::string secret, fields.text_or("oidc_client_secret", ""));
  config.client_secret = Secret(std::move(secret));
  ASSIGN_OR_RETURN(config.algorithms, read_algorithms(fields));
  RETURN_IF_ERROR(check_unsupported(fields));
  RETURN_IF_ERROR(check_addresses(config));
  RETURN_IF_ERROR(check_keys(config));
  RETURN_IF_ERROR(check_client(config));
  return config;
}

Json to_api(const JwtConfig& config) {
  return {{"bound_issuer", config.bound_issuer},
          {"default_role", config.default_role},
          {"jwks_ca_pem", config.jwks_ca_pem},
          {"jwks_url", config.jwks_url},
          {"jwt_supported_algs", names_of(config.algorithms)},
          {"jwt_validation_pubkeys", config.validation_pubkeys},
          {"namespace_in_state", false},
          {"oidc_client_id", config.client_id},
          {"oidc_discovery_ca_pem", config.discovery_ca_pem},
          {"oidc_discovery_url", config.discovery_url},
          {"oidc_response_mode", ""},
          {"oidc_response_types", Json::array()},
          {"provider_config", Json::object()}};
}

Json to_stored(const JwtConfig& config) {
  Json stored = to_api(config);
  stored["oidc_client_secret"] = config.client_secret.reveal();
  return stored;
}

Result<JwtConfig> config_from_stored(const Json& stored) {
  return config_from_api(stored);
}

std::vector<FieldSpec> config_fields() {
  using enum FieldType;
  return {
      {"oidc_discovery_url", kText, "Address of an OpenID Connect provider, without .well-known."},
      {"oidc_discovery_ca_pem", kText, "Certificates of the provider's authority, PEM."},
      {"oidc_client_id", kText, "The client's id, for logins through the browser."},
      {"oidc_client_secret", kText, "The client's secret. Never read back."},
      {"jwks_url", kText, "Address of a JSON Web Key Set."},
      {"jwks_ca_pem", kText, "Certificates of the authority of that server, PEM."},
      {"jwt_validation_pubkeys", kList, "Public keys or certificates, PEM."},
      {"jwt_supported_algs", kList, "Algorithms that are accepted."},
      {"bound_issuer", kText, "What the claim iss must be."},
      {"default_role", kText, "Role of logins that name none."}};
}

}  // namespace curfew::broker::jwt
