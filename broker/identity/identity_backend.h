#pragma once

#include <string>
#include <vector>

#include "broker/backend.h"
#include "broker/identity/identity_service.h"
#include "broker/identity/identity_view.h"

namespace curfew::broker {

// The paths below identity/: Vault's, and the registry of agents. Thread-safe.
class IdentityBackend final : public Backend {
 public:
  // `find_mount` gives the mounts that aliases may refer to. `viewer.namespace_id` stands in
  // answers.
  IdentityBackend(IdentityService& identities, IdentityViewer viewer);

  const BackendRoutes& routes() const override { return routes_; }

 private:
  // identity_backend.cc
  Result<Response> write_entity(const BackendCall& call);
  Result<Response> read_entity(const BackendCall& call, IdentityKey::By by) const;
  Result<Response> delete_entity(const BackendCall& call);
  Result<Response> delete_entity_named(const BackendCall& call);
  Result<Response> list_entities(const BackendCall& call, bool by_id) const;
  Result<Response> delete_entities(const BackendCall& call);
  Result<Response> merge(const BackendCall& call);
  Result<Response> write_alias(const BackendCall& call);
  Result<Response> read_alias(const BackendCall& call) const;
  Result<Response> delete_alias(const BackendCall& call);
  Result<Response> list_aliases(const BackendCall& call) const;
  Result<Response> list_retired(const BackendCall& call) const;
  Result<Response> free_retired(const BackendCall& call);
  Result<Response> look_up_entity(const BackendCall& call) const;
  Result<AliasChange> alias_change(const BackendCall& call) const;

  // identity_group_paths.cc
  Result<Response> write_group(const BackendCall& call);
  Result<Response> read_group(const BackendCall& call, IdentityKey::By by) const;
  Result<Response> delete_group(const BackendCall& call, IdentityKey::By by);
  Result<Response> list_groups(const BackendCall& call, bool by_id) const;
  Result<Response> write_group_alias(const BackendCall& call);
  Result<Response> read_group_alias(const BackendCall& call) const;
  Result<Response> delete_group_alias(const BackendCall& call);
  Result<Response> list_group_aliases(const BackendCall& call) const;
  Result<Response> look_up_group(const BackendCall& call) const;

  // identity_agent_paths.cc
  Result<Response> write_agent(const BackendCall& call);
  Result<Response> read_agent(const BackendCall& call) const;
  Result<Response> delete_agent(const BackendCall& call);
  Result<Response> list_agents(const BackendCall& call) const;
  Result<Response> set_disabled(const BackendCall& call, bool disabled);

  // identity_routes.cc
  BackendHandler to(Result<Response> (IdentityBackend::*method)(const BackendCall&));
  BackendHandler to(Result<Response> (IdentityBackend::*method)(const BackendCall&) const);
  void add_entity_routes(std::vector<BackendRoutes::Route>& routes);
  void add_alias_routes(std::vector<BackendRoutes::Route>& routes);
  void add_group_routes(std::vector<BackendRoutes::Route>& routes);
  void add_agent_routes(std::vector<BackendRoutes::Route>& routes);
  BackendRoutes make_routes();

  IdentityService& identities_;
  const IdentityViewer viewer_;
  const BackendRoutes routes_;
};

// A named part of the path, or else the member of the body; empty and absent are the same.
Result<std::optional<std::string>> path_or_field(const BackendCall& call, std::string_view name);

// What lookup/entity and lookup/group are asked by. kInvalidArgument: not exactly one thing.
Result<IdentityKey> lookup_key(const Json& data);

// The answer to a write: what was made, else nothing.
Response written_answer(const Written& written, Json more = Json::object());

}  // namespace curfew::broker
