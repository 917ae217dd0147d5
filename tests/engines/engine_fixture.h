#pragma once

#include <memory>

#include "engines/engine.h"
#include "tests/fakes/fake_leases.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_storage.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::engines {

// Everything that an engine is given, in memory, and the way in that the broker takes: routes are
// matched, a missing one is an error, a create is an update where the object does not exist yet.
struct EngineWorld {
  fakes::MemoryStorage storage;
  fakes::FakeLeases leases;
  fakes::FakePasswords passwords;
  fakes::ManualClock clock;
  fakes::SeededRandom random;
  std::unique_ptr<Log> log = make_null_log();

  Services services(Json options = Json::object()) {
    return Services{"accessor_1", std::move(options), storage, leases, passwords, clock, random,
                    *log};
  }

  static Result<Reply> call(const SecretEngine& engine, Operation operation,
                            const std::string& path, Json data = Json::object()) {
    const auto match = engine.routes().match(path, operation);
    if (!match) return Error{Errc::kUnsupportedPath, "no such path: " + path};
    auto handler = match->route->handlers.find(operation);
    if (handler == match->route->handlers.end())
      return Error{Errc::kUnsupportedOperation, "no such operation on " + path};
    return handler->second(Call{operation, path, match->params, std::move(data), {}});
  }
};

}  // namespace curfew::engines
