#include "broker/auth/login_service.h"

#include <fmt/format.h>

#include "broker/attribution.h"
#include "broker/token/token_api.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kAliasBytesMax = 512;
constexpr std::size_t kDisplayNameBytesMax = 128;

Status check_alias(const Login& login) {
  if (!login.alias.empty() && login.alias.size() <= kAliasBytesMax) return ok();
  return Error{Errc::kInvalidArgument, "the name of who logs in must have 1 to 512 bytes"};
}

// "userpass-ana" at auth/userpass/.
std::string display_name_of(const AuthMount& mount, const Login& login) {
  std::string path = mount.entry.path;
  path.pop_back();
  const std::string& name = login.display_name.empty() ? login.alias : login.display_name;
  return clean_text(path + "-" + name, kDisplayNameBytesMax);
}

}  // namespace

Result<TokenSpec> LoginService::spec_of(const AuthMount& mount, const Request& request,
                                        const Login& login, const std::string& entity_id) const {
  const TokenRules& rules = login.rules;
  TokenSpec spec;
  if (rules.type == "batch") spec.type = TokenType::kBatch;
  spec.path = request.path;
  spec.display_name = display_name_of(mount, login);
  spec.entity_id = entity_id;
  spec.mount = mount.entry.accessor;
  spec.renewal = login.renewal;
  spec.policies = normalise_policies(rules.policies, !rules.no_default_policy);
  // No login makes root, whatever a stored role says.
  if (spec.policies == std::vector<std::string>{"root"})
    return Error{Errc::kPermissionDenied, "auth methods cannot create root tokens"};
  spec.meta = login.metadata;
  spec.bound_cidrs = rules.bound_cidrs;
  if (rules.bind_address) spec.bound_cidrs = {request.remote_address};
  if (rules.bind_certificate) {
    if (request.peer_certificate == nullptr)
      return Error{
          Errc::kPermissionDenied,
          "tokens of this role are tied to a client certificate: log in over TLS with one"};
    spec.certificate = request.peer_certificate->sha256;
  }
  spec.ttl = rules.ttl;
  spec.max_ttl = rules.max_ttl;
  spec.explicit_max_ttl = rules.explicit_max_ttl;
  spec.period = rules.period;
  spec.num_uses = rules.num_uses;
  return spec;
}

namespace {

LoginGuard::Attempt attempt_of(const AuthMount& mount, const BackendCall& call) {
  const LockoutSettings& said = mount.entry.config.lockout;
  Lockout lockout;
  lockout.threshold = said.threshold.value_or(lockout.threshold);
  lockout.duration = said.duration.value_or(lockout.duration);
  lockout.counter_reset = said.counter_reset.value_or(lockout.counter_reset);
  const bool off = said.disabled.value_or(!said.threshold && !mount.method().locks_names());
  if (off) lockout.threshold = 0;
  return {mount.entry.accessor, mount.method().login_name(call), call.request.remote_address,
          lockout};
}

Error refused(const Request& request, const LoginGuard::Refusal& refusal) {
  if (request.answer_headers != nullptr)
    request.answer_headers->push_back({"Retry-After", std::to_string(refusal.wait.count())});
  if (refusal.locked)
    return {Errc::kPermissionDenied,
            fmt::format("permission denied: too many failed logins; try again in {} seconds, or "
                        "have an operator unlock the name (sys/locked-users)",
                        refusal.wait.count())};
  return {Errc::kQuotaExceeded,
          fmt::format("too many logins; try again in {} seconds", refusal.wait.count())};
}

// Whether an outcome says something about what was proven: a broker that is busy, or a server that
// is down, does not.
bool is_failure(Errc code) {
  return code == Errc::kInvalidArgument || code == Errc::kPermissionDenied ||
         code == Errc::kUnauthenticated || code == Errc::kNotFound;
}

}  // namespace

Result<Response> LoginService::log_in(const AuthMount& mount, const BackendCall& call,
                                      const BackendHandler& handler) {
  const LoginGuard::Attempt attempt = attempt_of(mount, call);
  if (const auto refusal = parts_.guard.admit(attempt)) return refused(call.request, *refusal);
  auto outcome = handler(call);
  if (outcome && outcome->login != nullptr)
    parts_.guard.succeeded(attempt);
  else if (outcome || !is_failure(outcome.error().code))
    parts_.guard.undecided(attempt);
  else
    parts_.guard.failed(attempt);
  if (!outcome || outcome->login == nullptr) return outcome;
  return finish(mount, call.request, std::move(*outcome), call.now);
}

Result<Response> LoginService::finish(const AuthMount& mount, const Request& request,
                                      Response response, WallTime now) {
  const Login login = *response.login;
  response.login.reset();
  RETURN_IF_ERROR(check_alias(login));
  ASSIGN_OR_RETURN(const std::string entity_id,
                   parts_.identities.sign_in({.mount_accessor = mount.entry.accessor,
                                              .mount_type = mount.entry.type,
                                              .alias = login.alias,
                                              .metadata = login.alias_metadata,
                                              .groups = login.groups},
                                             now));
  ASSIGN_OR_RETURN(TokenSpec spec, spec_of(mount, request, login, entity_id));
  for (const std::string& policy : spec.policies) {
    ASSIGN_OR_RETURN(const bool exists, parts_.policies.exists(policy));
    if (!exists) response.warnings.push_back(fmt::format("Policy \"{}\" does not exist", policy));
  }
  ASSIGN_OR_RETURN(
      CreatedToken created,
      parts_.tokens.create(std::move(spec), mount.ttl(), [&](const store::Reader& reader) {
        return parts_.mounts.check_open(reader, mount.entry);
      }));
  response.auth = auth_of(created.token, created.secret, created.token.creation_ttl);
  response.auth->made_now = true;
  ASSIGN_OR_RETURN(const auto standing, parts_.identities.standing(entity_id));
  if (standing != nullptr) add_identity_policies(standing->policies, *response.auth);
  std::move(created.warnings.begin(), created.warnings.end(),
            std::back_inserter(response.warnings));
  return response;
}

Result<TokenService::RenewTerms> LoginService::renew_terms(const Token& token,
                                                           const Request& request) const {
  if (token.mount.empty()) return TokenService::RenewTerms{.mount = parts_.token_mount_ttl()};
  const auto mount = parts_.mounts.by_accessor(token.mount);
  if (mount == nullptr)
    return Error{Errc::kInvalidArgument,
                 "the auth method that gave this token is not there any more; log in again"};
  ASSIGN_OR_RETURN(const TokenRules rules, mount->method().renew(token.renewal, request));
  return TokenService::RenewTerms{
      .mount = mount->ttl(), .ttl = rules.ttl, .max_ttl = rules.max_ttl, .period = rules.period};
}

}  // namespace curfew::broker
