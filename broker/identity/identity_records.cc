#include "broker/identity/identity_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>

#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kEntities = "identity/entity";
constexpr std::string_view kEntityNames = "identity/entity-name";
constexpr std::string_view kAliases = "identity/alias";
constexpr std::string_view kAliasIds = "identity/alias-id";
constexpr std::string_view kRetiredAliases = "identity/retired-alias";
constexpr std::string_view kMerged = "identity/merged";
constexpr std::string_view kAgents = "identity/agent";
constexpr std::string_view kMembers = "identity/member";  // "<group>/<entity>"
constexpr std::string_view kGroups = "identity/group";
constexpr std::string_view kGroupNames = "identity/group-name";
constexpr std::string_view kGroupAliases = "identity/group-alias";
constexpr std::string_view kGroupAliasIds = "identity/group-alias-id";
constexpr std::string_view kSubgroups = "identity/subgroup";  // "<parent>/<group>"

constexpr std::size_t kGroupsOfEntityMax = 10'000;  // direct and inherited
constexpr std::size_t kPageRows = 500;

Error does_not_fit(std::string what) {
  return {Errc::kCorrupt,
          "the stored identities do not fit together: rows were altered outside of Curfew; restore "
          "a backup",
          std::move(what)};
}

// Those of `a` that are not in `b`.
std::vector<std::string> without(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
  std::vector<std::string> out;
  for (const std::string& text : a)
    if (std::find(b.begin(), b.end(), text) == b.end()) out.push_back(text);
  return out;
}

Json reference(const std::string& id) {
  return {{"id", id}};
}

RetiredAlias retired_from_stored(std::string id, const Json& stored) {
  return {.id = std::move(id),
          .mount_accessor = stored.at("mount_accessor").get<std::string>(),
          .name = stored.at("name").get<std::string>(),
          .entity_name = stored.at("entity_name").get<std::string>(),
          .retired_at = from_unix_millis(stored.at("retired_at").get<std::int64_t>()),
          .refused = stored.at("refused").get<bool>()};
}

bool has_alias(const Entity& entity, std::string_view accessor, std::string_view name) {
  return std::any_of(entity.aliases.begin(), entity.aliases.end(), [&](const EntityAlias& alias) {
    return alias.mount_accessor == accessor && alias.name == name;
  });
}

bool has_alias_id(const Entity& entity, std::string_view id) {
  return std::any_of(entity.aliases.begin(), entity.aliases.end(),
                     [&](const EntityAlias& alias) { return alias.id == id; });
}

}  // namespace

// ---- finding ----------------------------------------------------------------------------------

Result<std::string> IdentityRecords::key(std::string_view scope, std::string_view text) const {
  return barrier_.keyed_hash(scope, text);
}

Result<std::string> IdentityRecords::alias_key(std::string_view scope,
                                               std::string_view mount_accessor,
                                               std::string_view name) const {
  return key(scope, fmt::format("{}:{}{}", mount_accessor.size(), mount_accessor, name));
}

Result<std::optional<std::string>> IdentityRecords::referred(const store::Reader& reader,
                                                             std::string_view scope,
                                                             std::string_view name) const {
  ASSIGN_OR_RETURN(const auto stored, records_.get(reader, scope, name));
  if (!stored) return std::optional<std::string>{};
  return std::optional{stored->at("id").get<std::string>()};
}

Result<std::optional<Entity>> IdentityRecords::entity(const store::Reader& reader,
                                                      std::string_view id) const {
  ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kEntities, id));
  if (!stored) return std::optional<Entity>{};
  return std::optional{entity_from_stored(*stored)};
}

Result<std::optional<Group>> IdentityRecords::group(const store::Reader& reader,
                                                    std::string_view id) const {
  ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kGroups, id));
  if (!stored) return std::optional<Group>{};
  return std::optional{group_from_stored(*stored)};
}

Result<Group> IdentityRecords::known_group(const store::Reader& reader, std::string_view id) const {
  ASSIGN_OR_RETURN(auto found, group(reader, id));
  if (!found) return does_not_fit(fmt::format("the group {} is referred to and missing", id));
  return *std::move(found);
}

