#pragma once

#include <string>

#include "base/json.h"
#include "engines/engine.h"

namespace curfew::broker {

// What is stored of an attribution, for leases and approval requests alike: all but the entity's
// id, which each keeps in a place of its own.
Json to_stored(const engines::Attribution& attribution);
// Members that older rows do not have are empty. REQUIRES: `stored` was opened from a seal.
engines::Attribution attribution_from_stored(const Json& stored, std::string entity_id);

}  // namespace curfew::broker
