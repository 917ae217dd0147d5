#include <fmt/format.h>

#include <algorithm>

#include "broker/identity/identity_checks.h"
#include "broker/identity/identity_service.h"

// Entities and their aliases: writing, merging, removing.
namespace curfew::broker {
namespace {

constexpr std::size_t kAliasesMax = 256;

const EntityAlias* alias_of_mount(const Entity& entity, std::string_view mount_accessor) {
  const auto found =
      std::find_if(entity.aliases.begin(), entity.aliases.end(),
                   [&](const EntityAlias& a) { return a.mount_accessor == mount_accessor; });
  return found == entity.aliases.end() ? nullptr : &*found;
}

EntityAlias* alias_with_id(Entity& entity, std::string_view id) {
  const auto found = std::find_if(entity.aliases.begin(), entity.aliases.end(),
                                  [&](const EntityAlias& a) { return a.id == id; });
  return found == entity.aliases.end() ? nullptr : &*found;
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

void add_missing(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const std::string& text : from)
    if (!contains(to, text)) to.push_back(text);
  std::sort(to.begin(), to.end());
}

Status apply_kind(const EntityChange& change, Entity& entity) {
  if (!change.kind || *change.kind == entity.kind) return ok();
  if (*change.kind == kAgent)
    return invalid_identity(
        "field \"kind\": agents are registered at identity/agent/NAME, which asks who answers for "
        "them");
  if (*change.kind != kHuman && !change.kind->empty())
    return invalid_identity("field \"kind\": must be \"human\", \"agent\" or empty");
  if (entity.agent) return invalid_identity("field \"kind\": the entity is an agent and stays one");
  entity.kind = *change.kind;
  return ok();
}

Status apply(EntityChange change, Entity& entity) {
  if (change.name) {
    if (entity.agent) RETURN_IF_ERROR(check_agent_name(*change.name));
    entity.name = *change.name;
  }
  RETURN_IF_ERROR(apply_kind(change, entity));
  if (change.policies) {
    ASSIGN_OR_RETURN(entity.policies, checked_policies(std::move(*change.policies)));
  }
  if (change.metadata) entity.metadata = std::move(*change.metadata);
  if (change.disabled) entity.disabled = *change.disabled;
  return ok();
}

}  // namespace

// ---- entities ---------------------------------------------------------------------------------

Result<Written> IdentityService::put_entity(const EntityChange& change) {
  if (change.name) RETURN_IF_ERROR(check_identity_name("entity name", *change.name));
  if (change.metadata) RETURN_IF_ERROR(check_identity_metadata(*change.metadata));
  const WallTime now = clock_.wall();
  Written written;
  RETURN_IF_ERROR(changed([&](store::Writer& writer) -> Status {
    std::optional<Entity> before;
    if (change.id) {
      ASSIGN_OR_RETURN(before, records_.entity(writer, *change.id));
      if (!before) return invalid_identity("entity not found from id");
    } else if (change.name) {
      ASSIGN_OR_RETURN(before, records_.entity_by_name(writer, *change.name));
    }
    Entity after;
    if (before) {
      after = *before;
      after.updated_at = now;
    } else {
      ASSIGN_OR_RETURN(after, new_entity(writer, now));
    }
    RETURN_IF_ERROR(apply(change, after));
    written = {after.id, after.name, !before};
    return records_.put(writer, before ? &*before : nullptr, after);
  }));
  return written;
}

Result<std::optional<EntityView>> IdentityService::find_entity(const IdentityKey& key) const {
  std::optional<EntityView> view;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(auto entity, find(reader, key));
    if (!entity) return ok();
    ASSIGN_OR_RETURN(const auto groups, records_.memberships(reader, *entity));
    view = EntityView{*std::move(entity), {}};
    for (const Group& group : groups.inherited) view->inherited_group_ids.push_back(group.id);
    return ok();
  }));
  return view;
}

Status IdentityService::each_entity(const std::function<void(const Entity&)>& take) const {
  return database_.read(
      [&](const store::Reader& reader) { return records_.each_entity(reader, take); });
}

