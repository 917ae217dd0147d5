#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/auth/auth_method.h"
#include "broker/broker_options.h"
#include "broker/clock_guard.h"
#include "broker/lease/end_operation.h"
#include "broker/lifecycle.h"
#include "broker/metric.h"
#include "broker/request.h"
#include "broker/tenant/namespace_entry.h"
#include "broker/tenant/namespaces.h"
#include "engines/registry.h"
#include "store/keyring.h"
#include "store/sql.h"

namespace curfew::broker {

class Tenants;

// Everything that one namespace has: its keys and rows, tokens, policies, identities, mounts,
// leases, quotas, lockdowns and audit devices, the threads that work for it, and the pipeline that
// its requests go through. Nothing in it can reach another namespace's rows: each part was given
// this namespace's keys, and with them its name. What crosses the border is wired in tenant.cc
// alone: tokens of namespaces above, their audit devices, quotas and lockdowns.
//
// Thread-safe, but for bring_up(), stop_work() and take_down(), which are one thread's at a time.
class Tenant {
 public:
  // What all namespaces share. All references outlive the tenants.
  struct Shared {
    store::Database& database;
    const engines::Registry& engines;
    const AuthRegistry& auth_methods;
    Lifecycle& lifecycle;
    ClockGuard& guard;  // the clock that everything goes by
    Random& random;
    Log& log;
    const BrokerOptions& options;
    std::function<Status()> housekeeping;  // of the broker itself, every minute
  };

  // `keyring` is the namespace's, unlocked before bring_up(). `above`: the namespace above, which
  // outlives this one; nullptr for the first. `tenants` outlives it too.
  Tenant(const Shared& shared, const NamespaceEntry& entry, std::shared_ptr<store::Keyring> keyring,
         Tenant* above, Tenants& tenants);
  ~Tenant();
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  const std::string& id() const;
  const std::string& path() const;

  // Reads what is stored and begins to work. When it fails, take_down() cleans up.
  Status bring_up();
  // The keys are about to go: begins nothing more and does not wait.
  void stop_work();
  // Waits for what was under way and forgets what was read.
  void take_down();

  Result<Response> handle(Request request);
  void undelivered(const Response& response);
  Json describe() const;
  // See namespace_metrics().
  Result<std::vector<Metric>> metrics(WallTime now) const;
  void reopen_audit();

  // Does all that is due now, in the calling thread.
  Status run_due();
  // What has to be done now and then: key usage, rotation, clearing away.
  Status keep_house();

  // ---- for the namespaces above and below -------------------------------------------------------

  // Is this namespace's path free of mounts: could a namespace `name` be below it?
  // kInvalidArgument names the mount.
  Status check_free(const std::string& name) const;

  // Writes or removes what is known of a namespace below, in the transaction of `writer`.
  Status store_below(store::Writer& writer, const NamespaceEntry& entry) const;
  Status forget_below(store::Writer& writer, const std::string& name) const;
  // All of them, by name; those that do not open are logged and left out.
  Result<std::vector<NamespaceEntry>> stored_below() const;

  EndOperations::Below for_incidents(std::shared_ptr<Tenant> self, std::size_t path_from) const;

  // Makes the leases due that a token of a namespace above has here.
  Status end_leases_of(const std::string& token_id, WallTime now);

  // ---- the end ----------------------------------------------------------------------------------

  // Refuses its own tokens from now on and everything but sys/; ends all of them, and begins to
  // unmount everything. May be called again.
  Status close();
  bool is_closed() const;
  // After close(): waits for a while until all leases are gone. An error says what is left.
  Status wait_until_clear();
  // After close(): whether no lease is alive, no mount is left and every ended lease has gone its
  // way (audited, archived). An error says what is left.
  Status check_clear();
  // After check_clear(): lets no request in any more. False: some are still under way.
  bool shut();
  // In the last transaction: removes every row. kConflict: a lease lives.
  Status erase(store::Writer& writer) const;
  Result<std::int64_t> live_leases() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace curfew::broker
