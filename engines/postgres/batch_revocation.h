#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

// Revokes many leases of one target in few round trips. It takes only what is beyond doubt: a role
// that has the lease's oid, name and mark, whose lock nobody holds. All else is left to Revocation,
// which is slower and has an answer to everything.
//
// Locks are tried and never waited for, so that batches cannot block each other or a create. When
// the server refuses a batch, its halves are tried, down to single leases: one role that cannot be
// changed does not keep the others. Used by one thread; the references outlive it.
class BatchRevocation {
 public:
  BatchRevocation(std::shared_ptr<Pool> pool, const Clock& clock, SteadyTime deadline)
      : pool_(std::move(pool)), clock_(clock), deadline_(deadline) {}

  // See SecretEngine::lock_out(): NOLOGIN, no password, an expiry in the past, no memberships.
  Result<std::vector<std::optional<Json>>> lock_out(std::span<const LeaseRef> leases);

  // See SecretEngine::revoke_many(): drops the roles that are locked out and have nothing, and
  // looks over another connection that they are gone.
  Result<std::vector<std::optional<Removed>>> remove(std::span<const LeaseRef> leases);

 private:
  // One lease of the batch.
  struct Entry {
    std::string lease_id;
    LeaseHandle handle;
    std::int64_t lock = 0;
    std::size_t index = 0;               // in what was asked for
    std::optional<FoundRole> role = {};  // once found, under the lock
  };
  using Entries = std::span<Entry>;
  using Step = Status (BatchRevocation::*)(Connection&, std::vector<Entry*>&);

  std::vector<Entry> entries_of(std::span<const LeaseRef> leases) const;
  Status in_halves(Connection& connection, Entries entries, Step step);
  Status in_one(Connection& connection, Entries entries, Step step);
  Result<std::vector<Entry*>> lock_and_find(Connection& connection, Entries entries);
  Status alter_roles(Connection& connection, std::vector<Entry*>& found);
  Status drop_roles(Connection& connection, std::vector<Entry*>& found);
  Status verify(Connection& connection, const std::vector<Entry*>& dropped);

  const std::shared_ptr<Pool> pool_;
  const Clock& clock_;
  const SteadyTime deadline_;
  std::vector<std::optional<Json>> locked_out_;
  std::vector<Entry*> dropped_;
  std::vector<std::optional<Removed>> removed_;
};

}  // namespace curfew::engines::postgres
