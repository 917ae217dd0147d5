#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "broker/auth/auth_mounts.h"
#include "broker/auth/login.h"
#include "broker/auth/login_guard.h"
#include "broker/identity/identities.h"
#include "broker/policy/policy_store.h"
#include "broker/request.h"
#include "broker/token/token_service.h"

namespace curfew::broker {

// Makes tokens of logins, and renews them by what their method says then. Thread-safe.
class LoginService {
 public:
  struct Parts {
    AuthMounts& mounts;
    Identities& identities;
    TokenService& tokens;
    const PolicyStore& policies;
    LoginGuard& guard;
    std::function<TokenMountTtl()> token_mount_ttl;
  };
  explicit LoginService(Parts parts) : parts_(std::move(parts)) {}

  // One request to a path of an auth method that needs no token: `handler` is the method's.
  // Attempts are bounded before it is asked. kQuotaExceeded, kPermissionDenied: too many, or too
  // many that failed; the answer says when to try again.
  Result<Response> log_in(const AuthMount& mount, const BackendCall& call,
                          const BackendHandler& handler);

  // What a renewal of a token goes by. kInvalidArgument, kPermissionDenied: its method, or the
  // role there, does not want it renewed any more.
  Result<TokenService::RenewTerms> renew_terms(const Token& token, const Request& request) const;

 private:
  // The token for a login at `mount`, durable, as "auth" of the answer; the rest of `response`
  // stays. kPermissionDenied: the entity is disabled; kUnsupportedPath: the mount was removed
  // meanwhile. Where it fails no token exists.
  Result<Response> finish(const AuthMount& mount, const Request& request, Response response,
                          WallTime now);

  Result<TokenSpec> spec_of(const AuthMount& mount, const Request& request, const Login& login,
                            const std::string& entity_id) const;

  const Parts parts_;
};

}  // namespace curfew::broker
