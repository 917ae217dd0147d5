#include "broker/auth/jwt/jwt_method.h"

#include <algorithm>

#include "broker/token/cidr.h"
#include "broker/token/token_service.h"

namespace curfew::broker::jwt {
namespace {

constexpr std::string_view kConfigKey = "config";
constexpr std::size_t kClientNonceBytesMax = 256;
constexpr std::size_t kCodeBytesMax = 4'096;
constexpr int kExchangesMax = 8;

// Vault's clients know a token that is not believed as a bad request.
Error as_bad_request(Error error) {
  if (error.code == Errc::kUnauthenticated) error.code = Errc::kInvalidArgument;
  return error;
}

Error unknown_role(const std::string& name) {
  return {Errc::kInvalidArgument, "role \"" + name + "\" could not be found"};
}

// One answer for a role that does not exist, one that is for something else, and an address that is
// not allowed: the caller is nobody yet.
Error no_browser_login(const std::string& name) {
  return {Errc::kInvalidArgument,
          "role \"" + name +
              "\" does not allow a login through the browser with this redirect_uri: it must be, "
              "byte for byte, among the role's allowed_redirect_uris"};
}

// An error code of RFC 6749; anybody can make up the answer that carries it.
std::string printable_code(std::string text) {
  const bool odd = text.empty() || text.size() > 64 ||
                   text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos;
  return odd ? "an error" : std::move(text);
}

}  // namespace

JwtMethod::JwtMethod(std::string type, AuthServices services)
    : type_(std::move(type)),
      services_(std::move(services)),
      roles_(services_.storage, services_.random, role_from_stored),
      requests_(services_.clock, services_.random),
      exchanges_(kExchangesMax),
      routes_(make_routes()) {}

// ---- configuration ----------------------------------------------------------------------------

Result<Response> JwtMethod::read_config(const BackendCall&) {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(kConfigKey));
  if (!stored) return Error{Errc::kNotFound, ""};
  ASSIGN_OR_RETURN(const auto config, config_from_stored(*stored));
  return Response{.data = to_api(config)};
}

Result<Response> JwtMethod::write_config(const BackendCall& call) {
  ASSIGN_OR_RETURN(auto config, config_from_api(call.request.data));
  const Json stored = to_stored(config);
  const Verifier verifier(std::move(config), services_.clock, services_.log);
  RETURN_IF_ERROR(verifier.probe());
  RETURN_IF_ERROR(services_.storage.put(kConfigKey, stored));
  return Response{};
}

Result<std::shared_ptr<const Verifier>> JwtMethod::verifier() const {
  ASSIGN_OR_RETURN(auto stored, services_.storage.get(kConfigKey));
  if (!stored)
    return Error{Errc::kInvalidArgument, "could not load configuration: write auth/<path>/config"};
  const std::scoped_lock lock(mutex_);
  if (verifier_ != nullptr && verifier_config_ == *stored) return verifier_;
  ASSIGN_OR_RETURN(auto config, config_from_stored(*stored));
  verifier_ = std::make_shared<const Verifier>(std::move(config), services_.clock, services_.log);
  verifier_config_ = std::move(*stored);
  return verifier_;
}

// ---- logins ---------------------------------------------------------------------------------

// The token is believed before the role is looked at: who has none learns nothing of the roles.
Result<Response> JwtMethod::login(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string token, fields.text_or("jwt", ""));
  if (token.empty()) return Error{Errc::kInvalidArgument, "missing token: the field \"jwt\""};
  ASSIGN_OR_RETURN(const auto verifier, this->verifier());
  ASSIGN_OR_RETURN(const std::string wanted, fields.text_or("role", ""));
  const std::string name = wanted.empty() ? verifier->config().default_role : lower_case(wanted);
  if (name.empty()) return Error{Errc::kInvalidArgument, "missing role"};
  const auto claims = verifier->believe(token);
  if (!claims) return as_bad_request(claims.error());
  ASSIGN_OR_RETURN(const auto found, roles_.find(name));
  if (!found) return unknown_role(name);
  if (found->type != JwtRole::Type::kJwt)
    return Error{Errc::kInvalidArgument, "role with oidc role_type is not allowed"};
  auto login = login_of(*claims, name, *found, call);
  if (!login) return as_bad_request(login.error());
  return Response{.login = std::move(*login)};
}

Result<std::shared_ptr<const Login>> JwtMethod::login_of(const Json& claims,
                                                         const std::string& role_name,
                                                         const StoredRole<JwtRole>& role,
                                                         const BackendCall& call) const {
  const bool oidc = role.type == JwtRole::Type::kOidc;
  const auto& cidrs = role.tokens.bound_cidrs;
  if (!cidrs.empty() && !in_any_cidr(call.request.remote_address, cidrs))
    return Error{Errc::kPermissionDenied, "permission denied"};
  RETURN_IF_ERROR(check_times(claims, role.claims, call.now));
  RETURN_IF_ERROR(check_audience(claims, role.claims,
                                 oidc ? Audience::kBoundElsewhere : Audience::kBoundByRole));
  RETURN_IF_ERROR(check_bound(claims, role.claims));
  ASSIGN_OR_RETURN(auto subject, subject_of(claims, role.claims));
  subject.metadata["role"] = role_name;
  Login login;
  login.alias = subject.name;
  login.display_name = std::move(subject.name);
  login.alias_metadata = subject.metadata;
  login.metadata = std::move(subject.metadata);
  login.groups = std::move(subject.groups);
  login.rules = role.tokens;
  login.renewal = RoleStore<JwtRole>::renewal(role_name, role);
  return std::shared_ptr<const Login>(std::make_shared<Login>(std::move(login)));
}

