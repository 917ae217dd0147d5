#pragma once

#include <string>

#include "tests/support/postgres.h"

namespace curfew::crash {

// What there is of roles that are gone, in the session's database and among shared objects:
// sessions, dependencies, memberships, rights on relations. "" when there is nothing, as it must
// be.
std::string leftovers(test::PgSession& superuser);

}  // namespace curfew::crash
