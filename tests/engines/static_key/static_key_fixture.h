#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines/static_key/key_store.h"
#include "engines/static_key/static_key.h"
#include "tests/engines/engine_fixture.h"
#include "tests/fakes/intent_maker.h"
#include "tests/fakes/memory_phases.h"

namespace curfew::engines::static_key {

// A mount of fixed secrets with the way of a lease through it, as the broker goes it.
class StaticKeyTest : public ::testing::Test {
 protected:
  StaticKeyTest() : engine_(std::move(*make_static_key(world_.services()))) {}

  Result<Reply> call(Operation operation, const std::string& path, Json data = Json::object()) {
    return world_.call(*engine_, operation, path, std::move(data));
  }
  Json must(Operation operation, const std::string& path, Json data = Json::object()) {
    auto reply = call(operation, path, std::move(data));
    if (!reply) {
      ADD_FAILURE() << path << ": " << reply.error().message;
      return nullptr;
    }
    return reply->data;
  }
  Error fails(Operation operation, const std::string& path, Json data = Json::object()) {
    auto reply = call(operation, path, std::move(data));
    if (reply) {
      ADD_FAILURE() << path << " succeeded with " << reply->data.dump();
      return {};
    }
    return reply.error();
  }

  Result<IssuePlan> plan(const std::string& name, const std::string& lease, Json data = {}) {
    if (data.is_null()) data = Json::object();
    return engine_->plan(IssueRequest{.path = "creds/" + name,
                                      .params = {{"name", name}},
                                      .lease_id = "keys/creds/" + name + "/" + lease,
                                      .data = std::move(data),
                                      .attribution = {}},
                         world_.random);
  }
  CallContext in_time() { return {world_.clock.steady() + Seconds{10}}; }
  Result<Issued> apply(const std::string& lease, const IssuePlan& made) {
    const std::string id = "keys/creds/" + made.role + "/" + lease;
    return engine_->apply(DurableIntentMaker::make(id, made, world_.clock.wall() + Seconds{600}),
                          in_time());
  }
  // Takes a key on lease; the lease is active from then on.
  Json lease(const std::string& name, const std::string& lease) {
    const auto made = plan(name, lease);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return nullptr;
    }
    const auto issued = apply(lease, *made);
    if (!issued) {
      ADD_FAILURE() << issued.error().message;
      return nullptr;
    }
    world_.leases.add({.id = "keys/creds/" + name + "/" + lease,
                       .role = name,
                       .handle = made->handle,
                       .expires_at = world_.clock.wall() + Seconds{600}});
    return issued->data;
  }
  // As the reaper does it.
  Receipt end(const std::string& name, const std::string& lease, std::int64_t version) {
    const std::string id = "keys/creds/" + name + "/" + lease;
    fakes::MemoryPhases phases;
    auto receipt = engine_->revoke(id, handle_of({id, name, version}), phases, in_time());
    if (!receipt) {
      ADD_FAILURE() << receipt.error().message;
      return {};
    }
    world_.leases.remove(id);
    return std::move(*receipt);
  }
  bool stored(const std::string& name, std::int64_t version) {
    return world_.storage.get("value/" + name + "/" + std::to_string(version)).value().has_value();
  }

  EngineWorld world_;
  std::unique_ptr<SecretEngine> engine_;
};

}  // namespace curfew::engines::static_key
