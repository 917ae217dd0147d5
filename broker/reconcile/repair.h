#pragma once

#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "broker/lease/lease_claims.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/mount/mount_table.h"
#include "broker/reconcile/comparison.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// What may be repaired.
enum class Repair {
  kNone,
  kEnded,  // what belongs to a lease that this broker knows and has ended: certainly not in use
  kAll,    // also what it does not know, and live leases whose role is not as it was made
};

// "none", "ended", "all".
const char* repair_name(Repair repair);

// Puts a difference right by the ordinary ways: what must go becomes a lease in state revoking,
// which the reaper ends with a receipt; nothing is removed from here. Thread-safe.
class Repairer {
 public:
  // All references outlive this object.
  struct Parts {
    store::Database& database;
    const store::Barrier& barrier;
    LeaseStore& leases;
    LeaseClaims& claims;
    LeaseService& lease_service;
    MountTable& mounts;
    const Clock& clock;
    Log& log;
  };
  explicit Repairer(const Parts& parts) : parts_(parts) {}

  // What was done, for the report.
  std::string repair(const Difference& difference, Repair allowed);

 private:
  Status adopt(const Difference& difference);
  Status end_again(const std::string& lease_id);
  Status reset_expiry(const std::string& lease_id);

  const Parts parts_;
};

}  // namespace curfew::broker