Result<std::optional<Entity>> IdentityRecords::resolved(const store::Reader& reader,
                                                        std::string_view id) const {
  ASSIGN_OR_RETURN(auto direct, entity(reader, id));
  if (direct) return direct;
  ASSIGN_OR_RETURN(const auto now, referred(reader, kMerged, id));
  if (!now) return std::optional<Entity>{};
  ASSIGN_OR_RETURN(auto merged, entity(reader, *now));
  if (!merged || std::find(merged->merged_ids.begin(), merged->merged_ids.end(), id) ==
                     merged->merged_ids.end())
    return does_not_fit(fmt::format("the entity {} is not merged into {}", id, *now));
  return merged;
}

Result<std::optional<Entity>> IdentityRecords::entity_by_name(const store::Reader& reader,
                                                              std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string hash, key(kEntityNames, lower_case(std::string(name))));
  ASSIGN_OR_RETURN(const auto id, referred(reader, kEntityNames, hash));
  if (!id) return std::optional<Entity>{};
  ASSIGN_OR_RETURN(auto found, entity(reader, *id));
  if (!found || lower_case(found->name) != lower_case(std::string(name)))
    return does_not_fit(fmt::format("the name of entity {} leads elsewhere", *id));
  return found;
}

Result<std::optional<Group>> IdentityRecords::group_by_name(const store::Reader& reader,
                                                            std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string hash, key(kGroupNames, lower_case(std::string(name))));
  ASSIGN_OR_RETURN(const auto id, referred(reader, kGroupNames, hash));
  if (!id) return std::optional<Group>{};
  ASSIGN_OR_RETURN(Group found, known_group(reader, *id));
  if (lower_case(found.name) != lower_case(std::string(name)))
    return does_not_fit(fmt::format("the name of group {} leads elsewhere", *id));
  return std::optional{std::move(found)};
}

Result<std::optional<Entity>> IdentityRecords::entity_by_alias(const store::Reader& reader,
                                                               std::string_view mount_accessor,
                                                               std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string hash, alias_key(kAliases, mount_accessor, name));
  ASSIGN_OR_RETURN(const auto id, referred(reader, kAliases, hash));
  if (!id) return std::optional<Entity>{};
  ASSIGN_OR_RETURN(auto found, entity(reader, *id));
  if (!found || !has_alias(*found, mount_accessor, name))
    return does_not_fit(fmt::format("an alias leads to entity {}, which does not have it", *id));
  return found;
}

Result<std::optional<Entity>> IdentityRecords::entity_by_alias_id(const store::Reader& reader,
                                                                  std::string_view id) const {
  ASSIGN_OR_RETURN(const auto entity_id, referred(reader, kAliasIds, id));
  if (!entity_id) return std::optional<Entity>{};
  ASSIGN_OR_RETURN(auto found, entity(reader, *entity_id));
  if (!found || !has_alias_id(*found, id))
    return does_not_fit(fmt::format("the alias {} leads to another entity", id));
  return found;
}

Result<std::optional<RetiredAlias>> IdentityRecords::retired(const store::Reader& reader,
                                                             std::string_view mount_accessor,
                                                             std::string_view name) const {
  ASSIGN_OR_RETURN(std::string id, alias_key(kRetiredAliases, mount_accessor, name));
  ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kRetiredAliases, id));
  if (!stored) return std::optional<RetiredAlias>{};
  return std::optional{retired_from_stored(std::move(id), *stored)};
}

Result<std::vector<RetiredAlias>> IdentityRecords::all_retired(const store::Reader& reader) const {
  std::vector<RetiredAlias> found;
  ASSIGN_OR_RETURN(const auto all, records_.all(reader, kRetiredAliases));
  for (const auto& [id, stored] : all) found.push_back(retired_from_stored(id, stored));
  return found;
}

Result<bool> IdentityRecords::free(store::Writer& writer, std::string_view id) const {
  return records_.remove(writer, kRetiredAliases, id);
}

