#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/leased_statement.h"

namespace curfew::engines::postgres {

// What a statement would set off, as far as its text, its plan and the catalog tell.
struct StatementEffects {
  std::vector<std::string> triggers;  // "audit on public.orders", also by way of foreign keys
  std::vector<std::string> warnings;  // what stays after a rollback and does no harm
};

// Looks for effects that a rollback does not take back: calls of functions that are known for them,
// in the statement or in functions and triggers that it calls; code in untrusted languages; foreign
// tables. `plan` is of EXPLAIN (FORMAT JSON, VERBOSE). Reads catalogs alone, over a connection that
// searches pg_catalog alone. kInvalidArgument: there is such an effect; the message names it.
//
// What functions do that are only named in data, or reached through operators and casts, is not
// seen.
Result<StatementEffects> statement_effects(Connection& connection, SteadyTime deadline,
                                           const LeasedStatement& statement, const Json& plan);

// The same of the statement's own text, before anything is asked.
Status refuse_lasting_calls(const LeasedStatement& statement);

// The names in front of an opening parenthesis in a text of SQL, in lower case; for tests.
std::set<std::string> called_names(std::string_view sql);

}  // namespace curfew::engines::postgres