Status IdentityService::remove_entities(const std::vector<std::string>& ids) {
  return changed([&](store::Writer& writer) -> Status {
    for (const std::string& id : ids) {
      ASSIGN_OR_RETURN(const auto entity, records_.entity(writer, id));
      if (entity) RETURN_IF_ERROR(records_.remove(writer, *entity));
    }
    return ok();
  });
}

Status IdentityService::remove_entity_named(const std::string& name) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto entity, records_.entity_by_name(writer, name));
    return entity ? records_.remove(writer, *entity) : ok();
  });
}

// ---- merging ----------------------------------------------------------------------------------

namespace {

// Neither a ceiling nor a disabling gets lost by a merge.
Status check_mergeable(const Entity& from, const Entity& to) {
  if (from.agent)
    return invalid_identity(fmt::format(
        "the entity \"{}\" is an agent: its ceiling and its owner would be lost in \"{}\"",
        from.name, to.name));
  if (to.agent && from.kind == kHuman)
    return invalid_identity(
        fmt::format("the entity \"{}\" is a human and \"{}\" is an agent: they cannot become one",
                    from.name, to.name));
  if (from.disabled && !to.disabled)
    return invalid_identity(fmt::format(
        "the entity \"{}\" is disabled: enable it first, or disable \"{}\"", from.name, to.name));
  return ok();
}

Error alias_clash(const EntityAlias& ours, const Entity& to, const EntityAlias& theirs,
                  const Entity& from) {
  return invalid_identity(fmt::format(
      "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the "
      "merge request specifying exactly one fromEntity and conflicting_alias_ids_to_keep, clashes: "
      "mountAccessor: {}, toEntity ID: {}, fromEntity ID: {}, conflicting toEntity alias ID: {}, "
      "conflicting fromEntity alias ID: {}",
      ours.mount_accessor, to.id, from.id, ours.id, theirs.id));
}

// The aliases of `from` come to `to`; where both have one of a mount, only the one that was chosen.
Status take_aliases(const EntityMerge& merge, const Entity& from, Entity& to) {
  for (EntityAlias alias : from.aliases) {
    if (const EntityAlias* ours = alias_of_mount(to, alias.mount_accessor)) {
      if (contains(merge.alias_ids_to_keep, ours->id)) continue;
      if (!contains(merge.alias_ids_to_keep, alias.id)) return alias_clash(*ours, to, alias, from);
      std::erase_if(to.aliases, [&](const EntityAlias& a) { return a.id == ours->id; });
    }
    alias.merged_from.push_back(from.id);
    to.aliases.push_back(std::move(alias));
  }
  if (to.aliases.size() > kAliasesMax)
    return invalid_identity(fmt::format("an entity has at most {} aliases", kAliasesMax));
  return ok();
}

}  // namespace

Status IdentityService::merge_one(store::Writer& writer, const EntityMerge& merge,
                                  const Entity& from, Entity& to) const {
  RETURN_IF_ERROR(check_mergeable(from, to));
  RETURN_IF_ERROR(take_aliases(merge, from, to));
  add_missing(to.policies, from.policies);
  add_missing(to.group_ids, from.group_ids);
  to.merged_ids.insert(to.merged_ids.end(), from.merged_ids.begin(), from.merged_ids.end());
  to.merged_ids.push_back(from.id);
  return records_.remove(writer, from);
}

