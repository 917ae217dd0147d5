#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/roles.h"

// What the broker's own login may do at a target, and what it lacks.
namespace curfew::engines::postgres {

// The roles that creation statements make a leased role a member of, as far as their text tells,
// sorted. Lists that cannot be read have none.
std::vector<std::string> granted_groups(const LeaseRole& role);

// SQL for what read_login_rights() reads. `groups`: of all roles that use this target.
std::string login_rights_sql(const std::vector<std::string>& groups);

// What is missing, each with the statement that gives it; empty: nothing. The rules differ by the
// server's version: until 15 CREATEROLE is over every role that is no superuser, since 16 only over
// those that the login has ADMIN OPTION on. kCorrupt: not what login_rights_sql() asks for.
Result<std::vector<std::string>> read_login_rights(const Rows& rows, int server_version);

}  // namespace curfew::engines::postgres
