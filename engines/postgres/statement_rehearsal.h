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

// Runs the statement that a lease is asked for, as its executor would, in one transaction that is
// rolled back, and tells what it did. It runs where its effects are taken back with the transaction
// and nowhere else (see statement_effects.h); in a SECURITY DEFINER function of an executor with a
// throw-away name, so that it cannot become the broker's login. Locks are waited for for two
// seconds, all of it takes ten at most; the statement holds what it locks for so long.
//
// An object:
//   "rows"          changed, or given
//   "tables"        [{"table", "inserted", "updated", "deleted", "sample_before", "sample_after"}];
//                   samples are five rows at most, as the executor may see them, and left out
//                   where it may not, or where they are not found in a moment
//   "sample"        the first rows that were given, as far as there are any
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

  // kUnsupportedOperation: the request has no statement. kInvalidArgument: it fails, or cannot be
  // tried; says why. kRefused: the role cannot be made. Others: it came to no end.
  Result<Json> run(const IssueRequest& request, Pool& pool, SteadyTime deadline);

 private:
  Surroundings around_;
  const LeaseRole& role_;
  const TargetConfig& config_;
};

}  // namespace curfew::engines::postgres
