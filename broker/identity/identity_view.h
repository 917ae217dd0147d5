#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "broker/identity/identity_service.h"

// Identities as the API gives them. Pure; thread-safe.
namespace curfew::broker {

// What is known of a login method's mount by its accessor.
struct IdentityMount {
  std::string type;
  std::string path;
};
using FindIdentityMount = std::function<std::optional<IdentityMount>(const std::string& accessor)>;

struct IdentityViewer {
  std::string namespace_id;
  FindIdentityMount find_mount;

  Json entity(const EntityView& view) const;
  Json entity_info(const Entity& entity) const;  // one line of a list
  Json alias(const EntityAlias& alias, const std::string& entity_id) const;
  Json alias_info(const EntityAlias& alias, const std::string& entity_id) const;
  Json group(const GroupView& view) const;
  Json group_info(const Group& group, std::int64_t members) const;
  Json retired_alias(const RetiredAlias& alias) const;
  Json group_alias(const GroupAlias& alias, const std::string& group_id) const;
  Json group_alias_info(const GroupAlias& alias, const std::string& group_id) const;
  Json agent(const AgentView& view) const;
  Json agent_info(const AgentView& view) const;

 private:
  void add_mount(const std::string& accessor, Json& to) const;
};

}  // namespace curfew::broker
