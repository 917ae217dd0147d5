#include "broker/identity/identity_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "broker/identity/identity_checks.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kSignInGroupsMax = 2'000;
constexpr std::size_t kDirectGroupsMax = 1'000;

policy::Identity::Metadata for_templates(const IdentityMetadata& metadata) {
  return {metadata.begin(), metadata.end()};
}

policy::Identity identity_of(const Entity& entity, const IdentityRecords::Memberships& groups) {
  policy::Identity identity{.entity_id = entity.id,
                            .entity_name = entity.name,
                            .metadata = for_templates(entity.metadata)};
  for (const EntityAlias& alias : entity.aliases)
    identity.aliases.push_back({.mount_accessor = alias.mount_accessor,
                                .id = alias.id,
                                .name = alias.name,
                                .metadata = for_templates(alias.metadata),
                                .custom_metadata = for_templates(alias.custom_metadata)});
  for (const auto* list : {&groups.direct, &groups.inherited})
    for (const Group& group : *list)
      identity.groups.push_back(
          {.id = group.id, .name = group.name, .metadata = for_templates(group.metadata)});
  return identity;
}

EntityAlias* alias_at(Entity& entity, std::string_view mount_accessor) {
  const auto found =
      std::find_if(entity.aliases.begin(), entity.aliases.end(),
                   [&](const EntityAlias& a) { return a.mount_accessor == mount_accessor; });
  return found == entity.aliases.end() ? nullptr : &*found;
}

Status check_sign_in(const SignIn& sign_in) {
  RETURN_IF_ERROR(check_identity_name("mount accessor", sign_in.mount_accessor));
  RETURN_IF_ERROR(check_identity_name("alias name", sign_in.alias));
  if (sign_in.groups && sign_in.groups->size() > kSignInGroupsMax)
    return invalid_identity(fmt::format("the login names {} groups; at most {} are looked up",
                                        sign_in.groups->size(), kSignInGroupsMax));
  return check_identity_metadata(sign_in.metadata);
}

}  // namespace

IdentityService::IdentityService(store::Database& database, const store::Records& records,
                                 const store::Barrier& barrier, const Clock& clock, Random& random,
                                 Log& log)
    : database_(database),
      records_(records, barrier, clock),
      clock_(clock),
      random_(random),
      log_(log) {}

// Runs a change and forgets every standing, since groups and owners reach many of them.
Status IdentityService::changed(const std::function<Status(store::Writer&)>& change) {
  const Status done = database_.write(change);
  // Also after a failure: what is known is asked for again, and nothing is lost.
  standings_.forget_all();
  return done;
}

// ---- standing ---------------------------------------------------------------------------------

// An agent acts only while somebody answers for it.
Result<std::string> IdentityService::why_disabled(const store::Reader& reader, const Entity& entity,
                                                  std::string* owner_name) const {
  std::string why = entity.disabled ? "it is disabled" : "";
  if (!entity.agent) return why;
  const AgentOwner& owner = entity.agent->owner;
  std::string of_owner;
  if (owner.is_group) {
    ASSIGN_OR_RETURN(const auto group, records_.group(reader, owner.id));
    if (group && owner_name != nullptr) *owner_name = group->name;
    if (!group) of_owner = "the group that answered for it is gone";
  } else {
    ASSIGN_OR_RETURN(const auto person, records_.resolved(reader, owner.id));
    if (person && owner_name != nullptr) *owner_name = person->name;
    if (!person) of_owner = "the entity that answered for it is gone";
    if (person && person->disabled)
      of_owner = fmt::format("its owner \"{}\" is disabled", person->name);
  }
  return why.empty() ? of_owner : why;
}

