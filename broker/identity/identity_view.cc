#include "broker/identity/identity_view.h"

#include "base/duration.h"

namespace curfew::broker {
namespace {

// Vault gives null for a list or a map that nothing was ever put into.
Json or_null(const IdentityMetadata& metadata) {
  return metadata.empty() ? Json(nullptr) : Json(metadata);
}

Json or_null(const std::vector<std::string>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

}  // namespace

void IdentityViewer::add_mount(const std::string& accessor, Json& to) const {
  const auto mount = find_mount(accessor);
  if (!mount) return;
  to["mount_type"] = mount->type;
  to["mount_path"] = mount->path;
}

Json IdentityViewer::alias(const EntityAlias& alias, const std::string& entity_id) const {
  Json out = {{"id", alias.id},
              {"canonical_id", entity_id},
              {"mount_accessor", alias.mount_accessor},
              {"name", alias.name},
              {"metadata", or_null(alias.metadata)},
              {"custom_metadata", or_null(alias.custom_metadata)},
              {"merged_from_canonical_ids", or_null(alias.merged_from)},
              {"local", false},
              {"creation_time", format_rfc3339(alias.created_at)},
              {"last_update_time", format_rfc3339(alias.updated_at)}};
  add_mount(alias.mount_accessor, out);
  return out;
}

Json IdentityViewer::entity(const EntityView& view) const {
  const Entity& entity = view.entity;
  Json aliases = Json::array();
  for (const EntityAlias& one : entity.aliases) aliases.push_back(alias(one, entity.id));
  std::vector<std::string> groups = entity.group_ids;
  groups.insert(groups.end(), view.inherited_group_ids.begin(), view.inherited_group_ids.end());
  return {{"id", entity.id},
          {"name", entity.name},
          {"kind", entity.kind},
          {"metadata", or_null(entity.metadata)},
          {"merged_entity_ids", or_null(entity.merged_ids)},
          {"policies", entity.policies},
          {"disabled", entity.disabled},
          {"namespace_id", namespace_id},
          {"creation_time", format_rfc3339(entity.created_at)},
          {"last_update_time", format_rfc3339(entity.updated_at)},
          {"aliases", std::move(aliases)},
          {"direct_group_ids", entity.group_ids},
          {"inherited_group_ids", view.inherited_group_ids},
          {"group_ids", std::move(groups)}};
}

Json IdentityViewer::entity_info(const Entity& entity) const {
  Json info = {{"name", entity.name}};
  for (const EntityAlias& alias : entity.aliases) {
    Json line = {{"id", alias.id}, {"name", alias.name}, {"mount_accessor", alias.mount_accessor}};
    add_mount(alias.mount_accessor, line);
    info["aliases"].push_back(std::move(line));
  }
  return info;
}

Json IdentityViewer::alias_info(const EntityAlias& alias, const std::string& entity_id) const {
  Json info = {{"canonical_id", entity_id},
               {"mount_accessor", alias.mount_accessor},
               {"name", alias.name},
               {"custom_metadata", or_null(alias.custom_metadata)},
               {"local", false}};
  add_mount(alias.mount_accessor, info);
  return info;
}

Json IdentityViewer::retired_alias(const RetiredAlias& alias) const {
  Json out = {{"name", alias.name},
              {"mount_accessor", alias.mount_accessor},
              {"entity_name", alias.entity_name},
              {"retired_time", format_rfc3339(alias.retired_at)},
              {"refused", alias.refused}};
  add_mount(alias.mount_accessor, out);
  return out;
}

Json IdentityViewer::group_alias(const GroupAlias& alias, const std::string& group_id) const {
  Json out = {{"id", alias.id},
              {"canonical_id", group_id},
              {"mount_accessor", alias.mount_accessor},
              {"name", alias.name},
              {"metadata", nullptr},
              {"merged_from_canonical_ids", nullptr},
              {"creation_time", format_rfc3339(alias.created_at)},
              {"last_update_time", format_rfc3339(alias.updated_at)}};
  add_mount(alias.mount_accessor, out);
  return out;
}

Json IdentityViewer::group_alias_info(const GroupAlias& alias, const std::string& group_id) const {
  Json info = {
      {"canonical_id", group_id}, {"mount_accessor", alias.mount_accessor}, {"name", alias.name}};
  add_mount(alias.mount_accessor, info);
  return info;
}

Json IdentityViewer::group(const GroupView& view) const {
  const Group& group = view.group;
  return {{"id", group.id},
          {"name", group.name},
          {"type", group.external ? "external" : "internal"},
          {"policies", or_null(group.policies)},
          {"metadata", or_null(group.metadata)},
          {"member_entity_ids", view.member_entity_ids},
          {"member_group_ids", or_null(view.member_group_ids)},
          {"parent_group_ids", or_null(group.parent_ids)},
          {"alias", group.alias ? group_alias(*group.alias, group.id) : Json::object()},
          {"modify_index", group.modify_index},
          {"namespace_id", namespace_id},
          {"creation_time", format_rfc3339(group.created_at)},
          {"last_update_time", format_rfc3339(group.updated_at)}};
}

Json IdentityViewer::group_info(const Group& group, std::int64_t members) const {
  Json info = {{"name", group.name},
               {"num_member_entities", members},
               {"num_parent_groups", group.parent_ids.size()}};
  if (group.alias) {
    Json line = {{"id", group.alias->id},
                 {"name", group.alias->name},
                 {"mount_accessor", group.alias->mount_accessor}};
    add_mount(group.alias->mount_accessor, line);
    info["alias"] = std::move(line);
  }
  return info;
}

Json IdentityViewer::agent(const AgentView& view) const {
  const Entity& entity = view.entity;
  const AgentRecord& agent = *entity.agent;
  Json aliases = Json::array();
  for (const EntityAlias& one : entity.aliases) aliases.push_back(alias(one, entity.id));
  return {{"id", entity.id},
          {"name", entity.name},
          {"kind", agent.kind},
          {"description", agent.description},
          {"owner", view.owner_name},
          {"owner_id", agent.owner.id},
          {"owner_type", agent.owner.is_group ? "group" : "entity"},
          {"disabled", entity.disabled},
          {"may_act", view.disabled_why.empty()},
          {"may_not_act_because", view.disabled_why},
          {"policies", entity.policies},
          {"ceiling_policies", agent.limits.ceiling_policies},
          {"allowed_roles", agent.limits.allowed_roles},
          {"max_live_leases", agent.limits.live_leases_max},
          {"max_leases_per_hour", agent.limits.leases_per_hour},
          {"max_ttl", std::chrono::floor<Seconds>(agent.limits.ttl_max).count()},
          {"metadata", or_null(entity.metadata)},
          {"aliases", std::move(aliases)},
          {"group_ids", entity.group_ids},
          {"creation_time", format_rfc3339(entity.created_at)},
          {"last_update_time", format_rfc3339(entity.updated_at)}};
}

Json IdentityViewer::agent_info(const AgentView& view) const {
  return {{"id", view.entity.id},
          {"kind", view.entity.agent->kind},
          {"owner", view.owner_name},
          {"may_act", view.disabled_why.empty()}};
}

}  // namespace curfew::broker
