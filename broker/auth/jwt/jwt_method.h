#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "broker/auth/auth_method.h"
#include "broker/auth/jwt/jwt_role.h"
#include "broker/auth/jwt/oidc_requests.h"
#include "broker/auth/jwt/verifier.h"
#include "broker/auth/remote_value.h"
#include "broker/auth/role_store.h"

namespace curfew::broker::jwt {

// Logins with signed tokens: handed in (of CI systems, of SPIFFE, of Kubernetes …), or fetched from
// an OpenID Connect provider through the browser.
class JwtMethod final : public AuthMethod {
 public:
  // `type`: "jwt" or "oidc"; both do the same.
  JwtMethod(std::string type, AuthServices services);

  std::string_view type() const override { return type_; }
  const BackendRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const BackendCall& call) const override {
    return roles_.exists(call);
  }
  Result<TokenRules> renew(const Json& renewal, const Request&) const override {
    return roles_.renewed(renewal);
  }

 private:
  Result<Response> read_config(const BackendCall& call);
  Result<Response> write_config(const BackendCall& call);

  Result<Response> login(const BackendCall& call);
  Result<Response> auth_url(const BackendCall& call);
  Result<Response> callback(const BackendCall& call);
  Result<Response> poll(const BackendCall& call);

  // The verifier of the configuration as it is stored now. kInvalidArgument: there is none.
  Result<std::shared_ptr<const Verifier>> verifier() const;
  // The outcome of the provider's answer to `request`.
  Result<std::shared_ptr<const Login>> finish_browser(const OidcRequest& request,
                                                      const BackendCall& call);
  // What the role says of claims that were believed.
  Result<std::shared_ptr<const Login>> login_of(const Json& claims, const std::string& role_name,
                                                const StoredRole<JwtRole>& role,
                                                const BackendCall& call) const;

  BackendHandler to(Result<Response> (JwtMethod::*method)(const BackendCall&));
  BackendRoutes make_routes();

  const std::string type_;
  const AuthServices services_;
  RoleStore<JwtRole> roles_;
  OidcRequests requests_;
  // Logins that the provider is being asked about: one that hangs must not take every thread.
  Slots exchanges_;
  const BackendRoutes routes_;
  mutable std::mutex mutex_;
  mutable Json verifier_config_;  // what verifier_ was made of; guarded by mutex_
  mutable std::shared_ptr<const Verifier> verifier_;  // guarded by mutex_
};

// Adds the types "jwt" and "oidc".
void add_methods(AuthRegistry& registry);

}  // namespace curfew::broker::jwt
