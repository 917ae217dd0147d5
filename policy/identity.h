#pragma once

#include <map>
#include <string>
#include <vector>

namespace curfew::policy {

// What the templates in policies may refer to: the entity behind a token and the groups that it is
// in, direct and nested. Empty for a token without an entity.
struct Identity {
  using Metadata = std::map<std::string, std::string, std::less<>>;
  struct Alias {
    std::string mount_accessor;
    std::string id;
    std::string name;
    Metadata metadata = {};
    Metadata custom_metadata = {};
  };
  struct Group {
    std::string id;
    std::string name;
    Metadata metadata = {};
  };

  std::string entity_id;
  std::string entity_name;
  Metadata metadata = {};
  std::vector<Alias> aliases = {};
  std::vector<Group> groups = {};
};

}  // namespace curfew::policy