Result<Standing> IdentityService::stand(const store::Reader& reader, const Entity& entity) const {
  Standing standing;
  standing.entity_id = entity.id;
  standing.name = entity.name;
  standing.kind = entity.kind;
  ASSIGN_OR_RETURN(standing.disabled_why, why_disabled(reader, entity, &standing.owner));
  standing.disabled = !standing.disabled_why.empty();
  ASSIGN_OR_RETURN(const auto groups, records_.memberships(reader, entity));
  std::set<std::string> policies(entity.policies.begin(), entity.policies.end());
  for (const auto* list : {&groups.direct, &groups.inherited})
    for (const Group& group : *list) policies.insert(group.policies.begin(), group.policies.end());
  standing.policies.assign(policies.begin(), policies.end());
  standing.identity = identity_of(entity, groups);
  if (entity.agent) standing.agent = entity.agent->limits;
  return standing;
}

Result<std::shared_ptr<const Standing>> IdentityService::standing(
    const std::string& entity_id) const {
  if (auto known = standings_.find(entity_id)) return known;
  const std::uint64_t generation = standings_.generation();
  std::shared_ptr<const Standing> made;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto entity, records_.resolved(reader, entity_id));
    if (!entity) return ok();
    ASSIGN_OR_RETURN(Standing standing, stand(reader, *entity));
    made = std::make_shared<const Standing>(std::move(standing));
    return ok();
  }));
  if (made) standings_.put(entity_id, made, generation);
  return made;
}

// ---- signing in -------------------------------------------------------------------------------

Status IdentityService::admit(const store::Reader& reader, const Entity& entity) const {
  ASSIGN_OR_RETURN(const std::string why, why_disabled(reader, entity, nullptr));
  if (why.empty()) return ok();
  return Error{Errc::kPermissionDenied, "permission denied: the entity may not log in",
               fmt::format("entity {} ({}): {}", entity.id, entity.name, why)};
}

// A login that was an agent's or a disabled entity's does not begin anew without what bound it.
Status IdentityService::check_not_retired(const store::Reader& reader,
                                          const SignIn& sign_in) const {
  ASSIGN_OR_RETURN(const auto retired,
                   records_.retired(reader, sign_in.mount_accessor, sign_in.alias));
  if (!retired || !retired->refused) return ok();
  return Error{Errc::kPermissionDenied, "permission denied: the entity may not log in",
               fmt::format("the login belonged to \"{}\", which is gone; to free it: curfew delete "
                           "identity/retired-alias/{}",
                           retired->entity_name, retired->id)};
}

Status IdentityService::set_external_groups(const store::Reader& reader, const SignIn& sign_in,
                                            Entity& entity) const {
  if (!sign_in.groups) return ok();
  std::set<std::string> wanted;
  for (const std::string& name : *sign_in.groups) {
    ASSIGN_OR_RETURN(const auto group,
                     records_.group_by_alias(reader, sign_in.mount_accessor, name));
    if (group && group->external) wanted.insert(group->id);
  }
  std::set<std::string> after = wanted;
  for (const std::string& id : entity.group_ids) {
    if (wanted.contains(id)) continue;
    ASSIGN_OR_RETURN(const Group group, records_.known_group(reader, id));
    const bool says_so =
        group.external && group.alias && group.alias->mount_accessor == sign_in.mount_accessor;
    if (!says_so) after.insert(id);
  }
  if (after.size() > kDirectGroupsMax)
    return invalid_identity(
        fmt::format("an entity can be a member of {} groups", kDirectGroupsMax));
  entity.group_ids.assign(after.begin(), after.end());
  return ok();
}

