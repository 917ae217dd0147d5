#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/quota/quota.h"
#include "broker/quota/rate_limiter.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The namespaces around the one that quotas belong to.
class Quotas;
struct QuotaNamespaces {
  Quotas* above = nullptr;  // those of the namespace above, which bind this one too; may be null
  std::string name = {};    // of this one as the one above sees it: "team-a/"
  // The ids of the namespace at a path, as seen from this one, and of all below it; empty: no
  // namespace is there. "" is this one. Where it is empty there is none below this one.
  std::function<std::vector<std::string>(const std::string& path)> ids = {};
};

// The quotas of one namespace: kept in the store, held in memory, asked for every request and every
// lease. Thread-safe. A change is durable when its call returns success, and counts from then on.
class Quotas {
 public:
  Quotas(store::Database& database, const store::Records& records, const Clock& clock, Log& log,
         QuotaNamespaces namespaces = {});

  // Reads all of them. One that was altered in the store is logged, and no lease is issued until it
  // is written again or removed: the limit that it set is not known any more.
  Status load();
  void unload();

  std::vector<std::string> names(QuotaKind kind) const;  // sorted
  std::optional<Quota> find(QuotaKind kind, const std::string& name) const;
  // Makes or replaces. kInvalidArgument: another quota has the same scope.
  Status put(Quota quota);
  // Absent is success.
  Status remove(QuotaKind kind, const std::string& name);
  // The quotas of a mount that was moved go with it.
  Status follow_mount(const std::string& from, const std::string& to);

  QuotaConfig config() const;
  Status set_config(const QuotaConfig& config);

  // Counts a request. nullopt: no rate limit applies to it (none ever to sys/quotas/).
  std::optional<RateVerdict> count_request(const QuotaSubject& subject);

  // Whether one more lease may be born. Asked inside the transaction that writes the lease down, so
  // that the count is exact however many ask at once. kQuotaExceeded: no.
  Status check_lease(const store::Reader& reader, const QuotaSubject& subject) const;

  // How many leases count against a lease-count quota now: all that are not proven gone. Where
  // callers are counted apart, of the one with the most. `mount_accessor` is that of the mount at
  // the quota's path, empty where that is none.
  Result<std::int64_t> live_leases(const Quota& quota, const std::string& mount_accessor) const;

  // Since the start.
  std::uint64_t refused_requests() const { return refused_requests_.load(); }
  std::uint64_t refused_leases() const { return refused_leases_.load(); }

 private:
  struct Known {
    std::vector<Quota> rate_limits;   // the most specific first
    std::vector<Quota> lease_counts;  // likewise
    std::vector<std::string> damaged;
    QuotaConfig config;

    std::vector<Quota>& of(QuotaKind kind);
    const std::vector<Quota>& of(QuotaKind kind) const;
    void set(Quota quota);
    void erase(QuotaKind kind, const std::string& name);
  };
  // Where a subject's namespace is seen from: this one, or one above it.
  enum class View { kOwn, kFromAbove };
  std::optional<RateVerdict> count(const QuotaSubject& subject, View view);
  Status check(const store::Reader& reader, const QuotaSubject& subject, View view) const;
  QuotaSubject seen_from_above(QuotaSubject subject) const;
  struct Counted;
  Counted counted(const Quota& quota, const std::string& mount_accessor) const;
  std::shared_ptr<const Known> known() const;
  void publish(Known known);
  Status load_kind(const store::Reader& reader, QuotaKind kind, Known& known);

  store::Database& database_;
  const store::Records& records_;
  Log& log_;
  const QuotaNamespaces namespaces_;
  RateLimiter limiter_;
  std::mutex changing_;         // one change at a time
  std::uint64_t revision_ = 0;  // guarded by changing_
  mutable std::mutex mutex_;
  std::shared_ptr<const Known> known_;  // guarded by mutex_
  std::atomic<std::uint64_t> refused_requests_{0};
  mutable std::atomic<std::uint64_t> refused_leases_{0};
};

}  // namespace curfew::broker
