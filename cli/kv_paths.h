#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/command.h"

namespace curfew::cli {

// Where a key lives: an engine of version 2 has the key below a different word for each operation
// ("secret/data/app"), one of version 1 directly below its mount.
struct KvPath {
  bool versioned = false;
  std::string mount;  // "" where the server would not say
  std::string key;

  // The API's path for `operation` ("data", "metadata", "delete", …), which version 1 ignores.
  std::string api(std::string_view operation) const;
};

// -mount, for all kv commands.
Flag mount_flag();

// Asks the server which engine serves the command's first word (below -mount, if that is given).
Result<KvPath> find_kv_path(Call& call);

// As above; kRefused where the engine is not of version 2, saying that `what` needs it.
Result<KvPath> find_versioned_path(Call& call, std::string_view what);

// "==== Title ====" over a table of the members of `object`.
std::string section_title(std::string_view title, const Json& object);

// Title and table of one object.
std::string section_text(std::string_view title, const Json& object);

}  // namespace curfew::cli
