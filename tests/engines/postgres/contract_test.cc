#include "tests/contract/engine_contract.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
class PostgresContractWorld final : public LeasingWorld {
 public:
  PostgresContractWorld() {
    world_.configure();
    world_.role("x");
  }
  SecretEngine& engine() override { return *world_.engine; }
  const Clock& clock() override { return world_.clock(); }
  IssueRequest request(const std::string& lease_id) override {
    return {.path = "creds/x",
            .params = {{"name", "x"}},
            .lease_id = lease_id,
            .data = Json::object(),
            .attribution = {}};
  }
  // A target that is gone cannot be cleaned; the role in the mount is what may vanish.
  void forget_configuration() override {
    if (!world_.call(Operation::kDelete, "roles/x")) std::abort();
  }
  std::string known_secret() override { return ""; }

 private:
  PostgresWorld world_;
};

}  // namespace curfew::engines::postgres

namespace curfew::engines {
INSTANTIATE_TEST_SUITE_P(Postgres, EngineContract,
                         ::testing::Values([]() -> std::unique_ptr<LeasingWorld> {
                           return std::make_unique<postgres::PostgresContractWorld>();
                         }));
}  // namespace curfew::engines
