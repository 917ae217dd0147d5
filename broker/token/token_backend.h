#pragma once

#include <functional>

#include "broker/auth/login_service.h"
#include "broker/backend.h"
#include "broker/policy/policy_store.h"
#include "broker/token/delegation.h"
#include "broker/token/token_roles.h"
#include "broker/token/token_service.h"

namespace curfew::broker {

// The paths below auth/token/. Thread-safe.
class TokenBackend final : public Backend {
 public:
  // `mount_ttl` gives the tuned time-to-lives of the mount; `token_ended` is called after a
  // revocation, so that what the token held is cleared away at once.
  TokenBackend(TokenService& tokens, TokenRoles& roles, PolicyStore& policies,
               const LoginService& logins, Delegation delegation,
               std::function<TokenMountTtl()> mount_ttl, std::function<void()> token_ended);

  const BackendRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const BackendCall& call) const override;

 private:
  Result<Response> create(const BackendCall& call, bool orphan);
  Result<Response> create_with_role(const BackendCall& call);
  Result<TokenSpec> spec_of(const BackendCall& call, const TokenRole* role, bool orphan) const;
  Result<Response> finish_create(TokenSpec spec, std::vector<std::string> warnings);

  Result<Response> lookup(const BackendCall& call) const;
  Result<Response> lookup_self(const BackendCall& call) const;
  Result<Response> lookup_accessor(const BackendCall& call) const;
  Result<Response> renewed(const BackendCall& call, const Token& token, const Secret& secret);
  Result<Response> renew(const BackendCall& call);
  Result<Response> renew_self(const BackendCall& call);
  Result<Response> renew_accessor(const BackendCall& call);
  Result<Response> revoke(const BackendCall& call);
  Result<Response> revoke_self(const BackendCall& call);
  Result<Response> revoke_accessor(const BackendCall& call);
  Result<Response> revoke_orphan(const BackendCall& call);
  Result<Response> tidy(const BackendCall& call);
  Result<Response> list_accessors(const BackendCall& call) const;

  Result<Response> read_role(const BackendCall& call) const;
  Result<Response> write_role(const BackendCall& call);
  Result<Response> delete_role(const BackendCall& call);
  Result<Response> list_roles(const BackendCall& call) const;

  // token_routes.cc
  BackendHandler to(Result<Response> (TokenBackend::*method)(const BackendCall&));
  BackendHandler to(Result<Response> (TokenBackend::*method)(const BackendCall&) const);
  void add_create_routes(std::vector<BackendRoutes::Route>& routes);
  void add_lookup_routes(std::vector<BackendRoutes::Route>& routes);
  void add_renew_routes(std::vector<BackendRoutes::Route>& routes);
  void add_revoke_routes(std::vector<BackendRoutes::Route>& routes);
  void add_role_routes(std::vector<BackendRoutes::Route>& routes);
  BackendRoutes make_routes();

  TokenService& tokens_;
  TokenRoles& roles_;
  PolicyStore& policies_;
  const LoginService& logins_;
  const Delegation delegation_;
  const std::function<TokenMountTtl()> mount_ttl_;
  const std::function<void()> token_ended_;
  const BackendRoutes routes_;
};

}  // namespace curfew::broker
