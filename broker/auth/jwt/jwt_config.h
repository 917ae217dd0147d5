#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "base/secret.h"
#include "broker/auth/jwt/algorithm.h"

namespace curfew::broker::jwt {

// Whom a mount believes: keys that are given, a key set at an address, or an OpenID Connect
// provider; with a client's id also logins through the browser.
struct JwtConfig {
  std::vector<std::string> validation_pubkeys;  // PEM
  std::string jwks_url;
  std::string jwks_ca_pem;
  std::string discovery_url;
  std::string discovery_ca_pem;
  std::string client_id;
  Secret client_secret;
  std::string bound_issuer;
  std::vector<Algorithm> algorithms;  // empty: the defaults
  std::string default_role;

  bool has_client() const { return !client_id.empty(); }
  // Of tokens that are handed in: all, unless set.
  const std::vector<Algorithm>& login_algorithms() const;
  // Of ID tokens: RS256 alone, unless set.
  std::vector<Algorithm> id_token_algorithms() const;
};

// A whole configuration; members that are absent have their defaults. kInvalidArgument names the
// member. Nothing is asked of a server.
Result<JwtConfig> config_from_api(const Json& data);

// Without the client's secret.
Json to_api(const JwtConfig& config);

Json to_stored(const JwtConfig& config);
Result<JwtConfig> config_from_stored(const Json& stored);

std::vector<FieldSpec> config_fields();

}  // namespace curfew::broker::jwt
