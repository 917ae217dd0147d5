#include "broker/token/token_api.h"
#include "broker/token/token_backend.h"

// The table of the paths below auth/token/.
namespace curfew::broker {
namespace {

using enum Operation;
using Handlers = std::map<Operation, BackendHandler>;

void add(std::vector<BackendRoutes::Route>& routes, RouteSpec spec, Handlers handlers) {
  routes.push_back({{std::move(spec)}, std::move(handlers)});
}

FieldSpec token_field() {
  return {"token", FieldType::kText, "The token.", true};
}

FieldSpec accessor_field() {
  return {"accessor", FieldType::kText, "Accessor of the token.", true};
}

}  // namespace

BackendHandler TokenBackend::to(Result<Response> (TokenBackend::*method)(const BackendCall&)) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

BackendHandler TokenBackend::to(Result<Response> (TokenBackend::*method)(const BackendCall&)
                                    const) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

void TokenBackend::add_create_routes(std::vector<BackendRoutes::Route>& routes) {
  const std::vector<FieldSpec> fields = token_create_fields();
  add(routes,
      {.pattern = "create", .summary = "Makes a child of the calling token.", .fields = fields},
      {{kUpdate, [this](const BackendCall& call) { return create(call, false); }}});
  add(routes,
      {.pattern = "create-orphan", .summary = "Makes a token without a parent.", .fields = fields},
      {{kUpdate, [this](const BackendCall& call) { return create(call, true); }}});
  add(routes,
      {.pattern = "create/{role}",
       .summary = "Makes a token under a token role.",
       .fields = fields},
      {{kUpdate, to(&TokenBackend::create_with_role)}});
}

void TokenBackend::add_lookup_routes(std::vector<BackendRoutes::Route>& routes) {
  add(routes, {.pattern = "lookup", .summary = "Describes a token.", .fields = {token_field()}},
      {{kUpdate, to(&TokenBackend::lookup)}, {kRead, to(&TokenBackend::lookup)}});
  add(routes, {.pattern = "lookup-self", .summary = "Describes the calling token."},
      {{kRead, to(&TokenBackend::lookup_self)}, {kUpdate, to(&TokenBackend::lookup_self)}});
  add(routes,
      {.pattern = "lookup-accessor",
       .summary = "Describes the token of an accessor.",
       .fields = {accessor_field()}},
      {{kUpdate, to(&TokenBackend::lookup_accessor)}});
  add(routes,
      {.pattern = "accessors", .summary = "Lists the accessors of all tokens.", .sudo = true},
      {{kList, to(&TokenBackend::list_accessors)}});
}

void TokenBackend::add_renew_routes(std::vector<BackendRoutes::Route>& routes) {
  const FieldSpec increment{"increment", FieldType::kDuration,
                            "New time to live, counted from now; 0 means the token's own."};
  add(routes,
      {.pattern = "renew", .summary = "Renews a token.", .fields = {token_field(), increment}},
      {{kUpdate, to(&TokenBackend::renew)}});
  add(routes,
      {.pattern = "renew-self", .summary = "Renews the calling token.", .fields = {increment}},
      {{kUpdate, to(&TokenBackend::renew_self)}});
  add(routes,
      {.pattern = "renew-accessor",
       .summary = "Renews the token of an accessor.",
       .fields = {accessor_field(), increment}},
      {{kUpdate, to(&TokenBackend::renew_accessor)}});
}

void TokenBackend::add_revoke_routes(std::vector<BackendRoutes::Route>& routes) {
  add(routes,
      {.pattern = "revoke",
       .summary = "Ends a token, its children and all that they lease.",
       .fields = {token_field()}},
      {{kUpdate, to(&TokenBackend::revoke)}});
  add(routes, {.pattern = "revoke-self", .summary = "Ends the calling token and its children."},
      {{kUpdate, to(&TokenBackend::revoke_self)}});
  add(routes,
      {.pattern = "revoke-accessor",
       .summary = "Ends the token of an accessor and its children.",
       .fields = {accessor_field()}},
      {{kUpdate, to(&TokenBackend::revoke_accessor)}});
  add(routes,
      {.pattern = "revoke-orphan",
       .summary = "Ends a token alone; its children become orphans.",
       .fields = {token_field()},
       .sudo = true},
      {{kUpdate, to(&TokenBackend::revoke_orphan)}});
  add(routes, {.pattern = "tidy", .summary = "Clears away what ended tokens have left."},
      {{kUpdate, to(&TokenBackend::tidy)}});
}

void TokenBackend::add_role_routes(std::vector<BackendRoutes::Route>& routes) {
  add(routes, {.pattern = "roles", .summary = "Lists the token roles."},
      {{kList, to(&TokenBackend::list_roles)}});
  add(routes,
      {.pattern = "roles/{name}", .summary = "A token role.", .fields = token_role_fields()},
      {{kRead, to(&TokenBackend::read_role)},
       {kUpdate, to(&TokenBackend::write_role)},
       {kDelete, to(&TokenBackend::delete_role)}});
}

BackendRoutes TokenBackend::make_routes() {
  std::vector<BackendRoutes::Route> routes;
  add_create_routes(routes);
  add_lookup_routes(routes);
  add_renew_routes(routes);
  add_revoke_routes(routes);
  add_role_routes(routes);
  return BackendRoutes(std::move(routes));
}

}  // namespace curfew::broker
