#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/scope.h"
#include "broker/token/token_store.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// What an operator asks for: end everything in a scope.
struct EndRequest {
  LeaseScope scope;  // with its ids
  std::string reason;
  bool lock_down = true;  // nothing new in the scope before somebody lifts it
  std::string by;         // agent_of() whoever asks
  std::string by_accessor;
};

// How far the leases of an operation are.
struct EndTotals {
  std::int64_t found = 0;
  std::int64_t locked_out = 0;  // give no access any more, the ended ones among them
  std::int64_t ended = 0;
  std::int64_t proven = 0;      // of those: with a receipt that proves it
  std::int64_t given_up = 0;    // of those: by revoke-force, without proof
  std::int64_t never_made = 0;  // of those: the credential certainly never existed
  std::int64_t failing = 0;     // tried in vain so far; tried again
  std::int64_t warnings = 0;    // on the receipts

  bool operator==(const EndTotals&) const = default;
};

// Ends all leases of a scope at once and remembers what became of them. One that began goes on
// after a crash. Thread-safe.
//
// An operation is a record (scope, who, why, how far) and pages of lease ids beside it: first all
// ids are written down, then a token's tree ends, then all those leases are made due. The reaper
// does the rest; how far it came is read from the leases.
class EndOperations {
 public:
  // The operations of a namespace below. While it is held the namespace stays in memory.
  struct Below {
    std::shared_ptr<EndOperations> operations;
    std::string path;  // as seen from this namespace: "team-a/"
    std::function<std::string(const std::string& accessor)> mount_path;  // within it

    // The path of a mount of it, as seen from this namespace.
    std::string seen(const std::string& accessor) const { return path + mount_path(accessor); }
  };
  struct Dependencies {
    store::Database& database;
    const store::Records& records;
    LeaseStore& leases;
    TokenStore& tokens;
    Lockdowns& lockdowns;
    const Clock& clock;
    Random& random;
    Log& log;
    std::function<void()> wake_reaper;
    Millis lease_retention;  // rows of ended leases stay at least so long
    // Those of the namespaces below, where an operation goes on under the same id; empty: none.
    std::function<std::vector<Below>()> below = {};
  };
  explicit EndOperations(Dependencies dependencies);
  ~EndOperations();  // stops

  // Takes operations up in a thread of its own, also those that a crash interrupted.
  void start();
  void request_stop();
  void stop();

  // Takes up what is open in the calling thread, and drops what is long over. For tests, without
  // start().
  Status run();

  // What begin() would end, without ending it: how many by mount, role, target and state, and the
  // first `limit` of them.
  struct Preview {
    std::int64_t found = 0;
    std::vector<LeaseStore::Tally> tallies;
    std::vector<Lease> leases;
    std::int64_t tokens = 0;  // that would end too
  };
  Result<Preview> preview(const LeaseScope& scope, std::size_t limit) const;

  // Durable when it returns the id of the operation; the lockdown has the same id, and is in force
  // then, in the namespaces below too. The work itself follows, there as well unless the scope
  // names a mount, which is this namespace's alone.
  Result<std::string> begin(const EndRequest& request);

  // An operation as it is now.
  struct Progress {
    std::string id;
    EndRequest request;
    WallTime started_at;
    bool looking = false;     // for the leases: `found` is not final
    std::int64_t tokens = 0;  // that ended with it
    EndTotals totals;
    std::vector<Lease> leases;            // those that fail first, then those not ended yet
    std::optional<WallTime> finished_at;  // all have ended
  };
  // nullopt: no such operation, or one from above that found nothing here. `limit`: of the leases.
  Result<std::optional<Progress>> progress(const std::string& id, std::size_t limit) const;

  // The ids of those that progress() tells of, the oldest first.
  Result<std::vector<std::string>> list() const;

 private:
  struct Operation;
  struct Page;
  void work();
  Status take_up(const std::string& id);
  Status adopt(const Operation& operation);
  Status spread(Operation& operation);
  Result<Preview> preview_of(const LeaseScope& scope, const std::vector<std::string>& tokens,
                             std::size_t limit) const;
  Result<std::vector<std::string>> stored() const;
  Result<Progress> progress_of(const Operation& operation, std::size_t limit) const;
  static Status add(const Below& place, const std::string& id, std::size_t limit,
                    Progress& progress);
  std::vector<Below> below_of(const LeaseScope& scope) const;
  Status collect(Operation& operation);
  Status end_leases(Operation& operation);
  Status remember_ends(const Operation& operation, std::size_t number);
  Status settle(Operation& operation);
  Status forget(const std::string& id);
  Result<std::optional<Operation>> load(const std::string& id) const;
  Status save(const Operation& operation);
  Result<Page> page_of(const std::string& id, std::size_t page) const;
  Result<EndTotals> outcome_of_missing(const Operation& operation, const std::string& id) const;
  Status measure_missing(const Operation& operation, const Page& page,
                         const std::vector<Lease>& leases, EndTotals& totals) const;
  Status measure(const Operation& operation, std::size_t limit, Progress& progress) const;

  const Dependencies parts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  bool woken_ = false;     // guarded by mutex_
  std::thread thread_;
};

}  // namespace curfew::broker
