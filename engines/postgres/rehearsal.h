#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/roles.h"
#include "engines/postgres/statement_lint.h"

namespace curfew::engines::postgres {

// Tries a role's statements at its target before they are stored: a lease's whole life, for a
// database role with a throw-away name that bears the broker's mark.
//
// It happens in one transaction that is rolled back, under the locks that issuing takes:
//   create → what the role can do, from the catalog → renew → rollback_statements, undone
//   → lock out → revoke → clean → drop
// Statements that work through other sessions (dblink) cannot see a role that is not committed.
// Where there are such the role is really made, unless what it can do is unwanted, and is renewed
// and revoked in the ordinary way; rollback_statements are left out. A crash in between leaves a
// role behind that bears the mark and expires by itself, as a lease's own would.
class Rehearsal {
 public:
  // Takes away the role of a lease that no store knows of, in the ordinary way.
  using Revoke = std::function<Result<Receipt>(const std::string& lease_id, const Handle& handle,
                                               PhaseRecord& phases, const CallContext& context)>;
  struct Surroundings {
    std::string mount_accessor;
    const Clock& clock;
    Random& random;
    Revoke revoke;
  };

  // The references outlive this, which belongs to one thread.
  Rehearsal(Surroundings around, const LeaseRole& role, const TargetConfig& config);

  // What the catalog tells of the role that was made. `unwanted` judges that, before anything is
  // committed; its error is passed on. kInvalidArgument: PostgreSQL refused a statement; the
  // message says which and why. Others: it came to no end, and nothing is known.
  Result<std::vector<Finding>> run(
      const std::shared_ptr<Pool>& pool, SteadyTime deadline,
      const std::function<Status(const std::vector<Finding>&)>& unwanted);

 private:
  Surroundings around_;
  const LeaseRole& role_;
  const TargetConfig& config_;
};

}  // namespace curfew::engines::postgres
