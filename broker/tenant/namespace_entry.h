#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace curfew::broker {

// The id of the first namespace, which every store has.
inline constexpr std::string_view kFirstNamespace = "root";

// One namespace as it is stored in the namespace above it.
struct NamespaceEntry {
  std::string id;  // stands in every row of the namespace and never changes
  std::string uuid;
  std::string path;  // from the first namespace on, ends in '/'; "" is the first one
  std::map<std::string, std::string> custom_metadata;
  WallTime created_at;
  bool deleting = false;  // it goes when its last lease is proven gone

  bool is_first() const { return path.empty(); }
  // The last element of the path, without a slash.
  std::string name() const;
};

Json to_stored(const NamespaceEntry& entry);
NamespaceEntry namespace_entry_from_stored(const Json& stored);

// As sys/namespaces shows it. `above`: the path of the namespace that is asked, which is left out.
Json to_api(const NamespaceEntry& entry, const std::string& above);

// The name of one namespace below another: "team-a" and "team-a/" are "team-a". kInvalidArgument:
// empty, several elements, reserved, or characters that a path or a policy gives another meaning.
Result<std::string> namespace_name(std::string_view text);

// Members of custom_metadata of a request, checked; a member that is null is one to take away, for
// patches. kInvalidArgument names what is wrong.
Result<std::map<std::string, Json>> custom_metadata_of(const Json& data);

}  // namespace curfew::broker
