#include "engines/static_key/static_key.h"
#include "tests/contract/engine_contract.h"
#include "tests/engines/engine_fixture.h"

namespace curfew::engines {
namespace {

constexpr char kSecret[] = "sk-live-0123456789";

class StaticKeyWorld final : public LeasingWorld {
 public:
  StaticKeyWorld() : engine_(std::move(*make_static_key(world_.services()))) {
    if (!world_.call(*engine_, Operation::kUpdate, "keys/x", {{"value", kSecret}})) std::abort();
  }
  SecretEngine& engine() override { return *engine_; }
  const Clock& clock() override { return world_.clock; }
  IssueRequest request(const std::string& lease_id) override {
    return {.path = "creds/x",
            .params = {{"name", "x"}},
            .lease_id = lease_id,
            .data = Json::object(),
            .attribution = {}};
  }
  void forget_configuration() override {
    if (!world_.call(*engine_, Operation::kDelete, "keys/x", {{"force", true}})) std::abort();
  }
  std::string known_secret() override { return kSecret; }

 private:
  EngineWorld world_;
  std::unique_ptr<SecretEngine> engine_;
};

INSTANTIATE_TEST_SUITE_P(StaticKey, EngineContract,
                         ::testing::Values([]() -> std::unique_ptr<LeasingWorld> {
                           return std::make_unique<StaticKeyWorld>();
                         }));

}  // namespace
}  // namespace curfew::engines
