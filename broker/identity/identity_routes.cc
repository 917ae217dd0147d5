#include "broker/identity/identity_backend.h"

// The table of the paths below identity/.
namespace curfew::broker {
namespace {

using enum Operation;
using By = IdentityKey::By;
using Handlers = std::map<Operation, BackendHandler>;

void add(std::vector<BackendRoutes::Route>& routes, RouteSpec spec, Handlers handlers) {
  routes.push_back({{std::move(spec)}, std::move(handlers)});
}

std::vector<FieldSpec> entity_fields() {
  return {{"id", FieldType::kText, "Id of an entity that exists, to change it."},
          {"name", FieldType::kText, "Name; by default a random one."},
          {"kind", FieldType::kText, "\"human\", or empty. Agents: identity/agent."},
          {"policies", FieldType::kList, "Policies of all its tokens."},
          {"metadata", FieldType::kMap, "Facts about it, for people and for policies."},
          {"disabled", FieldType::kBoolean, "Its tokens and logins are refused."}};
}

std::vector<FieldSpec> alias_fields(const char* owner) {
  return {{"id", FieldType::kText, "Id of an alias that exists, to change it."},
          {"name", FieldType::kText, "The name that the login method has for it."},
          {"mount_accessor", FieldType::kText, "Accessor of the login method's mount."},
          {"canonical_id", FieldType::kText, owner},
          {"custom_metadata", FieldType::kMap, "Facts about it."}};
}

std::vector<FieldSpec> group_fields() {
  return {{"id", FieldType::kText, "Id of a group that exists, to change it."},
          {"name", FieldType::kText, "Name; by default a random one."},
          {"type", FieldType::kText, "\"internal\" (default), or \"external\"."},
          {"policies", FieldType::kList, "Policies of all its members."},
          {"metadata", FieldType::kMap, "Facts about it, for people and for policies."},
          {"member_entity_ids", FieldType::kList, "All members of an internal group."},
          {"member_group_ids", FieldType::kList, "Groups whose members are members too."}};
}

std::vector<FieldSpec> lookup_fields() {
  return {{"id", FieldType::kText, "By id."},
          {"name", FieldType::kText, "By name."},
          {"alias_id", FieldType::kText, "By the id of an alias."},
          {"alias_name", FieldType::kText, "By the name of an alias, with its mount."},
          {"alias_mount_accessor", FieldType::kText, "The mount of alias_name."}};
}

std::vector<FieldSpec> agent_fields() {
  return {{"owner", FieldType::kText,
           "Name or id of the human or the group that answers for it; entity:NAME or group:NAME "
           "where both have it.",
           true},
          {"kind", FieldType::kText, "What program it is."},
          {"description", FieldType::kText, "What it is for."},
          {"policies", FieldType::kList, "Policies of all its tokens."},
          {"ceiling_policies", FieldType::kList,
           "Beside its tokens, one of these has to allow what it does."},
          {"allowed_roles", FieldType::kList,
           "Roles that it may lease, as MOUNT/ROLE, with '*'; none: any."},
          {"max_live_leases", FieldType::kInteger, "Leases at a time; 0: no limit."},
          {"max_leases_per_hour", FieldType::kInteger, "Leases within an hour; 0: no limit."},
          {"max_ttl", FieldType::kDuration, "Longest life of a lease; 0: no limit."},
          {"metadata", FieldType::kMap, "Facts about it, for people and for policies."},
          {"disabled", FieldType::kBoolean, "Its tokens and logins are refused."},
          {"entity_id", FieldType::kText, "An entity that shall become this agent."}};
}

}  // namespace

BackendHandler IdentityBackend::to(
    Result<Response> (IdentityBackend::*method)(const BackendCall&)) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

BackendHandler IdentityBackend::to(Result<Response> (IdentityBackend::*method)(const BackendCall&)
                                       const) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

void IdentityBackend::add_entity_routes(std::vector<BackendRoutes::Route>& routes) {
  const auto list = [this](bool by_id) {
    return [this, by_id](const BackendCall& call) { return list_entities(call, by_id); };
  };
  const auto read = [this](By by) {
    return [this, by](const BackendCall& call) { return read_entity(call, by); };
  };
  add(routes,
      {.pattern = "entity", .summary = "Makes or changes an entity.", .fields = entity_fields()},
      {{kUpdate, to(&IdentityBackend::write_entity)}});
  add(routes,
      {.pattern = "entity/merge",
       .summary = "Makes several entities one.",
       .fields = {{"to_entity_id", FieldType::kText, "The one that stays.", true},
                  {"from_entity_ids", FieldType::kList, "Those that become part of it.", true},
                  {"conflicting_alias_ids_to_keep", FieldType::kList,
                   "Which alias stays where both have one of a mount."}}},
      {{kUpdate, to(&IdentityBackend::merge)}});
  add(routes,
      {.pattern = "entity/batch-delete",
       .summary = "Removes entities.",
       .fields = {{"entity_ids", FieldType::kList, "Their ids.", true}}},
      {{kUpdate, to(&IdentityBackend::delete_entities)}});
  add(routes, {.pattern = "entity/id", .summary = "Lists the ids of entities."},
      {{kList, list(true)}});
  add(routes,
      {.pattern = "entity/id/{id}", .summary = "An entity, by id.", .fields = entity_fields()},
      {{kRead, read(By::kId)},
       {kUpdate, to(&IdentityBackend::write_entity)},
       {kDelete, to(&IdentityBackend::delete_entity)}});
  add(routes, {.pattern = "entity/name", .summary = "Lists the names of entities."},
      {{kList, list(false)}});
  add(routes,
      {.pattern = "entity/name/{name...}",
       .summary = "An entity, by name.",
       .fields = entity_fields()},
      {{kRead, read(By::kName)},
       {kUpdate, to(&IdentityBackend::write_entity)},
       {kDelete, to(&IdentityBackend::delete_entity_named)}});
  add(routes,
      {.pattern = "lookup/entity", .summary = "Finds an entity.", .fields = lookup_fields()},
      {{kUpdate, to(&IdentityBackend::look_up_entity)}});
}

void IdentityBackend::add_alias_routes(std::vector<BackendRoutes::Route>& routes) {
  add(routes,
      {.pattern = "entity-alias",
       .summary = "Makes or changes an alias of an entity.",
       .fields = alias_fields("The entity's id.")},
      {{kUpdate, to(&IdentityBackend::write_alias)}});
  add(routes, {.pattern = "entity-alias/id", .summary = "Lists the ids of entities' aliases."},
      {{kList, to(&IdentityBackend::list_aliases)}});
  add(routes,
      {.pattern = "entity-alias/id/{id}",
       .summary = "An alias of an entity.",
       .fields = alias_fields("The entity's id.")},
      {{kRead, to(&IdentityBackend::read_alias)},
       {kUpdate, to(&IdentityBackend::write_alias)},
       {kDelete, to(&IdentityBackend::delete_alias)}});
  add(routes,
      {.pattern = "retired-alias",
       .summary = "Lists the logins that belonged to entities which do not have them any more."},
      {{kList, to(&IdentityBackend::list_retired)}});
  add(routes,
      {.pattern = "retired-alias/{id}",
       .summary = "Frees a login: whoever logs in by it next is a new entity.",
       .sudo = true},
      {{kDelete, to(&IdentityBackend::free_retired)}});
  add(routes,
      {.pattern = "group-alias",
       .summary = "Makes or changes the alias of a group.",
       .fields = alias_fields("The group's id.")},
      {{kUpdate, to(&IdentityBackend::write_group_alias)}});
  add(routes, {.pattern = "group-alias/id", .summary = "Lists the ids of groups' aliases."},
      {{kList, to(&IdentityBackend::list_group_aliases)}});
  add(routes,
      {.pattern = "group-alias/id/{id}",
       .summary = "The alias of a group.",
       .fields = alias_fields("The group's id.")},
      {{kRead, to(&IdentityBackend::read_group_alias)},
       {kUpdate, to(&IdentityBackend::write_group_alias)},
       {kDelete, to(&IdentityBackend::delete_group_alias)}});
}

void IdentityBackend::add_group_routes(std::vector<BackendRoutes::Route>& routes) {
  const auto list = [this](bool by_id) {
    return [this, by_id](const BackendCall& call) { return list_groups(call, by_id); };
  };
  const auto read = [this](By by) {
    return [this, by](const BackendCall& call) { return read_group(call, by); };
  };
  const auto remove = [this](By by) {
    return [this, by](const BackendCall& call) { return delete_group(call, by); };
  };
  add(routes,
      {.pattern = "group", .summary = "Makes or changes a group.", .fields = group_fields()},
      {{kUpdate, to(&IdentityBackend::write_group)}});
  add(routes, {.pattern = "group/id", .summary = "Lists the ids of groups."},
      {{kList, list(true)}});
  add(routes, {.pattern = "group/id/{id}", .summary = "A group, by id.", .fields = group_fields()},
      {{kRead, read(By::kId)},
       {kUpdate, to(&IdentityBackend::write_group)},
       {kDelete, remove(By::kId)}});
  add(routes, {.pattern = "group/name", .summary = "Lists the names of groups."},
      {{kList, list(false)}});
  add(routes,
      {.pattern = "group/name/{name...}", .summary = "A group, by name.", .fields = group_fields()},
      {{kRead, read(By::kName)},
       {kUpdate, to(&IdentityBackend::write_group)},
       {kDelete, remove(By::kName)}});
  add(routes, {.pattern = "lookup/group", .summary = "Finds a group.", .fields = lookup_fields()},
      {{kUpdate, to(&IdentityBackend::look_up_group)}});
}

void IdentityBackend::add_agent_routes(std::vector<BackendRoutes::Route>& routes) {
  const auto set = [this](bool disabled) {
    return [this, disabled](const BackendCall& call) { return set_disabled(call, disabled); };
  };
  add(routes, {.pattern = "agent", .summary = "Lists the agents."},
      {{kList, to(&IdentityBackend::list_agents)}});
  add(routes, {.pattern = "agent/{name}", .summary = "An agent.", .fields = agent_fields()},
      {{kRead, to(&IdentityBackend::read_agent)},
       {kUpdate, to(&IdentityBackend::write_agent)},
       {kDelete, to(&IdentityBackend::delete_agent)}});
  add(routes, {.pattern = "agent/{name}/disable", .summary = "Keeps an agent out, at once."},
      {{kUpdate, set(true)}});
  add(routes, {.pattern = "agent/{name}/enable", .summary = "Lets an agent act again."},
      {{kUpdate, set(false)}});
}

BackendRoutes IdentityBackend::make_routes() {
  std::vector<BackendRoutes::Route> routes;
  add_entity_routes(routes);
  add_alias_routes(routes);
  add_group_routes(routes);
  add_agent_routes(routes);
  return BackendRoutes(std::move(routes));
}

}  // namespace curfew::broker