Status IdentityService::merge(const EntityMerge& merge) {
  if (merge.to_id.empty()) return invalid_identity("missing entity id to merge to");
  if (merge.from_ids.empty()) return invalid_identity("missing entity ids to merge from");
  if (merge.from_ids.size() > 1 && merge.alias_ids_to_keep.size() > 1)
    return invalid_identity(
        "aliases conflicts cannot be resolved with multiple from entity ids - merge one entity at "
        "a time");
  const Status merged = changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, records_.entity(writer, merge.to_id));
    if (!before) return invalid_identity("entity id to merge to is invalid");
    Entity to = *before;
    for (const std::string& id : merge.from_ids) {
      if (id == to.id)
        return invalid_identity("to_entity_id should not be present in from_entity_ids");
      ASSIGN_OR_RETURN(const auto from, records_.entity(writer, id));
      if (!from) return invalid_identity("entity id to merge from is invalid");
      RETURN_IF_ERROR(merge_one(writer, merge, *from, to));
    }
    ASSIGN_OR_RETURN(to.policies, checked_policies(std::move(to.policies)));
    to.updated_at = clock_.wall();
    return records_.put(writer, &*before, to);
  });
  if (merged)
    log_.info("entities merged",
              {{"to", merge.to_id}, {"from", fmt::format("{}", fmt::join(merge.from_ids, " "))}});
  return merged;
}

// ---- aliases ----------------------------------------------------------------------------------

Result<WrittenAlias> IdentityService::make_alias(store::Writer& writer,
                                                 const AliasChange& change) const {
  const WallTime now = clock_.wall();
  std::optional<Entity> before;
  Entity after;
  if (change.canonical_id) {
    ASSIGN_OR_RETURN(before, records_.entity(writer, *change.canonical_id));
    if (!before) return invalid_identity("invalid canonical ID");
    after = *before;
  } else {
    ASSIGN_OR_RETURN(after, new_entity(writer, now));
  }
  if (alias_of_mount(after, *change.mount_accessor) != nullptr)
    return invalid_identity("Alias already exists for requested entity and mount accessor");
  if (after.aliases.size() >= kAliasesMax)
    return invalid_identity(fmt::format("an entity has at most {} aliases", kAliasesMax));
  after.aliases.push_back({.id = random_uuid(random_),
                           .mount_accessor = *change.mount_accessor,
                           .name = *change.name,
                           .metadata = {},
                           .custom_metadata = change.custom_metadata.value_or(IdentityMetadata{}),
                           .merged_from = {},
                           .created_at = now,
                           .updated_at = now});
  RETURN_IF_ERROR(records_.put(writer, before ? &*before : nullptr, after));
  return WrittenAlias{after.aliases.back().id, after.id};
}

namespace {

Error not_yours() {
  return {
      Errc::kPermissionDenied,
      "the alias decides to whom a login belongs: moving it to another entity, giving it another "
      "name or mount, or making one that somebody had before, needs the sudo capability at this "
      "path"};
}

}  // namespace

Result<std::optional<WrittenAlias>> IdentityService::change_alias(
    store::Writer& writer, const AliasChange& change, const Entity& holder,
    const std::string& alias_id) const {
  Entity after = holder;
  EntityAlias alias = *alias_with_id(after, alias_id);
  const EntityAlias old = alias;
  alias.name = change.name.value_or(alias.name);
  alias.mount_accessor = change.mount_accessor.value_or(alias.mount_accessor);
  alias.custom_metadata = change.custom_metadata.value_or(alias.custom_metadata);
  const bool moves = change.canonical_id && *change.canonical_id != holder.id;
  const bool renamed = alias.name != old.name || alias.mount_accessor != old.mount_accessor;
  if (!moves && !renamed && alias.custom_metadata == old.custom_metadata)
    return std::optional<WrittenAlias>{};
  if ((moves || renamed) && !change.may_move) return not_yours();
  alias.updated_at = clock_.wall();
  if (renamed) {
    // What the login said of somebody else is not this one's.
    alias.metadata.clear();
    ASSIGN_OR_RETURN(const auto other,
                     records_.entity_by_alias(writer, alias.mount_accessor, alias.name));
    if (other)
      return invalid_identity("alias with combination of mount accessor and name already exists");
  }
  std::erase_if(after.aliases, [&](const EntityAlias& a) { return a.id == alias_id; });
  if (!moves) {
    if (alias_of_mount(after, alias.mount_accessor) != nullptr)
      return invalid_identity(
          "Alias cannot be updated as the entity already has an alias for the given "
          "'mount_accessor' ");
    after.aliases.push_back(alias);
    RETURN_IF_ERROR(records_.put(writer, &holder, after));
    return std::optional{WrittenAlias{alias.id, after.id}};
  }
  ASSIGN_OR_RETURN(const auto target, records_.entity(writer, *change.canonical_id));
  if (!target) return invalid_identity("given 'canonical_id' is not associated with an entity");
  if (alias_of_mount(*target, alias.mount_accessor) != nullptr)
    return invalid_identity(
        "Alias cannot be updated as the given entity already has an alias for this mount ");
  RETURN_IF_ERROR(records_.put(writer, &holder, after));
  Entity taker = *target;
  taker.aliases.push_back(alias);
  RETURN_IF_ERROR(records_.put(writer, &*target, taker));
  return std::optional{WrittenAlias{alias.id, taker.id, true}};
}

