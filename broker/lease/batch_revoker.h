#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/lease_claims.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/lease_meters.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/revoker.h"
#include "broker/mount/mount_table.h"

namespace curfew::broker {

// Takes back many leases of one target together: few steps at the target, and one transaction here
// for each of them. What it does not take is for Revoker::attempt(). Crash-safe as that is: what
// was done at the target and not written down is done again. Thread-safe.
class BatchRevoker {
 public:
  // All references outlive this object.
  BatchRevoker(LeaseStore& leases, LeaseClaims& claims, LeaseEnds& ends, LeaseMeters& meters,
               MountTable& mounts, const Clock& clock, Log& log, const RevokerOptions& options)
      : leases_(leases),
        claims_(claims),
        ends_(ends),
        meters_(meters),
        mounts_(mounts),
        clock_(clock),
        log_(log),
        options_(options) {}

  // Locks out the credentials of due leases of one mount and resource. Gives the ids of those that
  // give no access to anybody who is not in already, durably recorded.
  std::vector<std::string> lock_out(const std::vector<std::string>& ids);

  // Ends those of the locked out leases that leave nothing behind. Gives their ids.
  std::vector<std::string> revoke(const std::vector<std::string>& ids);

 private:
  std::vector<Lease> read(const LeaseClaims::Claimed& claimed, bool locked_out) const;
  static std::vector<engines::LeaseRef> refs_of(const std::vector<Lease>& leases);
  std::vector<std::string> failed(std::string_view what, const Error& error) const;

  LeaseStore& leases_;
  LeaseClaims& claims_;
  LeaseEnds& ends_;
  LeaseMeters& meters_;
  MountTable& mounts_;
  const Clock& clock_;
  Log& log_;
  const RevokerOptions options_;
};

}  // namespace curfew::broker
