#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/statement_lint.h"

// What a database role can do, from the target's catalog and not from the text that made it.
namespace curfew::engines::postgres {

// SQL for the functions with SECURITY DEFINER that there are: one row, one text, for
// role_rights_sql().
std::string definer_functions_sql();

// SQL for what read_role_rights() reads, about the role with this oid, in the transaction that made
// it. `expires_at`: when its password should stop working. `definers_before`: what
// definer_functions_sql() gave before the role was made.
std::string role_rights_sql(std::uint32_t oid, WallTime expires_at,
                            const std::string& definers_before, int server_version);

// What of it will hurt. `login`: the broker's own. kCorrupt: the rows are not what
// role_rights_sql() asks for.
Result<std::vector<Finding>> read_role_rights(const Rows& rows, const std::string& login,
                                              int server_version);

// How many roles' entries the access list of one table holds, whatever they are: as many as fit
// into a row of pg_class uncompressed.
int access_list_entries_sure(int server_version);

}  // namespace curfew::engines::postgres
