// Asking must not allocate: it happens on every request, and memory that is not asked for cannot
// run out.
#include "tests/policy/counting_new.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

std::string policy_with_a_thousand_rules() {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    const std::string n = std::to_string(i);
    text += "path \"secret/data/team-" + n + "/config\" { capabilities = [\"read\"] }\n";
    text += "path \"secret/data/team-" + n + "/*\" { capabilities = [\"read\", \"list\"] }\n";
    text += "path \"database/creds/app-" + n + "*\" { capabilities = [\"read\"] }\n";
    text += "path \"secret/+/shared-" + n + "/+\" { capabilities = [\"read\"] }\n";
    text += "path \"kv/+/" + n +
            "/*\" { capabilities = [\"update\"] allowed_parameters = { a = [\"x*\", 5] } "
            "denied_parameters = { b = [1, \"2\"] } required_parameters = [\"A\"] }\n";
  }
  return text;
}

TEST(Allocation, TheCounterCounts) {
  const std::size_t before = tests::allocation_count();
  const auto text = std::make_unique<std::string>(100, 'x');
  EXPECT_GE(tests::allocation_count(), before + 2);
}

TEST(Allocation, CheckingAllocatesNothing) {
  const Acl acl =
      acl_of({policy_with_a_thousand_rules(),
              R"(path "a/{{identity.entity.metadata.none}}/b" { capabilities = ["deny"] }
                             path "ask" { capabilities = ["read"] control_group { factor "x" {
                               identity { group_ids = ["g"] approvals = 1 } } } })"});
  const Json good = {{"a", "xyz"}, {"c", 1.5}};
  const Json bad = {{"a", "xyz"}, {"b", {{1, "z"}, 2.0, true, nullptr}}};
  const std::vector<Access> accesses = {
      {.operation = Operation::kRead, .path = "secret/data/team-77/config"},
      {.operation = Operation::kList, .path = "/secret/data/team-77/sub/folder/"},
      {.operation = Operation::kRead, .path = "database/creds/app-199-readonly"},
      {.operation = Operation::kRead, .path = "secret/x/shared-123/y"},
      {.operation = Operation::kDelete, .path = "secret/x/shared-123/y"},
      {.operation = Operation::kUpdate, .path = "kv/x/100/y", .parameters = &good},
      {.operation = Operation::kUpdate, .path = "kv/x/100/y", .parameters = &bad},
      {.operation = Operation::kUpdate,
       .path = "kv/x/100/y",
       .wrap_ttl = Millis{5},
       .needs_sudo = true},
      {.operation = Operation::kRead, .path = "a/x/b"},
      {.operation = Operation::kRead, .path = "ask"},
      {.operation = Operation::kRead, .path = "no/such/path"},
      {.operation = Operation::kList, .path = ""},
  };
  std::vector<Reason> reasons(accesses.size());
  const std::size_t before = tests::allocation_count();
  for (std::size_t i = 0; i < accesses.size(); ++i) reasons[i] = acl.check(accesses[i]).reason;
  const std::size_t after = tests::allocation_count();
  EXPECT_EQ(after, before);
  using enum Reason;
  EXPECT_EQ(reasons,
            (std::vector<Reason>{kGranted, kGranted, kGranted, kGranted, kCapabilityMissing,
                                 kParameterNotAllowed, kParameterValueDenied, kSudoMissing,
                                 kUnfilledTemplate, kNeedsApproval, kNoRule, kNoRule}));
}

}  // namespace
}  // namespace curfew::policy
