#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/cluster_cleaning.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

class LeaseTransaction;

// Takes the role of one lease away, in four phases that each are idempotent and transactions of
// their own:
//
//   lock out    its sessions are told to end, so that none holds the role's row; NOLOGIN, no
//               password, an expiry in the past, no memberships (nor members)
//   terminate   sessions are ended and prepared transactions rolled back, until there are none
//   clean       of a lease for one statement, the executor in these same phases; the operator's
//               statements, then what is left by ClusterCleaning
//   drop        DROP ROLE; then a look over another connection that nothing is there any more
//
// Phases that the record has as done are not repeated, unless the role can log in again or is there
// after its drop. While the role's oid is not known the lease's lock makes a create that is under
// way finish first; after that no advisory lock is taken that others could hold. Errors leave the
// lease to be revoked again later. Used by one thread; the references outlive it.
class Revocation {
 public:
  Revocation(std::shared_ptr<Pool> pool, const std::string& lease_id, const LeaseHandle& handle,
             PhaseRecord& phases, QuarantineLog& quarantine, const Clock& clock, Log& log,
             SteadyTime deadline);

  // kRefused: the target forbids something, the message says what to grant or do; kUnavailable,
  // kInDoubt, kOverloaded: try again later.
  Result<Receipt> run();

 private:
  Result<std::optional<FoundRole>> find_and_end_sessions(LeaseTransaction& transaction);
  Result<Rows> change(LeaseTransaction& transaction, std::optional<FoundRole>& role,
                      const std::function<std::string(const FoundRole&)>& sql);
  Status lock_out();
  Result<Json> lock_out_role(LeaseTransaction& transaction, const FoundRole& role);
  Result<Json> lock_out_step_by_step(LeaseTransaction& transaction, const FoundRole& role);
  Status terminate();
  Result<std::int64_t> terminate_until_none(Connection& connection, std::int64_t ended);
  Status finish_prepared(Connection& connection);
  Status roll_back_prepared(Connection& connection, const PreparedTransaction& prepared);
  Status remove_executor();
  Status clean();
  Status drop_own_schema();
  Result<Json> run_operators_statements();
  Status look_again(Json& note);
  Status clean_cluster(std::vector<std::string> elsewhere, Json& note);
  Status drop();
  Result<bool> drop_in_one_go(Json& note);
  Result<bool> drop_or_clean(Json& note);
  Json dropped_note(const FoundRole& role) const;
  Result<Receipt> verify();

  Status remember(const Rows& rows);
  void remember(const std::optional<FoundRole>& role);
  std::string lock() const;
  std::string end_sessions() const;
  bool may_skip(Phase phase) const { return phases_.is_done(phase) && !again_; }
  Status done(Phase phase, Json note);
  void warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  const std::shared_ptr<Pool> pool_;
  const std::string& lease_id_;
  LeaseHandle handle_;  // learns the oid, and the name where somebody changed it
  const bool was_active_;
  PhaseRecord& phases_;
  QuarantineLog& quarantine_;
  const Clock& clock_;
  Log& log_;
  const SteadyTime deadline_;

  // What the last look under the lock found, where nothing was done since that could change it.
  struct Look {
    std::optional<FoundRole> role;
    std::int64_t sessions_told_to_end = 0;
    std::vector<PreparedTransaction> prepared = {};
  };
  std::optional<Look> look_;
  std::int64_t most_sessions_ = 0;     // that one look told to end
  bool absent_ = false;                // when this run began
  bool again_ = false;                 // all phases, whatever the record says
  std::uint64_t last_connection_ = 0;  // what the drop ran over
  Json executor_ = nullptr;            // what was checked of it, where there is one
  Json warnings_ = Json::array();
};

}  // namespace curfew::engines::postgres
