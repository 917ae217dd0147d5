#include "broker/identity/entity.h"

namespace curfew::broker {
namespace {

WallTime time_at(const Json& object, const char* name) {
  return from_unix_millis(object.at(name).get<std::int64_t>());
}

Json stored_alias(const EntityAlias& alias) {
  return {{"id", alias.id},
          {"mount_accessor", alias.mount_accessor},
          {"name", alias.name},
          {"metadata", alias.metadata},
          {"custom_metadata", alias.custom_metadata},
          {"merged_from", alias.merged_from},
          {"created_at", to_unix_millis(alias.created_at)},
          {"updated_at", to_unix_millis(alias.updated_at)}};
}

EntityAlias alias_of(const Json& stored) {
  return {.id = stored.at("id").get<std::string>(),
          .mount_accessor = stored.at("mount_accessor").get<std::string>(),
          .name = stored.at("name").get<std::string>(),
          .metadata = stored.at("metadata").get<IdentityMetadata>(),
          .custom_metadata = stored.at("custom_metadata").get<IdentityMetadata>(),
          .merged_from = stored.at("merged_from").get<std::vector<std::string>>(),
          .created_at = time_at(stored, "created_at"),
          .updated_at = time_at(stored, "updated_at")};
}

Json stored_agent(const AgentRecord& agent) {
  return {{"kind", agent.kind},
          {"description", agent.description},
          {"owner_id", agent.owner.id},
          {"owner_is_group", agent.owner.is_group},
          {"ceiling_policies", agent.limits.ceiling_policies},
          {"allowed_roles", agent.limits.allowed_roles},
          {"live_leases_max", agent.limits.live_leases_max},
          {"leases_per_hour", agent.limits.leases_per_hour},
          {"ttl_max", agent.limits.ttl_max.count()}};
}

AgentRecord agent_of_stored(const Json& stored) {
  return {
      .kind = stored.at("kind").get<std::string>(),
      .description = stored.at("description").get<std::string>(),
      .owner = {.is_group = stored.at("owner_is_group").get<bool>(),
                .id = stored.at("owner_id").get<std::string>()},
      .limits = {.ceiling_policies = stored.at("ceiling_policies").get<std::vector<std::string>>(),
                 .allowed_roles = stored.at("allowed_roles").get<std::vector<std::string>>(),
                 .live_leases_max = stored.at("live_leases_max").get<std::int64_t>(),
                 .leases_per_hour = stored.at("leases_per_hour").get<std::int64_t>(),
                 .ttl_max = Millis{stored.at("ttl_max").get<std::int64_t>()}}};
}

}  // namespace

Json to_stored(const Entity& entity) {
  Json aliases = Json::array();
  for (const EntityAlias& alias : entity.aliases) aliases.push_back(stored_alias(alias));
  Json stored = {{"id", entity.id},
                 {"name", entity.name},
                 {"kind", entity.kind},
                 {"disabled", entity.disabled},
                 {"policies", entity.policies},
                 {"metadata", entity.metadata},
                 {"aliases", std::move(aliases)},
                 {"group_ids", entity.group_ids},
                 {"merged_ids", entity.merged_ids},
                 {"created_at", to_unix_millis(entity.created_at)},
                 {"updated_at", to_unix_millis(entity.updated_at)}};
  if (entity.agent) stored["agent"] = stored_agent(*entity.agent);
  return stored;
}

Entity entity_from_stored(const Json& stored) {
  Entity entity{.id = stored.at("id").get<std::string>(),
                .name = stored.at("name").get<std::string>(),
                .kind = stored.at("kind").get<std::string>(),
                .disabled = stored.at("disabled").get<bool>(),
                .policies = stored.at("policies").get<std::vector<std::string>>(),
                .metadata = stored.at("metadata").get<IdentityMetadata>(),
                .aliases = {},
                .group_ids = stored.at("group_ids").get<std::vector<std::string>>(),
                .merged_ids = stored.at("merged_ids").get<std::vector<std::string>>(),
                .agent = {},
                .created_at = time_at(stored, "created_at"),
                .updated_at = time_at(stored, "updated_at")};
  for (const Json& alias : stored.at("aliases")) entity.aliases.push_back(alias_of(alias));
  if (stored.contains("agent")) entity.agent = agent_of_stored(stored.at("agent"));
  return entity;
}

Json to_stored(const Group& group) {
  Json stored = {{"id", group.id},
                 {"name", group.name},
                 {"external", group.external},
                 {"policies", group.policies},
                 {"metadata", group.metadata},
                 {"parent_ids", group.parent_ids},
                 {"modify_index", group.modify_index},
                 {"created_at", to_unix_millis(group.created_at)},
                 {"updated_at", to_unix_millis(group.updated_at)}};
  if (group.alias)
    stored["alias"] = {{"id", group.alias->id},
                       {"mount_accessor", group.alias->mount_accessor},
                       {"name", group.alias->name},
                       {"created_at", to_unix_millis(group.alias->created_at)},
                       {"updated_at", to_unix_millis(group.alias->updated_at)}};
  return stored;
}

Group group_from_stored(const Json& stored) {
  Group group{.id = stored.at("id").get<std::string>(),
              .name = stored.at("name").get<std::string>(),
              .external = stored.at("external").get<bool>(),
              .policies = stored.at("policies").get<std::vector<std::string>>(),
              .metadata = stored.at("metadata").get<IdentityMetadata>(),
              .parent_ids = stored.at("parent_ids").get<std::vector<std::string>>(),
              .alias = {},
              .modify_index = stored.at("modify_index").get<std::int64_t>(),
              .created_at = time_at(stored, "created_at"),
              .updated_at = time_at(stored, "updated_at")};
  if (stored.contains("alias")) {
    const Json& alias = stored.at("alias");
    group.alias = GroupAlias{.id = alias.at("id").get<std::string>(),
                             .mount_accessor = alias.at("mount_accessor").get<std::string>(),
                             .name = alias.at("name").get<std::string>(),
                             .created_at = time_at(alias, "created_at"),
                             .updated_at = time_at(alias, "updated_at")};
  }
  return group;
}

}  // namespace curfew::broker
