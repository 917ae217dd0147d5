#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/auth/jwt/jwt_config.h"
#include "broker/auth/jwt/jwt_role.h"
#include "broker/auth/jwt/key_source.h"
#include "broker/auth/jwt/oidc_requests.h"
#include "broker/auth/jwt/provider.h"

namespace curfew::broker::jwt {

// What a mount's configuration makes possible: believing tokens and, with a provider, sending
// browsers there. Holds what was fetched from the servers of that configuration; another
// configuration gets another verifier. Thread-safe; blocks for the network.
//
// Errors for callers whom nobody knows name no address; the log does.
class Verifier {
 public:
  Verifier(JwtConfig config, const Clock& clock, Log& log);

  const JwtConfig& config() const { return config_; }

  // Asks the configured server for what will be needed. kInvalidArgument, with the reason in full:
  // it does not deliver.
  Status probe() const;

  // The claims of a token that was handed in, when an issuer that is believed has signed it. The
  // role is not asked. kInvalidArgument, kUnauthenticated: it is not believed. kUnavailable,
  // kOverloaded: nobody can say now.
  Result<Json> believe(const std::string& token) const;

  // Where to send the browser. kUnavailable as above.
  Result<std::string> authorization_url(const JwtRole& role,
                                        const OidcRequests::Begun& begun) const;

  // The claims of the ID token that the provider gives for the code: signed by it, for this client,
  // for this request.
  Result<Json> claims_for_code(const OidcRequest& request, const Secret& code) const;

 private:
  Result<Keys> fetch() const;
  Result<std::shared_ptr<const Provider>> provider() const;
  // The same for somebody whom nobody knows; the whole goes into the log.
  Error for_strangers(const Error& error) const;

  const JwtConfig config_;
  Log& log_;
  const HttpsClient client_;
  std::unique_ptr<RemoteValue<Provider>> provider_;  // nullptr: there is no provider
  std::unique_ptr<KeySource> keys_;
};

}  // namespace curfew::broker::jwt
