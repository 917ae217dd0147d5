#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "engines/inventory.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

// One state of a store, as it was written down in a target.
struct MarkerValue {
  std::int64_t epoch = 0;
  std::string nonce;
  bool operator==(const MarkerValue&) const = default;
};

// What the store remembers of a target's marker.
struct StoredMarker {
  std::optional<MarkerValue> current = {};  // was in the target
  std::optional<MarkerValue> pending = {};  // is in the target, or was about to be
  std::optional<Inventory::Observing> observing = {};

  Json to_json() const;
  static StoredMarker from_json(const Json& stored);
};

// Why this store is not in charge of a target whose marker says `found`; nullopt: it is.
//
// A marker that is missing, or older than the store, is no reason: the target was replaced or went
// back in time, and the store still knows best. One that is newer, or another of the same age,
// was written by somebody who has this store's past: it was restored, or copied.
std::optional<std::string> not_in_charge(const StoredMarker& stored,
                                         const std::optional<MarkerValue>& found);

// The role whose comment is the marker of one target: "curfew_marker_<16 hex digits>".
std::string marker_role(std::string_view mount_accessor, std::string_view target);

// Finds out that a store was restored from an older copy, or that a copy of it is at work, before
// anything is changed in a target: each target holds a marker, which is renewed from time to time
// with what only this store knows. The next value is durable here before it is written there, by
// compare-and-set in one transaction; so of two servers with the same past one wins, and the other
// only observes from then on. Thread-safe; crash-safe.
class Markers {
 public:
  using PoolOf = std::function<Result<std::shared_ptr<Pool>>(const std::string& target)>;
  struct Parts {
    std::string mount_accessor;
    MountStorage& storage;
    const Clock& clock;
    Random& random;
    Log& log;
    PoolOf pool_of;
    Millis interval;  // between renewals; what is older than two of them is looked at again
  };
  explicit Markers(Parts parts) : parts_(std::move(parts)) {}

  // Before something is changed in a target: success if this store is in charge of it, as far as
  // is known from not long ago. kUnavailable: it is observed, or could not be looked at.
  Status check(const std::string& target, SteadyTime deadline);

  // The same before an access is taken away. What was found since the start still counts when a new
  // look fails: whoever keeps the broker from looking must not keep an access by it. Fails only
  // where the target is observed, or was not looked at since the start and cannot be.
  Status check_to_revoke(const std::string& target, SteadyTime deadline);

  // Looks at the marker and, if this store is in charge, renews it.
  Status renew(const std::string& target, SteadyTime deadline);

  // Takes charge whatever the marker says.
  Status take_charge(const std::string& target, SteadyTime deadline);

  // From the store alone.
  std::optional<Inventory::Observing> observing(const std::string& target) const;
  // As an error, for what must not be done meanwhile.
  Status refusal(const std::string& target) const;

  Millis interval() const { return parts_.interval; }

 private:
  class Turn;
  enum class Mode { kRenew, kTakeCharge };
  struct Known {
    bool busy = false;                          // somebody is looking
    bool judged = false;                        // who is in charge was found out since the start
    std::optional<SteadyTime> checked_at = {};  // when this server was, or the target observed
    std::optional<SteadyTime> failed_at = {};   // the last look before a revocation that failed
    std::optional<Inventory::Observing> observing = {};
    bool warned = false;
  };

  bool is_fresh(const std::string& target) const;
  bool is_judged(const std::string& target) const;
  bool has_failed_lately(const std::string& target) const;
  Status look(const std::string& target, Mode mode, SteadyTime deadline);
  Status judge_unlocked(Connection& connection, const std::string& target, SteadyTime deadline);
  Status write(Connection& connection, const std::string& target, bool exists,
               const StoredMarker& stored, const MarkerValue& next, SteadyTime deadline);
  Status observe(const std::string& target, StoredMarker& stored, const std::string& reason);
  void remember(const std::string& target, const StoredMarker& stored);
  Status stop_observing(const std::string& target, StoredMarker& stored);
  void warn_unprotected(const std::string& target, const Error& error);
  Result<StoredMarker> load(const std::string& target) const;

  const Parts parts_;
  mutable std::mutex mutex_;
  std::condition_variable turned_;
  std::map<std::string, Known> known_;  // guarded by mutex_
};

}  // namespace curfew::engines::postgres