Result<std::optional<WrittenAlias>> IdentityService::put_alias(const AliasChange& change) {
  if (!change.id && (!change.name || !change.mount_accessor))
    return invalid_identity("'id' or 'mount_accessor' and 'name' must be provided");
  if (change.name) RETURN_IF_ERROR(check_identity_name("alias name", *change.name));
  if (change.custom_metadata) RETURN_IF_ERROR(check_identity_metadata(*change.custom_metadata));
  std::optional<WrittenAlias> written;
  RETURN_IF_ERROR(changed([&](store::Writer& writer) -> Status {
    std::optional<Entity> holder;
    std::string alias_id = change.id.value_or("");
    if (change.id) {
      ASSIGN_OR_RETURN(holder, records_.entity_by_alias_id(writer, *change.id));
      if (!holder) return invalid_identity("invalid alias ID provided");
    } else {
      ASSIGN_OR_RETURN(holder,
                       records_.entity_by_alias(writer, *change.mount_accessor, *change.name));
      if (holder) alias_id = alias_of_mount(*holder, *change.mount_accessor)->id;
    }
    if (!holder) {
      ASSIGN_OR_RETURN(const auto retired,
                       records_.retired(writer, *change.mount_accessor, *change.name));
      if (retired && !change.may_move) return not_yours();
      ASSIGN_OR_RETURN(written, make_alias(writer, change));
      return ok();
    }
    ASSIGN_OR_RETURN(written, change_alias(writer, change, *holder, alias_id));
    return ok();
  }));
  if (written && written->moved)
    log_.warn("alias moved to another entity",
              {{"alias", written->id}, {"entity", written->canonical_id}});
  return written;
}

Status IdentityService::remove_alias(const std::string& id) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, records_.entity_by_alias_id(writer, id));
    if (!before) return ok();
    Entity after = *before;
    std::erase_if(after.aliases, [&](const EntityAlias& alias) { return alias.id == id; });
    after.updated_at = clock_.wall();
    return records_.put(writer, &*before, after);
  });
}

// ---- logins that belonged to somebody ---------------------------------------------------------

Result<std::vector<RetiredAlias>> IdentityService::retired_aliases() const {
  std::vector<RetiredAlias> found;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(found, records_.all_retired(reader));
    return ok();
  }));
  return found;
}

Status IdentityService::free_alias(const std::string& id) {
  bool was_there = false;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(was_there, records_.free(writer, id));
    return ok();
  }));
  if (!was_there) return Error{Errc::kNotFound, ""};
  log_.warn("login of a former entity is free again", {{"retired_alias", id}});
  return ok();
}

Status IdentityService::retire_login(const std::string& mount_accessor, const std::string& name) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, records_.entity_by_alias(writer, mount_accessor, name));
    if (!before) return ok();
    Entity after = *before;
    std::erase_if(after.aliases, [&](const EntityAlias& alias) {
      return alias.mount_accessor == mount_accessor && alias.name == name;
    });
    after.updated_at = clock_.wall();
    return records_.put(writer, &*before, after);
  });
}

}  // namespace curfew::broker
