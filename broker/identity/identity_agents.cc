#include <fmt/format.h>

#include <algorithm>

#include "broker/identity/identity_checks.h"
#include "broker/identity/identity_service.h"

// The registry of agents. An agent is an entity with an owner and limits.
namespace curfew::broker {
namespace {

Status apply(AgentChange change, Entity& entity) {
  AgentRecord& agent = *entity.agent;
  if (change.kind) agent.kind = *std::move(change.kind);
  if (change.description) agent.description = *std::move(change.description);
  if (change.policies) {
    ASSIGN_OR_RETURN(entity.policies, checked_policies(*std::move(change.policies)));
  }
  if (change.ceiling_policies) {
    ASSIGN_OR_RETURN(agent.limits.ceiling_policies,
                     checked_policies(*std::move(change.ceiling_policies)));
  }
  if (change.allowed_roles) agent.limits.allowed_roles = *std::move(change.allowed_roles);
  if (change.live_leases_max) agent.limits.live_leases_max = *change.live_leases_max;
  if (change.leases_per_hour) agent.limits.leases_per_hour = *change.leases_per_hour;
  if (change.ttl_max) agent.limits.ttl_max = *change.ttl_max;
  if (change.metadata) entity.metadata = *std::move(change.metadata);
  if (change.disabled) entity.disabled = *change.disabled;
  return check_agent_record(agent);
}

Error no_such_agent(const std::string& name) {
  return {Errc::kNotFound, fmt::format("there is no agent named \"{}\"", name)};
}

}  // namespace

// Who answers for an agent is a person or a group of people: an agent cannot.
Result<AgentOwner> IdentityService::owner_of(const store::Reader& reader,
                                             const std::string& text) const {
  const bool only_entity = text.starts_with("entity:");
  const bool only_group = text.starts_with("group:");
  const std::string name = text.substr(only_entity ? 7 : only_group ? 6 : 0);
  std::optional<Entity> entity;
  std::optional<Group> group;
  if (!only_group) {
    ASSIGN_OR_RETURN(entity, records_.entity(reader, name));
    if (!entity) {
      ASSIGN_OR_RETURN(entity, records_.entity_by_name(reader, name));
    }
  }
  if (!only_entity) {
    ASSIGN_OR_RETURN(group, records_.group(reader, name));
    if (!group) {
      ASSIGN_OR_RETURN(group, records_.group_by_name(reader, name));
    }
  }
  if (entity && group)
    return invalid_identity(fmt::format(
        "field \"owner\": an entity and a group are named \"{}\": write entity:{} or group:{}",
        name, name, name));
  if (group) return AgentOwner{.is_group = true, .id = group->id};
  if (!entity)
    return invalid_identity(fmt::format(
        "field \"owner\": there is no entity or group with the name or id \"{}\"", name));
  if (entity->agent)
    return invalid_identity(
        fmt::format("field \"owner\": \"{}\" is an agent; a human or a group has to answer for one",
                    entity->name));
  return AgentOwner{.is_group = false, .id = entity->id};
}

Result<std::optional<Entity>> IdentityService::agent_named(const store::Reader& reader,
                                                           const std::string& name) const {
  ASSIGN_OR_RETURN(auto entity, records_.entity_by_name(reader, name));
  if (entity && !entity->agent) return std::optional<Entity>{};
  return entity;
}

Result<Written> IdentityService::put_agent(const AgentChange& change) {
  RETURN_IF_ERROR(check_agent_name(change.name));
  if (change.metadata) RETURN_IF_ERROR(check_identity_metadata(*change.metadata));
  const WallTime now = clock_.wall();
  Written written;
  RETURN_IF_ERROR(changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(std::optional<Entity> before, records_.entity_by_name(writer, change.name));
    if (change.entity_id && (!before || before->id != *change.entity_id)) {
      if (before) return invalid_identity("entity name is already in use");
      ASSIGN_OR_RETURN(before, records_.entity(writer, *change.entity_id));
      if (!before) return invalid_identity("field \"entity_id\": there is no such entity");
      if (before->agent)
        return invalid_identity(
            fmt::format("field \"entity_id\": that entity is the agent \"{}\"", before->name));
    } else if (before && !before->agent && !change.entity_id) {
      return invalid_identity(
          fmt::format("an entity that is no agent has the name \"{}\": choose another name, or "
                      "send its entity_id to make it an agent",
                      change.name));
    }
    if (before && before->kind == kHuman)
      return invalid_identity("field \"entity_id\": that entity is a human");
    Entity after;
    if (before) {
      after = *before;
    } else {
      ASSIGN_OR_RETURN(after, new_entity(writer, now));
    }
    after.name = before && before->agent ? before->name : change.name;
    after.kind = kAgent;
    after.updated_at = now;
    const bool is_new = !after.agent;
    if (is_new) after.agent = AgentRecord{};
    if (is_new && !change.owner)
      return invalid_identity(
          "missing owner: the name or id of the human or the group that answers for the agent");
    if (change.owner) {
      ASSIGN_OR_RETURN(after.agent->owner, owner_of(writer, *change.owner));
    }
    RETURN_IF_ERROR(apply(change, after));
    written = {after.id, after.name, is_new};
    return records_.put(writer, before ? &*before : nullptr, after);
  }));
  return written;
}

Result<AgentView> IdentityService::view_of(const store::Reader& reader, Entity entity) const {
  AgentView view;
  ASSIGN_OR_RETURN(view.disabled_why, why_disabled(reader, entity, &view.owner_name));
  view.entity = std::move(entity);
  return view;
}

Result<std::optional<AgentView>> IdentityService::find_agent(const std::string& name) const {
  std::optional<AgentView> view;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(auto entity, agent_named(reader, name));
    if (!entity) return ok();
    ASSIGN_OR_RETURN(view, view_of(reader, *std::move(entity)));
    return ok();
  }));
  return view;
}

Result<std::vector<AgentView>> IdentityService::agents() const {
  std::vector<AgentView> views;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto ids, records_.agent_ids(reader));
    for (const std::string& id : ids) {
      ASSIGN_OR_RETURN(auto entity, records_.entity(reader, id));
      if (!entity || !entity->agent) continue;
      ASSIGN_OR_RETURN(AgentView view, view_of(reader, *std::move(entity)));
      views.push_back(std::move(view));
    }
    return ok();
  }));
  std::sort(views.begin(), views.end(),
            [](const AgentView& a, const AgentView& b) { return a.entity.name < b.entity.name; });
  return views;
}

Status IdentityService::set_agent_disabled(const std::string& name, bool disabled) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, agent_named(writer, name));
    if (!before) return no_such_agent(name);
    Entity after = *before;
    after.disabled = disabled;
    after.updated_at = clock_.wall();
    return records_.put(writer, &*before, after);
  });
}

Status IdentityService::remove_agent(const std::string& name) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto entity, agent_named(writer, name));
    return entity ? records_.remove(writer, *entity) : ok();
  });
}

}  // namespace curfew::broker
