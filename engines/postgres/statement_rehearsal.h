#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/roles.h"

namespace curfew::engines::postgres {

// What people see who approve a lease, tried in one transaction that is rolled back: which rights
// its role gets, and of a lease for one statement what that does. The statement runs as its
// executor would, where its effects are taken back with the transaction and nowhere else (see
// statement_effects.h); in a SECURITY DEFINER function of an executor with a throw-away name, so
// that it cannot become the broker's login. Locks are waited for for two seconds, all of it takes
// ten at most; the statement holds what it locks for so long.
//
// An object; see also role_privileges.h:
//   "privileges", "member_of", "attributes"
// and where there is a statement
//   "rows"          changed, or given
//   "tables"        [{"table", "inserted", "updated", "deleted", "sample_before", "sample_after"}];
//                   samples are five rows at most, as the executor may see them, and left out
//                   where it may not, or where they are not found in a moment
//   "sample"        the first rows that were given, of a statement that gives some
//   "locks"         [{"relation", "mode"}]
//   "triggers"      ["audit on public.orders"]
//   "warnings"      texts
//   "milliseconds"  that it took
//   "plan"          PostgreSQL's, bounded
//
// It holds data of the target: for those who approve, not for who asked. For the same reason the
// target's message is passed on only where no data can be in it.
class StatementRehearsal {
 public:
  struct Surroundings {
    std::string mount_accessor;
    const Clock& clock;
    Random& random;
  };

  // The references outlive this.
  StatementRehearsal(Surroundings around, const LeaseRole& role, const TargetConfig& config)
      : around_(std::move(around)), role_(role), config_(config) {}

  // kInvalidArgument: the statement fails, or cannot be tried; says why. kRefused: the role cannot
  // be made. Others: it came to no end. kUnsupportedOperation: any of this where there is no
  // statement, for then nobody's trial failed.
  Result<Json> run(const IssueRequest& request, Pool& pool, SteadyTime deadline);

 private:
  Result<Json> attempt(const IssueRequest& request, Pool& pool, SteadyTime deadline);

  Surroundings around_;
  const LeaseRole& role_;
  const TargetConfig& config_;
};

}  // namespace curfew::engines::postgres
