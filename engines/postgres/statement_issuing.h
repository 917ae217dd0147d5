#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {

// Makes the planned lease for one statement, in one transaction: its executor, and a database role
// that can log in and may call the executor's function, and nothing else beside what PUBLIC may.
// Gives the role's name, its password, and the SQL that runs the statement. All or nothing; errors
// as in SecretEngine::apply. A conflict with others at the target is tried again while there is
// time.
Result<Issued> issue_statement(Pool& pool, VerifierStock& stock, const std::string& mount_accessor,
                               const DurableIntent& intent, const Clock& clock,
                               SteadyTime deadline);

}  // namespace curfew::engines::postgres
