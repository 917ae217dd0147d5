#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/auth/auth_method.h"
#include "broker/broker_options.h"
#include "broker/handler.h"
#include "broker/lifecycle.h"
#include "engines/registry.h"
#include "store/keyring.h"
#include "store/seal.h"
#include "store/sql.h"

namespace curfew::broker {

// The broker: everything between the edge and the store, joined. It has what is one for all
// namespaces (database, seal, clock, the tree of the namespaces) and hands each request to the one
// that it is for. Thread-safe.
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
