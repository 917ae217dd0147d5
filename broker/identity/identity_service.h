#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/identity/entity.h"
#include "broker/identity/identities.h"
#include "broker/identity/identity_records.h"
#include "broker/identity/standing_cache.h"
#include "store/barrier.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// What to write of an entity; what is absent stays as it is.
struct EntityChange {
  std::optional<std::string> id = {};  // of one that exists
  std::optional<std::string> name = {};
  std::optional<std::string> kind = {};
  std::optional<std::vector<std::string>> policies = {};
  std::optional<IdentityMetadata> metadata = {};
  std::optional<bool> disabled = {};
};

struct EntityMerge {
  std::vector<std::string> from_ids = {};
  std::string to_id = {};
  std::vector<std::string> alias_ids_to_keep = {};  // where both have an alias of one mount
};

struct AliasChange {
  std::optional<std::string> id = {};  // of one that exists
  std::optional<std::string> name = {};
  std::optional<std::string> mount_accessor = {};
  std::optional<std::string> canonical_id = {};  // the entity's, or the group's
  std::optional<IdentityMetadata> custom_metadata = {};
  // Whether the caller may change to whom a login belongs: move an alias to another entity, or give
  // it another name or mount.
  bool may_move = false;
};

struct GroupChange {
  std::optional<std::string> id = {};
  std::optional<std::string> name = {};
  std::optional<std::string> type = {};  // "internal", "external"
  std::optional<std::vector<std::string>> policies = {};
  std::optional<IdentityMetadata> metadata = {};
  std::optional<std::vector<std::string>> member_entity_ids = {};
  std::optional<std::vector<std::string>> member_group_ids = {};
};

struct AgentChange {
  std::string name = {};
  std::optional<std::string> entity_id = {};  // an entity that shall become this agent
  std::optional<std::string> kind = {};
  std::optional<std::string> description = {};
  // An entity or a group, by name or id; "entity:…" or "group:…" where both have the name.
  std::optional<std::string> owner = {};
  std::optional<std::vector<std::string>> policies = {};
  std::optional<std::vector<std::string>> ceiling_policies = {};
  std::optional<std::vector<std::string>> allowed_roles = {};
  std::optional<std::int64_t> live_leases_max = {};
  std::optional<std::int64_t> leases_per_hour = {};
  std::optional<Millis> ttl_max = {};
  std::optional<IdentityMetadata> metadata = {};
  std::optional<bool> disabled = {};
};

// What a write made or changed.
struct Written {
  std::string id;
  std::string name;
  bool created = false;
};

struct WrittenAlias {
  std::string id;
  std::string canonical_id;
  bool moved = false;  // it belonged to another one before
};

// By what an entity or a group is looked for.
struct IdentityKey {
  enum class By { kId, kName, kAliasId, kAlias };
  By by = By::kId;
  std::string value;
  std::string mount_accessor = {};  // with kAlias
};

struct EntityView {
  Entity entity;
  std::vector<std::string> inherited_group_ids;
};

struct GroupView {
  Group group;
  std::vector<std::string> member_entity_ids;
  std::vector<std::string> member_group_ids;
};

struct AgentView {
  Entity entity;
  std::string owner_name;    // empty: the owner is gone
  std::string disabled_why;  // empty: the agent may act
};

// Identities: entities, their aliases and groups, and the registry of agents. Thread-safe. A change
// is durable when its call returns success, and counts from then on. Every method also gives the
// store's errors; kCorrupt: rows were altered outside of Curfew.
class IdentityService final : public Identities {
 public:
  // All outlive this object.
  IdentityService(store::Database& database, const store::Records& records,
                  const store::Barrier& barrier, const Clock& clock, Random& random, Log& log);

  Result<std::string> sign_in(const SignIn& sign_in, WallTime now) override;
  Result<std::shared_ptr<const Standing>> standing(const std::string& entity_id) const override;

  // Forgets everything that was read (the broker is being sealed).
  void forget() { standings_.forget_all(); }

