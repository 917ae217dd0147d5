#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/lease/lease_store.h"
#include "broker/mount/mount_table.h"

namespace curfew::broker {

struct RevokerOptions {
  Millis attempt_timeout = Seconds{30};        // one attempt, at the target
  Millis retry_first = Seconds{1};             // doubled after every failure, with jitter
  Millis retry_max = std::chrono::minutes{5};  // and capped here, for ever
  Millis retention = std::chrono::days{90};    // how long an ended lease stays readable
};

// Takes credentials away: moves one lease from due to ended, or to its next attempt. Crash-safe:
// whatever is lost between two of its writes is done again, and every step at the target is
// idempotent. Thread-safe; a lease is worked on by one thread at a time.
class Revoker {
 public:
  Revoker(LeaseStore& leases, MountTable& mounts, const Clock& clock, Random& random, Log& log,
          RevokerOptions options);

  // One attempt. The lease as it is afterwards: ended, or due again with its error. A lease that
  // another thread is working on is waited for. An error means that the store failed, or that there
  // is no such lease.
  Result<Lease> attempt(const std::string& id);

  // Gives a lease up without proof: its receipt says what was left behind.
  Result<Lease> abandon(const std::string& id);

  bool is_in_flight(const std::string& id) const;

  // When to try again after `attempts` failures.
  Millis retry_delay(std::int64_t attempts);

 private:
  class Claim;
  Result<Lease> take_over(const std::string& id);
  Result<Lease> finish(const Lease& lease, engines::Receipt receipt);
  Result<Lease> postpone(const Lease& lease, const Error& error);

  LeaseStore& leases_;
  MountTable& mounts_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const RevokerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::set<std::string> in_flight_;  // guarded by mutex_
};

}  // namespace curfew::broker
