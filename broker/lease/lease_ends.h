#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/audit/audit_broker.h"
#include "broker/lease/lease_archive.h"
#include "broker/lease/lease_meters.h"
#include "broker/lease/lease_store.h"

namespace curfew::broker {

struct LeaseEndOptions {
  Millis retention = std::chrono::days{90};  // how long an ended lease stays readable
  std::string archive_file;                  // where it goes afterwards; empty: it is dropped
};

// What happens to a lease once it is over: its receipt goes into the audit log, it stays readable
// for its retention, then it goes to the archive or away. Thread-safe.
class LeaseEnds {
 public:
  // All references outlive this object.
  LeaseEnds(LeaseStore& leases, AuditBroker& audit, LeaseMeters& meters, const Clock& clock,
            Log& log, LeaseEndOptions options);

  // Ends the lease, in memory: kRevoked with a proof of the engine's, or kAbandoned with what was
  // left behind, and writes its receipt to the audit log. Where no device takes it the lease is
  // due soon for another try: that access was taken away is not undone by it. Call before the row
  // is written; a crash in between makes a second line and never none.
  void end(Lease& lease, LeaseState state, Json checked, Json warnings);

  // Copies what end() made of `ended` to the row as it is in the store.
  static void copy(const Lease& ended, Lease& stored);

  // Ended leases that are due: their receipts are audited where that is still to be done, or they
  // are archived and removed. The error is of the first thing that failed; the rest is done.
  // Gives those whose rows cannot be read.
  Result<std::vector<std::string>> retire(const std::vector<std::string>& ids);

 private:
  bool audit(const Lease& lease);
  Status audit_again(const std::vector<std::string>& ids);

  LeaseStore& leases_;
  AuditBroker& audit_;
  LeaseMeters& meters_;
  const Clock& clock_;
  Log& log_;
  const LeaseEndOptions options_;
  std::optional<LeaseArchive> archive_;
};

}  // namespace curfew::broker
