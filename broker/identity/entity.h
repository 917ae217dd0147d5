#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "broker/identity/identities.h"

// What is stored of identities, and its stored form. Ids are UUIDs; times are the wall clock's.
namespace curfew::broker {

using IdentityMetadata = std::map<std::string, std::string>;

inline constexpr const char* kHuman = "human";
inline constexpr const char* kAgent = "agent";

// The name by which a login method knows an entity. Within a mount a name is one entity's.
struct EntityAlias {
  std::string id;
  std::string mount_accessor;
  std::string name;
  IdentityMetadata metadata;             // what the method said at the last login
  IdentityMetadata custom_metadata;      // what an operator wrote
  std::vector<std::string> merged_from;  // entities that it belonged to before merges
  WallTime created_at;
  WallTime updated_at;
};

// A login that belonged to an entity which does not have its alias any more. To whom it belongs
// next is nobody's to decide without `sudo`.
struct RetiredAlias {
  std::string id;
  std::string mount_accessor;
  std::string name;
  std::string entity_name;  // as it was called then
  WallTime retired_at;
  // The entity was an agent, or disabled: as a new one the login would have lost what bound it, so
  // it is refused.
  bool refused = false;
};

// Who answers for an agent.
struct AgentOwner {
  bool is_group = false;
  std::string id;
};

// What makes an entity an agent.
struct AgentRecord {
  std::string kind;  // free text: what program it is
  std::string description;
  AgentOwner owner;
  AgentLimits limits;
};

struct Entity {
  std::string id;
  std::string name;  // another entity's name is never the same in other case
  std::string kind;  // kHuman, kAgent, or empty: not said
  bool disabled = false;
  std::vector<std::string> policies;  // lower case, sorted
  IdentityMetadata metadata;
  std::vector<EntityAlias> aliases;     // at most one for each mount
  std::vector<std::string> group_ids;   // the groups that it is a member of itself; sorted
  std::vector<std::string> merged_ids;  // of entities that were merged into this one
  std::optional<AgentRecord> agent;     // exactly where kind is kAgent
  WallTime created_at;
  WallTime updated_at;
};

// The name by which a login method knows a group.
struct GroupAlias {
  std::string id;
  std::string mount_accessor;
  std::string name;
  WallTime created_at;
  WallTime updated_at;
};

struct Group {
  std::string id;
  std::string name;
  bool external = false;              // its members are whom a login method says
  std::vector<std::string> policies;  // lower case, sorted
  IdentityMetadata metadata;
  std::vector<std::string> parent_ids;  // the groups that this one is a member of; sorted
  std::optional<GroupAlias> alias;      // of external ones alone
  std::int64_t modify_index = 0;
  WallTime created_at;
  WallTime updated_at;
};

Json to_stored(const Entity& entity);
Entity entity_from_stored(const Json& stored);

Json to_stored(const Group& group);
Group group_from_stored(const Json& stored);

}  // namespace curfew::broker