Result<std::optional<Group>> IdentityRecords::group_by_alias(const store::Reader& reader,
                                                             std::string_view mount_accessor,
                                                             std::string_view name) const {
  ASSIGN_OR_RETURN(const std::string hash, alias_key(kGroupAliases, mount_accessor, name));
  ASSIGN_OR_RETURN(const auto id, referred(reader, kGroupAliases, hash));
  if (!id) return std::optional<Group>{};
  ASSIGN_OR_RETURN(Group found, known_group(reader, *id));
  if (!found.alias || found.alias->mount_accessor != mount_accessor || found.alias->name != name)
    return does_not_fit(fmt::format("an alias leads to group {}, which does not have it", *id));
  return std::optional{std::move(found)};
}

Result<std::optional<Group>> IdentityRecords::group_by_alias_id(const store::Reader& reader,
                                                                std::string_view id) const {
  ASSIGN_OR_RETURN(const auto group_id, referred(reader, kGroupAliasIds, id));
  if (!group_id) return std::optional<Group>{};
  ASSIGN_OR_RETURN(Group found, known_group(reader, *group_id));
  if (!found.alias || found.alias->id != id)
    return does_not_fit(fmt::format("the alias {} leads to another group", id));
  return std::optional{std::move(found)};
}

Result<std::vector<std::string>> IdentityRecords::members(const store::Reader& reader,
                                                          std::string_view group_id) const {
  return records_.list(reader, kMembers, fmt::format("{}/", group_id));
}

Result<std::vector<std::string>> IdentityRecords::subgroups(const store::Reader& reader,
                                                            std::string_view group_id) const {
  return records_.list(reader, kSubgroups, fmt::format("{}/", group_id));
}

Result<std::int64_t> IdentityRecords::member_count(const store::Reader& reader,
                                                   std::string_view group_id) const {
  return records_.count(reader, kMembers, fmt::format("{}/", group_id));
}

Result<IdentityRecords::Memberships> IdentityRecords::memberships(const store::Reader& reader,
                                                                  const Entity& entity) const {
  Memberships out;
  std::set<std::string, std::less<>> seen(entity.group_ids.begin(), entity.group_ids.end());
  std::deque<std::string> open;
  const auto go_up = [&](const Group& group) {
    for (const std::string& parent : group.parent_ids)
      if (seen.insert(parent).second) open.push_back(parent);
  };
  for (const std::string& id : entity.group_ids) {
    ASSIGN_OR_RETURN(Group group, known_group(reader, id));
    go_up(group);
    out.direct.push_back(std::move(group));
  }
  while (!open.empty()) {
    if (seen.size() > kGroupsOfEntityMax)
      return Error{Errc::kTooLarge,
                   fmt::format("the entity \"{}\" is in more than {} groups, direct and inherited",
                               entity.name, kGroupsOfEntityMax)};
    ASSIGN_OR_RETURN(Group group, known_group(reader, open.front()));
    open.pop_front();
    go_up(group);
    out.inherited.push_back(std::move(group));
  }
  return out;
}

Status IdentityRecords::each_entity(const store::Reader& reader,
                                    const std::function<void(const Entity&)>& take) const {
  std::string after;
  for (;;) {
    ASSIGN_OR_RETURN(const auto page, records_.page(reader, kEntities, after, kPageRows));
    for (const auto& [id, stored] : page) take(entity_from_stored(stored));
    if (page.size() < kPageRows) return ok();
    after = page.back().first;
  }
}

Status IdentityRecords::each_group(const store::Reader& reader,
                                   const std::function<void(const Group&)>& take) const {
  std::string after;
  for (;;) {
    ASSIGN_OR_RETURN(const auto page, records_.page(reader, kGroups, after, kPageRows));
    for (const auto& [id, stored] : page) take(group_from_stored(stored));
    if (page.size() < kPageRows) return ok();
    after = page.back().first;
  }
}

Result<std::vector<std::string>> IdentityRecords::agent_ids(const store::Reader& reader) const {
  return records_.names(reader, kAgents);
}

// ---- writing ----------------------------------------------------------------------------------

