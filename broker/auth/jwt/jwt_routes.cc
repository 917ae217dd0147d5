#include "broker/auth/jwt/jwt_method.h"

// The table of the paths of the methods "jwt" and "oidc".
namespace curfew::broker::jwt {
namespace {

using enum Operation;

FieldSpec state_field() {
  return {"state", FieldType::kText, "What auth_url's address has under this name.", true};
}

FieldSpec client_nonce_field() {
  return {"client_nonce", FieldType::kText, "Made up by the client; asked for again at the end."};
}

FieldSpec role_field() {
  return {"role", FieldType::kText, "The role; without one the configuration's default_role."};
}

}  // namespace

BackendHandler JwtMethod::to(Result<Response> (JwtMethod::*method)(const BackendCall&)) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

BackendRoutes JwtMethod::make_routes() {
  std::vector<BackendRoutes::Route> routes;
  const auto add = [&](RouteSpec spec, std::map<Operation, BackendHandler> handlers) {
    routes.push_back({{std::move(spec)}, std::move(handlers)});
  };
  add({.pattern = "config", .summary = "Whom the mount believes.", .fields = config_fields()},
      {{kRead, to(&JwtMethod::read_config)}, {kUpdate, to(&JwtMethod::write_config)}});
  roles_.add_routes("Which tokens one may log in with, and what they get.", role_fields(), routes);
  add({.pattern = "login",
       .summary = "Logs in with a signed token.",
       .fields = {role_field(), {"jwt", FieldType::kText, "The token.", true}},
       .unauthenticated = true},
      {{kUpdate, to(&JwtMethod::login)}});
  add({.pattern = "oidc/auth_url",
       .summary = "Begins a login through the browser.",
       .fields = {role_field(),
                  {"redirect_uri", FieldType::kText, "Where the provider sends the browser.", true},
                  client_nonce_field()},
       .unauthenticated = true},
      {{kUpdate, to(&JwtMethod::auth_url)}});
  add({.pattern = "oidc/callback",
       .summary = "Ends a login through the browser with the provider's answer.",
       .fields = {state_field(),
                  {"code", FieldType::kText, "The authorization code."},
                  client_nonce_field()},
       .unauthenticated = true},
      {{kRead, to(&JwtMethod::callback)}, {kUpdate, to(&JwtMethod::callback)}});
  add({.pattern = "oidc/poll",
       .summary = "Fetches the outcome of a login whose browser came back to the server.",
       .fields = {state_field(), client_nonce_field()},
       .unauthenticated = true},
      {{kUpdate, to(&JwtMethod::poll)}});
  return BackendRoutes(std::move(routes));
}

}  // namespace curfew::broker::jwt
