#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/connection.h"

namespace curfew::engines::postgres {

inline constexpr int kPrivilegedObjectsMax = 100;

// What the role with this oid may do in the connection's database, whichever way it came by it:
//   "privileges"  [{"object": "public.orders", "privileges": ["SELECT"]}], system catalogs left out
//   "member_of"   names of groups, also by way of others
//   "attributes"  "CREATEDB", …
//   "more"        true where there are more objects than are listed
// REQUIRES: the connection searches pg_catalog alone.
Result<Json> role_privileges(Connection& connection, std::uint32_t oid, SteadyTime deadline);

}  // namespace curfew::engines::postgres