// A name in an index is one row's: the second that wants it is refused.
Status IdentityRecords::claim(store::Writer& writer, std::string_view scope,
                              const std::string& name, const std::string& id,
                              const char* taken) const {
  ASSIGN_OR_RETURN(const auto holder, referred(writer, scope, name));
  if (holder && *holder != id) return Error{Errc::kInvalidArgument, taken};
  return records_.put(writer, scope, name, reference(id));
}

Status IdentityRecords::index_links(store::Writer& writer, std::string_view scope,
                                    const std::string& id, const std::vector<std::string>& before,
                                    const std::vector<std::string>& after) const {
  for (const std::string& gone : without(before, after))
    RETURN_IF_ERROR(records_.remove(writer, scope, gone + "/" + id));
  for (const std::string& added : without(after, before))
    RETURN_IF_ERROR(records_.put(writer, scope, added + "/" + id, Json::object()));
  return ok();
}

Status IdentityRecords::retire(store::Writer& writer, const Entity& entity,
                               const EntityAlias& alias) const {
  ASSIGN_OR_RETURN(const std::string id,
                   alias_key(kRetiredAliases, alias.mount_accessor, alias.name));
  return records_.put(writer, kRetiredAliases, id,
                      {{"mount_accessor", alias.mount_accessor},
                       {"name", alias.name},
                       {"entity_name", entity.name},
                       {"retired_at", to_unix_millis(clock_.wall())},
                       {"refused", entity.agent.has_value() || entity.disabled}});
}

Status IdentityRecords::index_entity_aliases(store::Writer& writer, const Entity* before,
                                             const Entity& after) const {
  if (before != nullptr) {
    for (const EntityAlias& alias : before->aliases) {
      if (!has_alias(after, alias.mount_accessor, alias.name)) {
        ASSIGN_OR_RETURN(const std::string hash,
                         alias_key(kAliases, alias.mount_accessor, alias.name));
        RETURN_IF_ERROR(records_.remove(writer, kAliases, hash));
        RETURN_IF_ERROR(retire(writer, *before, alias));
      }
      if (!has_alias_id(after, alias.id))
        RETURN_IF_ERROR(records_.remove(writer, kAliasIds, alias.id));
    }
  }
  for (const EntityAlias& alias : after.aliases) {
    if (before == nullptr || !has_alias(*before, alias.mount_accessor, alias.name)) {
      ASSIGN_OR_RETURN(const std::string hash,
                       alias_key(kAliases, alias.mount_accessor, alias.name));
      RETURN_IF_ERROR(claim(writer, kAliases, hash, after.id,
                            "alias with combination of mount accessor and name already exists"));
      ASSIGN_OR_RETURN(const std::string retired,
                       alias_key(kRetiredAliases, alias.mount_accessor, alias.name));
      RETURN_IF_ERROR(records_.remove(writer, kRetiredAliases, retired));
    }
    if (before == nullptr || !has_alias_id(*before, alias.id))
      RETURN_IF_ERROR(records_.put(writer, kAliasIds, alias.id, reference(after.id)));
  }
  return ok();
}

Status IdentityRecords::index_merged(store::Writer& writer, const Entity* before,
                                     const Entity& after) const {
  const std::vector<std::string> known = before ? before->merged_ids : std::vector<std::string>{};
  for (const std::string& id : without(after.merged_ids, known))
    RETURN_IF_ERROR(records_.put(writer, kMerged, id, reference(after.id)));
  return ok();
}

Status IdentityRecords::put(store::Writer& writer, const Entity* before,
                            const Entity& after) const {
  if (before == nullptr || lower_case(before->name) != lower_case(after.name)) {
    ASSIGN_OR_RETURN(const std::string hash, key(kEntityNames, lower_case(after.name)));
    RETURN_IF_ERROR(claim(writer, kEntityNames, hash, after.id, "entity name is already in use"));
    if (before != nullptr) {
      ASSIGN_OR_RETURN(const std::string old, key(kEntityNames, lower_case(before->name)));
      RETURN_IF_ERROR(records_.remove(writer, kEntityNames, old));
    }
  }
  RETURN_IF_ERROR(index_entity_aliases(writer, before, after));
  RETURN_IF_ERROR(index_links(writer, kMembers, after.id,
                              before ? before->group_ids : std::vector<std::string>{},
                              after.group_ids));
  RETURN_IF_ERROR(index_merged(writer, before, after));
  if (after.agent && (before == nullptr || !before->agent))
    RETURN_IF_ERROR(records_.put(writer, kAgents, after.id, Json::object()));
  return records_.put(writer, kEntities, after.id, to_stored(after));
}

