#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engines/identifier.h"
#include "engines/postgres/connection.h"

namespace curfew::engines::postgres {

// Whose the database role of that name is, or that of the backend with that process id, from the
// mark on the role. A session that has done SET ROLE or SET SESSION AUTHORIZATION still counts as
// that of the role which logged in. Empty: there is no such role or backend. Reads catalogs only.
Result<std::vector<Sighting>> identify(Connection& connection, const std::string& target,
                                       std::string_view mount_accessor, const Sought& sought,
                                       SteadyTime deadline);

}  // namespace curfew::engines::postgres
