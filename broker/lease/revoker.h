#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/lease/lease_claims.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/lease_meters.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/target_breakers.h"
#include "broker/mount/mount_table.h"

namespace curfew::broker {

struct RevokerOptions {
  Millis attempt_timeout = Seconds{30};        // one attempt, at the target
  Millis retry_first = Seconds{1};             // doubled after every failure, with jitter
  Millis retry_max = std::chrono::minutes{5};  // and capped here, for ever
  // After so many attempts a lease is tried at the longest interval and reported as an error each
  // time; 0: no such bound. It is never forgotten.
  std::int64_t max_attempts = 0;
};

// Takes credentials away: moves one lease from due to ended, or to its next attempt. Crash-safe:
// whatever is lost between two of its writes is done again, and every step at the target is
// idempotent. Thread-safe; a lease is worked on by one thread at a time.
class Revoker {
 public:
  Revoker(LeaseStore& leases, LeaseClaims& claims, TargetBreakers& breakers, LeaseEnds& ends,
          LeaseMeters& meters, MountTable& mounts, const Clock& clock, Random& random, Log& log,
          RevokerOptions options);

  // One attempt. The lease as it is afterwards: ended, or due again with its error. A lease that
  // another thread is working on is waited for. An error means that the store failed, or that there
  // is no such lease.
  Result<Lease> attempt(const std::string& id);

  // Gives a lease up without proof: its receipt says what was left behind.
  Result<Lease> abandon(const std::string& id);

  // Leaves leases of a target that cannot be reached until it is asked again; their error says so.
  // Gives those whose rows could not be changed.
  std::vector<std::string> put_off(std::vector<std::string> ids,
                                   const TargetBreakers::Open& target);

  // When to try again after `attempts` failures.
  Millis retry_delay(std::int64_t attempts);

 private:
  Result<Lease> take_over(const std::string& id);
  Result<Lease> finish(const Lease& lease, engines::Receipt receipt);
  Result<Lease> postpone(const Lease& lease, const Error& error);
  void learn(const Lease& lease, const Error& error);
  void target_answered(const Lease& lease);

  LeaseStore& leases_;
  LeaseClaims& claims_;
  TargetBreakers& breakers_;
  LeaseEnds& ends_;
  LeaseMeters& meters_;
  MountTable& mounts_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const RevokerOptions options_;
};

}  // namespace curfew::broker