// The entity of the alias as it shall be from now on, `before` as it is stored (without an id:
// not yet). nullopt: there is nothing to write.
Result<std::optional<Entity>> IdentityService::signed_in(const store::Reader& reader,
                                                         const SignIn& sign_in, Entity& before,
                                                         WallTime now) const {
  ASSIGN_OR_RETURN(auto known,
                   records_.entity_by_alias(reader, sign_in.mount_accessor, sign_in.alias));
  Entity after;
  bool is_changed = false;
  if (known) {
    RETURN_IF_ERROR(admit(reader, *known));
    before = *std::move(known);
    after = before;
    EntityAlias& alias = *alias_at(after, sign_in.mount_accessor);
    if (alias.metadata != sign_in.metadata) {
      alias.metadata = sign_in.metadata;
      alias.updated_at = now;
      is_changed = true;
    }
  } else {
    RETURN_IF_ERROR(check_not_retired(reader, sign_in));
    ASSIGN_OR_RETURN(after, new_entity(reader, now));
    after.aliases.push_back({.id = random_uuid(random_),
                             .mount_accessor = sign_in.mount_accessor,
                             .name = sign_in.alias,
                             .metadata = sign_in.metadata,
                             .custom_metadata = {},
                             .merged_from = {},
                             .created_at = now,
                             .updated_at = now});
    is_changed = true;
  }
  RETURN_IF_ERROR(set_external_groups(reader, sign_in, after));
  if (!is_changed && after.group_ids == before.group_ids) return std::optional<Entity>{};
  return std::optional{std::move(after)};
}

Result<std::string> IdentityService::sign_in(const SignIn& sign_in, WallTime now) {
  RETURN_IF_ERROR(check_sign_in(sign_in));
  // Most logins change nothing and need no write.
  Entity before;
  bool is_changed = false;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto after, signed_in(reader, sign_in, before, now));
    is_changed = after.has_value();
    return ok();
  }));
  if (!is_changed) return before.id;
  std::optional<Entity> after;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    before = {};
    ASSIGN_OR_RETURN(after, signed_in(writer, sign_in, before, now));
    return after ? records_.put(writer, before.id.empty() ? nullptr : &before, *after) : ok();
  }));
  if (!after) return before.id;
  // Nobody else's standing depends on what a login changes.
  standings_.forget(after->id);
  for (const std::string& id : after->merged_ids) standings_.forget(id);
  return after->id;
}

// ---- what several use -------------------------------------------------------------------------

Result<std::string> IdentityService::free_entity_name(const store::Reader& reader) const {
  for (;;) {
    std::string name = "entity_" + hex_encode(random_bytes(random_, 4));
    ASSIGN_OR_RETURN(const auto taken, records_.entity_by_name(reader, name));
    if (!taken) return name;
  }
}

Result<std::string> IdentityService::free_group_name(const store::Reader& reader) const {
  for (;;) {
    std::string name = "group_" + hex_encode(random_bytes(random_, 4));
    ASSIGN_OR_RETURN(const auto taken, records_.group_by_name(reader, name));
    if (!taken) return name;
  }
}

Result<Entity> IdentityService::new_entity(const store::Reader& reader, WallTime now) const {
  Entity entity;
  entity.id = random_uuid(random_);
  ASSIGN_OR_RETURN(entity.name, free_entity_name(reader));
  entity.created_at = now;
  entity.updated_at = now;
  return entity;
}

Result<std::optional<Entity>> IdentityService::find(const store::Reader& reader,
                                                    const IdentityKey& key) const {
  switch (key.by) {
    case IdentityKey::By::kId: return records_.resolved(reader, key.value);
    case IdentityKey::By::kName: return records_.entity_by_name(reader, key.value);
    case IdentityKey::By::kAliasId: return records_.entity_by_alias_id(reader, key.value);
    case IdentityKey::By::kAlias:
      return records_.entity_by_alias(reader, key.mount_accessor, key.value);
  }
  return std::optional<Entity>{};
}

Result<std::optional<Group>> IdentityService::find_one_group(const store::Reader& reader,
                                                             const IdentityKey& key) const {
  switch (key.by) {
    case IdentityKey::By::kId: return records_.group(reader, key.value);
    case IdentityKey::By::kName: return records_.group_by_name(reader, key.value);
    case IdentityKey::By::kAliasId: return records_.group_by_alias_id(reader, key.value);
    case IdentityKey::By::kAlias:
      return records_.group_by_alias(reader, key.mount_accessor, key.value);
  }
  return std::optional<Group>{};
}

}  // namespace curfew::broker
