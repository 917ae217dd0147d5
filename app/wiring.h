#pragma once

#include <memory>
#include <string>

#include "api/edge.h"
#include "api/http_server.h"
#include "app/config.h"
#include "app/unseal_retry.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/system_clock.h"
#include "broker/broker.h"
#include "engines/registry.h"
#include "store/keyring.h"
#include "store/seal.h"
#include "store/sqlite.h"

namespace curfew::app {

// The whole program, joined by hand: who has read make_program() knows what is there and what
// depends on what. Members are destroyed in the reverse order.
struct Program {
  std::unique_ptr<Log> log;
  SystemClock clock;
  SystemRandom random;
  engines::Registry registry;
  broker::AuthRegistry auth_methods;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<store::Keyring> keyring;
  std::unique_ptr<store::Seal> seal;
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<UnsealRetry> unseal_retry;  // where the seal could not be opened yet
  std::unique_ptr<api::Edge> edge;
  std::unique_ptr<api::HttpServer> server;
};

// Everything but the listening; unsealed already where the seal opens by itself.
Result<std::unique_ptr<Program>> make_program(const ServerConfig& config,
                                              const std::string& version);

// Listens. From here on requests are served.
Status listen(Program& program, const ServerConfig& config);

}  // namespace curfew::app
