#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engines/engine.h"

namespace curfew::engines {

// What somebody met in a target: the name of an effect, or the process id of a session there.
struct Sought {
  std::string name = {};  // empty: by process id
  std::int64_t pid = 0;
  std::string resource = {};  // where; empty: anywhere
};

// What is there under that name or number.
struct Sighting {
  std::string resource = {};
  std::string name = {};      // of the effect; empty: of none
  std::string lease_id = {};  // that its mark names; empty: it bears none of this mount
  Json facts = Json::object();
  std::string error = {};  // this resource could not be asked; the rest is empty then
};

// What an engine can beside SecretEngine, whose targets show who is in them: finds out whose
// something is that was met there. Thread-safe; may block until the deadline.
class Identifier {
 public:
  virtual ~Identifier() = default;
  // A mark is hearsay: whoever may change the effect may have written it.
  virtual Result<std::vector<Sighting>> identify(const Sought& sought,
                                                 const CallContext& context) = 0;
};

}  // namespace curfew::engines
