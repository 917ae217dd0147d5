#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

class LeaseTransaction;

// Takes the role of one lease away, in four phases that each are idempotent and a transaction of
// their own under the lease's lock:
//
//   lock out    NOLOGIN, no password, an expiry in the past, no memberships (nor members)
//   terminate   its sessions are ended, and looked for again until there are none
//   clean       the operator's statements, then what is left by clean_database()
//   drop        DROP ROLE; then a look over another connection that nothing is there any more
//
// Phases that the record has as done are not repeated, unless the role can log in again or is there
// after its drop. The lock makes a create that is under way finish first. Errors leave the lease to
// be revoked again later. Used by one thread; the references outlive it.
class Revocation {
 public:
  Revocation(std::shared_ptr<Pool> pool, const std::string& lease_id, const LeaseHandle& handle,
             PhaseRecord& phases, const Clock& clock, Log& log, SteadyTime deadline);

  // kRefused: the target forbids something, the message says what to grant or do; kUnavailable,
  // kInDoubt, kOverloaded: try again later.
  Result<Receipt> run();

 private:
  Status lock_out();
  Result<Json> lock_out_role(LeaseTransaction& transaction, const FoundRole& role);
  Status terminate();
  Result<std::int64_t> terminate_until_none(Connection& connection);
  Status clean();
  Result<Json> run_operators_statements(Connection& connection);
  Status drop();
  Result<Json> drop_role(LeaseTransaction& transaction, const FoundRole& role);
  Result<Receipt> verify();

  bool may_skip(Phase phase) const { return phases_.is_done(phase) && !again_; }
  Status done(Phase phase, Json note);
  void warn(const std::vector<std::string>& warnings);

  const std::shared_ptr<Pool> pool_;
  const std::string& lease_id_;
  LeaseHandle handle_;  // learns the oid, and the name where somebody changed it
  PhaseRecord& phases_;
  const Clock& clock_;
  Log& log_;
  const SteadyTime deadline_;

  bool absent_ = false;                // found under the lock in this run
  bool again_ = false;                 // all phases, whatever the record says
  std::uint64_t last_connection_ = 0;  // what the drop ran over
  Json warnings_ = Json::array();
};

}  // namespace curfew::engines::postgres
