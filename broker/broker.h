#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/auth/auth_method.h"
#include "broker/clock_keeper.h"
#include "broker/handler.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/reaper.h"
#include "broker/lease/retries.h"
#include "broker/lease/revoker.h"
#include "broker/lifecycle.h"
#include "broker/metric.h"
#include "broker/mount/caretaker.h"
#include "broker/reconcile/reconciler.h"
#include "engines/registry.h"
#include "store/keyring.h"
#include "store/seal.h"
#include "store/sql.h"

namespace curfew::broker {

struct BrokerOptions {
  std::string version = "0.0.0";
  RevokerOptions revoker = {};
  ReaperOptions reaper = {};
  RetryOptions retry = {};
  CaretakerOptions caretaker = {};
  BreakerOptions breakers = {};
  LeaseEndOptions lease_ends = {};
  ClockOptions clock = {};
  ReconcilerOptions reconciler = {};
  std::function<std::vector<Metric>()> edge_metrics = {};  // added to sys/metrics
  bool open_metrics = false;                               // sys/metrics needs no token
  // The reaper's and the caretaker's. Without them tests call run_due() themselves.
  bool start_threads = true;
};

// The broker: everything between the edge and the store, joined. Thread-safe.
class Broker final : public Handler {
 public:
  struct Dependencies {
    store::Database& database;
    store::Keyring& keyring;
    store::Seal& seal;
    const engines::Registry& registry;
    const AuthRegistry& auth_methods;
    const Clock& clock;
    Random& random;
    Log& log;
  };
  Broker(Dependencies dependencies, BrokerOptions options);
  ~Broker() override;  // stops serving; keys are zeroed

  Result<Response> handle(Request request) override;
  void undelivered(const Response& response) override;
  Json describe() override;

  // The seal and what follows from it. For start-up and for the dev server.
  Lifecycle& lifecycle();

  // Opens the audit files again, after a log rotation.
  void reopen_audit();

  // Does all that is due now. For tests, with start_threads off.
  Status run_due();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace curfew::broker