Status IdentityRecords::index_group_alias(store::Writer& writer, const Group* before,
                                          const Group& after) const {
  const auto old = before ? before->alias : std::nullopt;
  const bool same_place = old && after.alias && old->name == after.alias->name &&
                          old->mount_accessor == after.alias->mount_accessor;
  if (old && !same_place) {
    ASSIGN_OR_RETURN(const std::string hash,
                     alias_key(kGroupAliases, old->mount_accessor, old->name));
    RETURN_IF_ERROR(records_.remove(writer, kGroupAliases, hash));
  }
  if (old && (!after.alias || after.alias->id != old->id))
    RETURN_IF_ERROR(records_.remove(writer, kGroupAliasIds, old->id));
  if (!after.alias) return ok();
  if (!same_place) {
    ASSIGN_OR_RETURN(const std::string hash,
                     alias_key(kGroupAliases, after.alias->mount_accessor, after.alias->name));
    RETURN_IF_ERROR(claim(writer, kGroupAliases, hash, after.id,
                          "combination of mount and group alias name is already in use"));
  }
  return records_.put(writer, kGroupAliasIds, after.alias->id, reference(after.id));
}

Status IdentityRecords::put(store::Writer& writer, const Group* before, const Group& after) const {
  if (before == nullptr || lower_case(before->name) != lower_case(after.name)) {
    ASSIGN_OR_RETURN(const std::string hash, key(kGroupNames, lower_case(after.name)));
    RETURN_IF_ERROR(claim(writer, kGroupNames, hash, after.id, "group name is already in use"));
    if (before != nullptr) {
      ASSIGN_OR_RETURN(const std::string old, key(kGroupNames, lower_case(before->name)));
      RETURN_IF_ERROR(records_.remove(writer, kGroupNames, old));
    }
  }
  RETURN_IF_ERROR(index_group_alias(writer, before, after));
  RETURN_IF_ERROR(index_links(writer, kSubgroups, after.id,
                              before ? before->parent_ids : std::vector<std::string>{},
                              after.parent_ids));
  return records_.put(writer, kGroups, after.id, to_stored(after));
}

Status IdentityRecords::remove(store::Writer& writer, const Entity& entity) const {
  ASSIGN_OR_RETURN(const std::string hash, key(kEntityNames, lower_case(entity.name)));
  RETURN_IF_ERROR(records_.remove(writer, kEntityNames, hash));
  Entity bare = entity;
  bare.aliases.clear();
  RETURN_IF_ERROR(index_entity_aliases(writer, &entity, bare));
  RETURN_IF_ERROR(index_links(writer, kMembers, entity.id, entity.group_ids, {}));
  for (const std::string& id : entity.merged_ids)
    RETURN_IF_ERROR(records_.remove(writer, kMerged, id));
  if (entity.agent) RETURN_IF_ERROR(records_.remove(writer, kAgents, entity.id));
  RETURN_IF_ERROR(records_.remove(writer, kEntities, entity.id));
  return ok();
}

Status IdentityRecords::remove(store::Writer& writer, const Group& group) const {
  ASSIGN_OR_RETURN(const std::string hash, key(kGroupNames, lower_case(group.name)));
  RETURN_IF_ERROR(records_.remove(writer, kGroupNames, hash));
  Group bare = group;
  bare.alias.reset();
  RETURN_IF_ERROR(index_group_alias(writer, &group, bare));
  RETURN_IF_ERROR(index_links(writer, kSubgroups, group.id, group.parent_ids, {}));
  RETURN_IF_ERROR(records_.remove(writer, kGroups, group.id));
  return ok();
}

}  // namespace curfew::broker
