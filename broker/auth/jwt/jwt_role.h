#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "broker/auth/jwt/claims.h"
#include "broker/auth/token_rules.h"

namespace curfew::broker::jwt {

// Which tokens one may log in with, and what they get.
struct JwtRole {
  enum class Type { kJwt, kOidc };
  // How a login through the browser ends: the provider sends the browser to the client, or to us,
  // where the client asks for the outcome.
  enum class Callback { kClient, kDirect };

  Type type = Type::kOidc;
  ClaimRules claims = {};
  std::vector<std::string> allowed_redirect_uris = {};
  std::vector<std::string> oidc_scopes = {};
  Callback callback = Callback::kClient;
  Seconds poll_interval{5};
  TokenRules tokens = {};
};

// Applies the members of a write to `role`, which holds what was stored before or the defaults, and
// checks the whole. kInvalidArgument names the member.
Status apply_fields(const Json& data, JwtRole& role);

Json to_api(const JwtRole& role);
Json to_stored(const JwtRole& role);
Result<JwtRole> role_from_stored(const Json& stored);

std::vector<FieldSpec> role_fields();

}  // namespace curfew::broker::jwt