Result<Response> JwtMethod::auth_url(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string redirect_uri, fields.text_or("redirect_uri", ""));
  if (redirect_uri.empty()) return Error{Errc::kInvalidArgument, "missing redirect_uri"};
  ASSIGN_OR_RETURN(const std::string client_nonce, fields.text_or("client_nonce", ""));
  if (client_nonce.size() > kClientNonceBytesMax)
    return Error{Errc::kInvalidArgument, "field \"client_nonce\": longer than 256 bytes"};
  ASSIGN_OR_RETURN(const auto verifier, this->verifier());
  ASSIGN_OR_RETURN(const std::string wanted, fields.text_or("role", ""));
  const std::string name = wanted.empty() ? verifier->config().default_role : lower_case(wanted);
  ASSIGN_OR_RETURN(const auto found, roles_.find(name));
  if (!found || found->type != JwtRole::Type::kOidc) return no_browser_login(name);
  const auto& allowed = found->allowed_redirect_uris;
  if (std::find(allowed.begin(), allowed.end(), redirect_uri) == allowed.end())
    return no_browser_login(name);
  const bool direct = found->callback == JwtRole::Callback::kDirect;
  if (direct && client_nonce.empty())
    return Error{
        Errc::kInvalidArgument,
        "missing client_nonce: with callback_mode \"direct\" it is what fetches the token"};
  ASSIGN_OR_RETURN(const auto begun,
                   requests_.begin({.role = name,
                                    .redirect_uri = redirect_uri,
                                    .nonce = {},
                                    .code_verifier = {},
                                    .client_nonce = client_nonce,
                                    .polled = direct,
                                    .address = address_group(call.request.remote_address)}));
  ASSIGN_OR_RETURN(std::string url, verifier->authorization_url(*found, begun));
  Json data = {{"auth_url", std::move(url)}};
  if (direct) {
    data["state"] = begun.state;
    data["poll_interval"] = std::to_string(found->poll_interval.count());
  }
  return Response{.data = std::move(data)};
}

Result<std::shared_ptr<const Login>> JwtMethod::finish_browser(const OidcRequest& request,
                                                               const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(std::string refusal, fields.text_or("error", ""));
  if (!refusal.empty())
    return Error{Errc::kInvalidArgument,
                 "the provider did not log you in: " + printable_code(std::move(refusal))};
  ASSIGN_OR_RETURN(std::string code, fields.text_or("code", ""));
  if (code.empty() || code.size() > kCodeBytesMax)
    return Error{Errc::kInvalidArgument, "OAuth code parameter not provided"};
  ASSIGN_OR_RETURN(const auto verifier, this->verifier());
  // It may have been changed or deleted since the login began.
  ASSIGN_OR_RETURN(const auto found, roles_.find(request.role));
  if (!found || found->type != JwtRole::Type::kOidc) return unknown_role(request.role);
  ASSIGN_OR_RETURN(const Json claims, verifier->claims_for_code(request, Secret(std::move(code))));
  return login_of(claims, request.role, *found, call);
}

Result<Response> JwtMethod::callback(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string state, fields.text_or("state", ""));
  ASSIGN_OR_RETURN(const std::string client_nonce, fields.text_or("client_nonce", ""));
  // Before the request is taken: whoever finds none free may come back with the same answer.
  ASSIGN_OR_RETURN(const auto slot, exchanges_.take());
  const auto request = requests_.take(state);
  if (!request)
    return Error{Errc::kInvalidArgument,
                 "expired or missing OAuth state: the login took longer than five minutes, was "
                 "answered already, or the server was restarted; begin again"};
  if (!request->polled && !constant_time_equal(client_nonce, request->client_nonce))
    return Error{Errc::kInvalidArgument, "invalid client_nonce"};
  auto login = finish_browser(*request, call);
  if (!login) login = as_bad_request(login.error());
  if (!request->polled) {
    if (!login) return login.error();
    return Response{.login = std::move(*login)};
  }
  const bool failed = !login.has_value();
  requests_.finish(state, std::move(login));
  return Response{.layout = Layout::kText,
                  .data = failed ? "The login failed. The program that began it says why."
                                 : "You are logged in. This page can be closed."};
}

Result<Response> JwtMethod::poll(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string state, fields.text_or("state", ""));
  ASSIGN_OR_RETURN(const std::string client_nonce, fields.text_or("client_nonce", ""));
  ASSIGN_OR_RETURN(auto login, requests_.poll(state, client_nonce));
  // No failure: nothing was proven yet, nor found wrong.
  if (login == nullptr) return Error{Errc::kConflict, "authorization_pending"};
  return Response{.login = std::move(login)};
}

void add_methods(AuthRegistry& registry) {
  for (const char* type : {"jwt", "oidc"})
    registry.add(type, [type](AuthServices services) -> Result<std::unique_ptr<AuthMethod>> {
      return std::unique_ptr<AuthMethod>(std::make_unique<JwtMethod>(type, std::move(services)));
    });
}

}  // namespace curfew::broker::jwt
