#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "broker/identity/entity.h"
#include "store/barrier.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The rows of entities and groups, and the rows by which they are found. All within the caller's
// transaction. What decides (policies, memberships, aliases) stands in the entity's and the group's
// own sealed row; the others are indexes, and what they say is checked against it. Names stand in
// the indexes as keyed hashes. Every method also gives the store's errors; kCorrupt: a row was
// altered, or does not fit another one.
//
// Thread-safe: holds nothing.
class IdentityRecords {
 public:
  // All outlive this object.
  IdentityRecords(const store::Records& records, const store::Barrier& barrier, const Clock& clock)
      : records_(records), barrier_(barrier), clock_(clock) {}

  // nullopt: there is none of this id.
  Result<std::optional<Entity>> entity(const store::Reader& reader, std::string_view id) const;
  Result<std::optional<Group>> group(const store::Reader& reader, std::string_view id) const;
  // kCorrupt: there is none, though another row says so.
  Result<Group> known_group(const store::Reader& reader, std::string_view id) const;

  // As entity(); an entity that was merged into another one gives that one.
  Result<std::optional<Entity>> resolved(const store::Reader& reader, std::string_view id) const;

  // In any case.
  Result<std::optional<Entity>> entity_by_name(const store::Reader& reader,
                                               std::string_view name) const;
  Result<std::optional<Group>> group_by_name(const store::Reader& reader,
                                             std::string_view name) const;

  // Whose alias it is. Aliases are what a login method says: upper and lower case differ.
  Result<std::optional<Entity>> entity_by_alias(const store::Reader& reader,
                                                std::string_view mount_accessor,
                                                std::string_view name) const;
  Result<std::optional<Entity>> entity_by_alias_id(const store::Reader& reader,
                                                   std::string_view id) const;
  Result<std::optional<Group>> group_by_alias(const store::Reader& reader,
                                              std::string_view mount_accessor,
                                              std::string_view name) const;
  Result<std::optional<Group>> group_by_alias_id(const store::Reader& reader,
                                                 std::string_view id) const;

  // nullopt: the login never belonged to anybody, or belongs to somebody.
  Result<std::optional<RetiredAlias>> retired(const store::Reader& reader,
                                              std::string_view mount_accessor,
                                              std::string_view name) const;
  Result<std::vector<RetiredAlias>> all_retired(const store::Reader& reader) const;
  // Forgets whose it was. False: there is none of this id.
  Result<bool> free(store::Writer& writer, std::string_view id) const;

  // Sorted ids of entities; of the groups whose parent is `group_id`.
  Result<std::vector<std::string>> members(const store::Reader& reader,
                                           std::string_view group_id) const;
  Result<std::vector<std::string>> subgroups(const store::Reader& reader,
                                             std::string_view group_id) const;

  Result<std::int64_t> member_count(const store::Reader& reader, std::string_view group_id) const;

  // The direct and the inherited groups of an entity.
  struct Memberships {
    std::vector<Group> direct;
    std::vector<Group> inherited;  // without those that are direct
  };
  // kTooLarge: more than a bounded number.
  Result<Memberships> memberships(const store::Reader& reader, const Entity& entity) const;

  // All of them, each handed over once, by id.
  Status each_entity(const store::Reader& reader,
                     const std::function<void(const Entity&)>& take) const;
  Status each_group(const store::Reader& reader,
                    const std::function<void(const Group&)>& take) const;
  // The ids of entities that are agents.
  Result<std::vector<std::string>> agent_ids(const store::Reader& reader) const;

  // Writes `after` and everything by which it is found; aliases that it has no more are retired.
  // `before`: as it is stored now; nullptr: not yet. kInvalidArgument: a name or an alias belongs
  // to another one already.
  Status put(store::Writer& writer, const Entity* before, const Entity& after) const;
  Status put(store::Writer& writer, const Group* before, const Group& after) const;
  // With everything by which it was found; aliases are retired. Of a group that no row refers to
  // any more.
  Status remove(store::Writer& writer, const Entity& entity) const;
  Status remove(store::Writer& writer, const Group& group) const;

 private:
  Result<std::optional<std::string>> referred(const store::Reader& reader, std::string_view scope,
                                              std::string_view name) const;
  Result<std::string> key(std::string_view scope, std::string_view text) const;
  Result<std::string> alias_key(std::string_view scope, std::string_view mount_accessor,
                                std::string_view name) const;
  Status retire(store::Writer& writer, const Entity& entity, const EntityAlias& alias) const;
  Status index_entity_aliases(store::Writer& writer, const Entity* before,
                              const Entity& after) const;
  Status index_merged(store::Writer& writer, const Entity* before, const Entity& after) const;
  Status index_group_alias(store::Writer& writer, const Group* before, const Group& after) const;
  Status claim(store::Writer& writer, std::string_view scope, const std::string& name,
               const std::string& id, const char* taken) const;
  Status index_links(store::Writer& writer, std::string_view scope, const std::string& id,
                     const std::vector<std::string>& before,
                     const std::vector<std::string>& after) const;

  const store::Records& records_;
  const store::Barrier& barrier_;
  const Clock& clock_;
};

}  // namespace curfew::broker
