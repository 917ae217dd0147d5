#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/quarantine_log.h"

namespace curfew::engines::postgres {

// What was done in each database.
struct ClusterCleaned {
  Json databases = Json::object();  // by name: Cleaned::note(), or {"error": …}
  std::vector<std::string> warnings;
  std::optional<Error> error;  // the databases that could not be cleaned; the others were
};

// Cleans up behind the role of one lease in every database of the cluster that knows it, each in
// transactions of its own: one, or where there is much a row of them, so that what was done stays
// done when the time is up. Roles belong to the whole cluster, and a connection reaches one
// database only. Idempotent. Used by one thread; the references outlive it.
class ClusterCleaning {
 public:
  ClusterCleaning(Pool& pool, const std::string& lease_id, const LeaseHandle& handle,
                  QuarantineLog& quarantine, const Clock& clock, Log& log, SteadyTime deadline)
      : pool_(pool),
        lease_id_(lease_id),
        handle_(handle),
        quarantine_(quarantine),
        clock_(clock),
        log_(log),
        deadline_(deadline) {}

  // `elsewhere`: the databases beside the target's own, which comes last and has the shared objects
  // done with it: giving a database away may close it to the broker's login. One that does not
  // answer costs its share of the time and not that of the others.
  ClusterCleaned run(const std::vector<std::string>& elsewhere);

 private:
  Result<Cleaned> clean_home(Scope scope);
  Result<Cleaned> clean_elsewhere(const std::string& database, SteadyTime deadline);
  Result<Cleaned> clean(Connection& connection, Scope scope, SteadyTime deadline);
  Result<Cleaned> clean_batch(Transaction& transaction, const FoundRole& role, Scope scope);
  Status check_nothing_left(Transaction& transaction, const FoundRole& role) const;
  std::optional<Error> unreachable(const std::string& database, Error error);
  void note(const std::string& database, const Result<Cleaned>& result);

  Pool& pool_;
  const std::string& lease_id_;
  const LeaseHandle& handle_;
  QuarantineLog& quarantine_;
  const Clock& clock_;
  Log& log_;
  const SteadyTime deadline_;
  ClusterCleaned out_;
};

}  // namespace curfew::engines::postgres
