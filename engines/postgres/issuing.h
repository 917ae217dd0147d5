#pragma once

#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/roles.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {

// How long a lease of `role` may live. kInvalidArgument: the request's ttl cannot be read.
Result<Terms> terms_of(const IssueRequest& request, const LeaseRole& role);

// The role's own policy, or its target's; empty: the default.
std::string password_policy_of(const LeaseRole& role, const TargetConfig& config);

// What a lease of `role` will be: its database role's name, its times and its statements. Pure but
// for `random`. kRefused: the role has no creation statements. kInvalidArgument: the request's ttl,
// or the username_template, cannot be used.
Result<IssuePlan> plan_issue(const IssueRequest& request, const LeaseRole& role,
                             const TargetConfig& config, WallTime now, Random& random);

// Makes the planned role, in one transaction and one round trip, and gives its name and password.
// The target learns the password's verifier alone. All or nothing; errors as in
// SecretEngine::apply. A conflict with others at the target is tried again while there is time.
Result<Issued> issue(Pool& pool, VerifierStock& stock, const std::string& mount_accessor,
                     const DurableIntent& intent, const Clock& clock, SteadyTime deadline);

// Whether what failed is certainly undone and may work the next time: others changed the same rows,
// or the connection's idea of the server's clock was off.
bool worth_another_try(const Connection& connection, const Error& error);

// What is told of a lease that was not made.
Error creation_failed(Error error);

// Moves the role's VALID UNTIL, by the lease's own statements where it has some. kRefused: the
// target said no, for example because the role is gone.
Status renew(Pool& pool, const std::string& lease_id, const LeaseHandle& lease, WallTime expires_at,
             SteadyTime deadline);

}  // namespace curfew::engines::postgres
