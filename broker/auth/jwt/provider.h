#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "broker/auth/https_client.h"
#include "broker/auth/jwt/jws.h"

namespace curfew::broker::jwt {

// What an OpenID Connect provider says of itself (OpenID Connect Discovery 1.0).
struct Provider {
  std::string issuer;
  std::string jwks_uri;
  std::string authorization_endpoint;  // may be empty: it only signs tokens
  std::string token_endpoint;          // likewise
  bool secret_in_body = false;         // it takes the client's secret only so (client_secret_post)
};

// Reads <url>/.well-known/openid-configuration. kUnavailable: it cannot be had, says it is
// somebody else than `url`, or names addresses without TLS. Messages are for operators.
Result<Provider> discover(const HttpsClient& client, const std::string& url);

// Reads a key set. kUnavailable as above.
Result<Keys> fetch_keys(const HttpsClient& client, const std::string& url);

// What a provider is asked for when somebody has come back from it (RFC 6749 section 4.1.3, RFC
// 7636).
struct CodeExchange {
  std::string client_id;
  Secret client_secret;
  Secret code;
  std::string redirect_uri;
  Secret code_verifier;
};

// The ID token (a JWT, not yet verified) for an authorization code. kUnauthenticated: the provider
// refuses the code. kUnavailable: it gave no answer that could be used.
Result<Secret> exchange_code(const HttpsClient& client, const Provider& provider,
                             const CodeExchange& exchange);

}  // namespace curfew::broker::jwt
