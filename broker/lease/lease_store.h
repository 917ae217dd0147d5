#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/lease.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// Which leases. Empty members do not restrict.
struct LeaseFilter {
  std::string id_prefix = {};
  std::string mount = {};
  std::string resource = {};  // found through an index where the mount is given too
  std::string role = {};
  std::string token = {};
  std::string agent = {};  // see agent_of()
  std::string session = {};
  std::string trace = {};
  std::string request_key = {};          // see RequestKey
  std::string name = {};                 // of what the lease made: a database role
  std::optional<LeaseState> state = {};  // default: all live ones
  bool also_ended = false;               // live and ended ones, where no state is given
  bool failing = false;                  // locked out but not clean, or tried in vain
  std::optional<WallTime> issued_until = {};
};

// The leases of one namespace in the store. Every column that decides something is bound to the
// sealed part of its row, so an edited row does not open. Thread-safe. A mutating call is durable
// when it returns success and has had no effect when it fails.
class LeaseStore {
 public:
  LeaseStore(store::Database& database, const store::Barrier& barrier, Log& log);

  // Makes the intent durable; its state must be kPending. `guard` is asked inside the same
  // transaction whether the lease may still be born (its token and its mount may have ended
  // meanwhile); its error is returned.
  Result<engines::DurableIntent> open(const Lease& lease, engines::IssuePlan plan,
                                      const std::function<Status(store::Writer&)>& guard);

  // Applies `change` to the row inside one transaction. `change` sees the current lease; the state
  // it leaves must be one that may follow (kConflict otherwise). kNotFound: no such lease.
  Result<Lease> change(std::string_view id, const std::function<Status(Lease&)>& change);

  // The same for many rows, a few in each transaction, so that other writers get their turn. A row
  // for which `change` fails, that is not there or does not open is left as it is. Gives those that
  // were changed; after an error some may have been.
  Result<std::vector<Lease>> change_all(std::span<const std::string> ids,
                                        const std::function<Status(Lease&)>& change);

  Result<std::optional<Lease>> get(std::string_view id) const;

  enum class Kind { kLive, kEnded };
  // What is due, with next_action_at <= now: live leases, or ended ones whose retention is over;
  // the longest overdue first, behind `after`. Only the plain columns, not verified yet.
  struct Due {
    WallTime at = {};
    std::string id = {};
    std::string group = {};     // mount and resource: what they share when a target hangs
    bool ended = false;         // only the row is left to remove
    std::int64_t attempts = 0;  // of revocation; 0: not locked out yet
  };
  Result<std::vector<Due>> due(Kind kind, WallTime now, const Due& after, std::size_t limit) const;

  // When the next lease falls due behind `after`; nullopt: none ever.
  Result<std::optional<WallTime>> next_due(WallTime after) const;

  // In the order of ids, starting behind `after`. May give fewer than `limit` where rows were
  // passed over; only an empty answer means the end.
  Result<std::vector<Lease>> find(const LeaseFilter& filter, std::string_view after,
                                  std::size_t limit) const;
  Result<std::int64_t> count(const LeaseFilter& filter) const;

  // How many match, by what they have in common.
  struct Tally {
    std::string mount = {};  // accessor
    std::string role = {};
    std::string resource = {};
    LeaseState state = LeaseState::kPending;
    std::int64_t count = 0;
  };
  Result<std::vector<Tally>> tally(const LeaseFilter& filter) const;

  // The ids of the namespaces, this one or others, in which live leases hang on a token: those that
  // a token of a namespace above was given.
  Result<std::vector<std::string>> namespaces_of(std::string_view token) const;

  // Those of `ids` that there are.
  Result<std::vector<Lease>> get_all(const std::vector<std::string>& ids) const;

  // How many match, by mount accessor.
  Result<std::map<std::string, std::int64_t>> count_by_mount(const LeaseFilter& filter) const;

  // The path elements below `prefix` ("" or ending in '/') that lead to live leases; folders end in
  // '/'.
  Result<std::vector<std::string>> list(std::string_view prefix, std::size_t limit) const;

  // Makes live leases that match due at `now` (active and pending ones start revoking), a bounded
  // number per transaction; returns how many were touched. Ones that are revoking already are
  // retried at once.
  Result<std::int64_t> end_all(const LeaseFilter& filter, WallTime now);
  Result<std::int64_t> end_all(const std::vector<std::string>& ids, WallTime now);
  // The same of few, inside a transaction of the caller's.
  Result<std::int64_t> end_all(store::Writer& writer, std::span<const std::string> ids,
                               WallTime now) const;

  // Removes an ended lease. A live one is kConflict.
  Status remove(std::string_view id);
  // Removes those of many that have ended, in one transaction.
  Status remove_all(std::span<const std::string> ids);

 private:
  // Agent, session and trace of live rows that are older than these columns, before somebody looks
  // for them. Costs one look into an index where there are none.
  Status label_old_rows() const;
  Status prepare(const LeaseFilter& filter) const;

  // The leases of those rows that open; the others are logged and passed over, so that one damaged
  // row does not hold up the rest.
  Result<std::vector<Lease>> decode_all(const std::vector<store::Row>& rows) const;

  store::Database& database_;
  const store::Barrier& barrier_;
  Log& log_;
  mutable std::atomic<bool> labelled_{false};  // no row is older than the columns
};

}  // namespace curfew::broker
