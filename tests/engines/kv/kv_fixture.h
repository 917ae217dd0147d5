#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines/kv/kv.h"
#include "tests/engines/engine_fixture.h"

namespace curfew::engines::kv {

// A kv mount of one version, driven through its routes.
class KvTest : public ::testing::Test {
 protected:
  explicit KvTest(const std::string& version) {
    auto made = make_kv(world_.services({{"version", version}}));
    if (!made) std::abort();
    engine_ = std::move(*made);
  }

  Result<Reply> call(Operation operation, const std::string& path, Json data = Json::object()) {
    return world_.call(*engine_, operation, path, std::move(data));
  }
  // The data of a call that must succeed.
  Json must(Operation operation, const std::string& path, Json data = Json::object()) {
    auto reply = call(operation, path, std::move(data));
    if (!reply) {
      ADD_FAILURE() << path << ": " << reply.error().message;
      return nullptr;
    }
    return reply->data;
  }
  // The error of a call that must fail.
  Error fails(Operation operation, const std::string& path, Json data = Json::object()) {
    auto reply = call(operation, path, std::move(data));
    if (reply) {
      ADD_FAILURE() << path << " succeeded with " << reply->data.dump();
      return {};
    }
    return reply.error();
  }
  std::optional<bool> exists(const std::string& path) {
    const auto match = engine_->routes().match(path, Operation::kUpdate);
    const auto found = engine_->exists(
        Call{Operation::kUpdate, path, match->params, Json::object(), Attribution{}});
    EXPECT_TRUE(found.has_value());
    return *found;
  }

  EngineWorld world_;
  std::unique_ptr<SecretEngine> engine_;
};

class KvV1Test : public KvTest {
 protected:
  KvV1Test() : KvTest("1") {}
};

class KvV2Test : public KvTest {
 protected:
  KvV2Test() : KvTest("2") {}

  // Writes a version and gives its number.
  std::int64_t put(const std::string& path, Json data) {
    return must(Operation::kUpdate, "data/" + path, {{"data", std::move(data)}})["version"];
  }
};

}  // namespace curfew::engines::kv