  // ---- entities. kInvalidArgument says what is wrong with the change.
  Result<Written> put_entity(const EntityChange& change);
  // An id of an entity that was merged gives the one that it is part of.
  Result<std::optional<EntityView>> find_entity(const IdentityKey& key) const;
  Status each_entity(const std::function<void(const Entity&)>& take) const;
  // Absent is success. Their aliases and memberships go with them.
  Status remove_entities(const std::vector<std::string>& ids);
  Status remove_entity_named(const std::string& name);
  Status merge(const EntityMerge& merge);

  // ---- aliases of entities. nullopt: there was nothing to change. kPermissionDenied: the change
  // would give a login to somebody else, and `may_move` is not set.
  Result<std::optional<WrittenAlias>> put_alias(const AliasChange& change);
  Status remove_alias(const std::string& id);

  // ---- logins that belonged to somebody
  Result<std::vector<RetiredAlias>> retired_aliases() const;
  // From then on the next login makes a new entity. kNotFound: there is none of this id.
  Status free_alias(const std::string& id);
  // Whoever could log in by this name is no more, and the next one of that name is another: the
  // alias is taken from its entity. Absent is success.
  Status retire_login(const std::string& mount_accessor, const std::string& name);

  // ---- groups
  Result<Written> put_group(const GroupChange& change);
  Result<std::optional<GroupView>> find_group(const IdentityKey& key) const;
  // With the number of members of each.
  Status each_group(const std::function<void(const Group&, std::int64_t)>& take) const;
  // Absent is success.
  Status remove_group(const IdentityKey& key);
  Result<std::optional<WrittenAlias>> put_group_alias(const AliasChange& change);
  Status remove_group_alias(const std::string& id);

  // ---- agents
  Result<Written> put_agent(const AgentChange& change);
  // nullopt: no entity of this name that is an agent.
  Result<std::optional<AgentView>> find_agent(const std::string& name) const;
  // Sorted by name.
  Result<std::vector<AgentView>> agents() const;
  // kNotFound: there is no such agent.
  Status set_agent_disabled(const std::string& name, bool disabled);
  // Absent is success; an entity that is no agent stays.
  Status remove_agent(const std::string& name);

 private:
  Result<Standing> stand(const store::Reader& reader, const Entity& entity) const;
  Result<std::string> why_disabled(const store::Reader& reader, const Entity& entity,
                                   std::string* owner_name) const;
  Status admit(const store::Reader& reader, const Entity& entity) const;
  Status check_not_retired(const store::Reader& reader, const SignIn& sign_in) const;
  Result<std::optional<Entity>> signed_in(const store::Reader& reader, const SignIn& sign_in,
                                          Entity& before, WallTime now) const;
  Status set_external_groups(const store::Reader& reader, const SignIn& sign_in,
                             Entity& entity) const;

  Result<std::optional<Entity>> find(const store::Reader& reader, const IdentityKey& key) const;
  Result<std::optional<Group>> find_one_group(const store::Reader& reader,
                                              const IdentityKey& key) const;
  Result<std::string> free_entity_name(const store::Reader& reader) const;
  Result<std::string> free_group_name(const store::Reader& reader) const;
  Result<Entity> new_entity(const store::Reader& reader, WallTime now) const;

  Status merge_one(store::Writer& writer, const EntityMerge& merge, const Entity& from,
                   Entity& to) const;

  Result<WrittenAlias> make_alias(store::Writer& writer, const AliasChange& change) const;
  Result<std::optional<WrittenAlias>> change_alias(store::Writer& writer, const AliasChange& change,
                                                   const Entity& holder,
                                                   const std::string& alias_id) const;

  Status set_members(store::Writer& writer, const Group& group,
                     const std::vector<std::string>& wanted) const;
  Status set_subgroups(store::Writer& writer, const Group& group,
                       const std::vector<std::string>& wanted) const;
  Status check_nesting(const store::Reader& reader, const Group& parent,
                       const std::string& child) const;

  Result<AgentOwner> owner_of(const store::Reader& reader, const std::string& text) const;
  Result<AgentView> view_of(const store::Reader& reader, Entity entity) const;
  Result<std::optional<Entity>> agent_named(const store::Reader& reader,
                                            const std::string& name) const;

  Status changed(const std::function<Status(store::Writer&)>& change);

  store::Database& database_;
  const IdentityRecords records_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  mutable StandingCache standings_;
};

}  // namespace curfew::broker
