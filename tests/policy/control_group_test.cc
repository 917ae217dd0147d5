#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

std::string with_group(std::string_view control_group,
                       std::string_view capabilities = R"("read", "update")") {
  return "path \"a\" {\n capabilities = [" + std::string(capabilities) + "]\n control_group = {" +
         std::string(control_group) + "}\n}";
}

constexpr const char* kOps = R"(factor "ops" { identity { group_names = ["ops"] approvals = 2 } })";

TEST(ApprovalRule, ReadsEverything) {
  const auto policy = policy_of(with_group(R"(
    ttl = "4h"
    factor "ops" {
      controlled_capabilities = ["read"]
      identity { group_names = ["a", "b"] group_ids = ["g-1"] approvals = 2 }
    }
    factor "boss" { identity { group_ids = ["g-2"] approvals = "1" } })"));
  const ApprovalRule& group = *policy->stanzas[0].permissions.approval;
  EXPECT_EQ(group.ttl, Millis{4 * 3600'000});
  ASSERT_EQ(group.factors.size(), 2u);
  EXPECT_EQ(group.factors[0], (ApprovalFactor{"ops", {Capability::kRead}, {"a", "b"}, {"g-1"}, 2}));
  EXPECT_EQ(group.factors[1], (ApprovalFactor{"boss", {}, {}, {"g-2"}, 1}));
}

TEST(ApprovalRule, JsonMeansTheSame) {
  const auto policy = policy_of(R"({"path": {"a": {"capabilities": ["read"], "control_group": {
      "factor": {"ops": {"identity": {"group_names": ["ops"], "approvals": 2}},
                 "boss": {"identity": [{"group_names": ["boss"], "approvals": 1}]}}}}}})");
  const ApprovalRule& group = *policy->stanzas[0].permissions.approval;
  ASSERT_EQ(group.factors.size(), 2u);
  EXPECT_EQ(group.factors[0].approvals, 2);
  EXPECT_EQ(group.factors[1].group_names, std::vector<std::string>{"boss"});
}

// Whatever would let a request through that was meant to be approved.
TEST(ApprovalRule, ParsingIsStrict) {
  for (const auto& [body, expected] : std::vector<std::pair<std::string, std::string>>{
           {"", "line 3, column 18: expected 1 to 100 blocks of the form factor"},
           {"ttl = \"1h\"", "expected 1 to 100 blocks of the form factor"},
           {"ttl = 0 " + std::string(kOps), "ttl: expected at least one second"},
           {"max_ttl = 1 " + std::string(kOps),
            "invalid key \"max_ttl\" on line 3, column 19: expected one of factor, ttl"},
           {"factor { identity { group_names = [\"a\"] approvals = 1 } }", "identity"},
           {"factor \"x\" {}", "factor \"x\": line 3, column 30: expected an \"identity\" block"},
           {"factor \"x\" { identity {} }", "approvals: expected a number from 1 to 100"},
           {"factor \"x\" { identity { group_names = [\"a\"] } }",
            "approvals: expected a number from 1"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = 0 } }",
            "line 3, column 63: approvals: expected a number from 1"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = -1 } }",
            "approvals: expected a number from 1"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = 1.5 } }",
            "approvals: expected a whole number"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = 99999999999999999999 } }",
            "approvals"},
           {"factor \"x\" { identity { approvals = 1 } }", "expected at least one group"},
           {"factor \"x\" { identity { group_names = [] group_ids = [] approvals = 1 } }",
            "expected at least one group"},
           {"factor \"x\" { identity { group_names = [\"\"] approvals = 1 } }",
            "group_names: a group is empty"},
           {"factor \"x\" { identity { group_names = \"a\" approvals = 1 } }",
            "group_names: expected a list of strings"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = 1 self = true } }",
            "invalid key \"self\""},
           {"factor \"x\" { approvals = 1 }", "invalid key \"approvals\""},
           {"factor \"x\" { controlled_capabilities = [\"delete\"] identity { group_names = "
            "[\"a\"] approvals = 1 } }",
            "expected some of the path's own capabilities, got \"delete\""},
           {"factor \"x\" { controlled_capabilities = [\"reed\"] identity { group_names = [\"a\"] "
            "approvals = 1 } }",
            "invalid capability \"reed\""},
           {"factor \"x\" { controlled_capabilities = [] identity { group_names = [\"a\"] "
            "approvals = 1 } }",
            "expected at least one capability"},
           {std::string(kOps) + kOps, "factor \"ops\" is set twice"}}) {
    const std::string message = parse_error(with_group(body));
    EXPECT_NE(message.find(expected), std::string::npos) << body << "\n" << message;
    EXPECT_TRUE(message.starts_with("failed to parse policy: path \"a\": control_group"))
        << message;
  }
}

TEST(ApprovalRule, ControlledCapabilitiesMayComeFromTheShorthand) {
  EXPECT_TRUE(parse_policy("p", R"(path "a" { policy = "write" control_group { factor "x" {
      controlled_capabilities = ["delete"] identity { group_names = ["a"] approvals = 1 } } } })"));
}

TEST(ApprovalRule, AGrantWaitsForApproval) {
  const Acl acl = acl_of({with_group(kOps)});
  const Decision decision = ask(acl, Operation::kRead, "a");
  EXPECT_FALSE(decision.allowed);
  EXPECT_TRUE(decision.needs_approval);
  EXPECT_EQ(decision.reason, Reason::kNeedsApproval);
  ASSERT_EQ(decision.factors().size(), 1u);
  EXPECT_EQ(decision.factors()[0]->approvals, 2);
  EXPECT_EQ(decision.text(), "policy \"p1\", path \"a\": grants it only after approval");
  // What is not granted at all is not offered for approval.
  EXPECT_FALSE(ask(acl, Operation::kDelete, "a").needs_approval);
  EXPECT_TRUE(ask(acl, Operation::kDelete, "a").factors().empty());
}

TEST(ApprovalRule, ParametersAreCheckedBeforePeopleAreAsked) {
  const Acl acl = acl_of(
      {R"(path "a" { capabilities = ["update"] required_parameters = ["reason"] control_group {)" +
       std::string(kOps) + "} }"});
  EXPECT_EQ(ask(acl, Operation::kUpdate, "a").reason, Reason::kParameterMissing);
  const Json data = {{"reason", "x"}};
  EXPECT_TRUE(acl.check({.operation = Operation::kUpdate, .path = "a", .parameters = &data})
                  .needs_approval);
}

TEST(ApprovalRule, AFactorControlsItsCapabilitiesOnly) {
  const Acl acl = acl_of({with_group(R"(
    factor "writes" {
      controlled_capabilities = ["update"]
      identity { group_names = ["a"] approvals = 1 } })")});
  EXPECT_TRUE(ask(acl, Operation::kRead, "a").allowed);
  EXPECT_TRUE(ask(acl, Operation::kUpdate, "a").needs_approval);
}

TEST(ApprovalRule, FactorsOfSeveralPoliciesAddUpWhateverTheOrder) {
  const std::string plain = R"(path "a" { capabilities = ["read", "update", "delete"] })";
  const std::string ops = with_group(std::string("ttl = \"2h\" ") + kOps);
  const std::string boss = with_group(R"(ttl = "1h"
    factor "boss" {
      controlled_capabilities = ["read"]
      identity { group_ids = ["g"] approvals = 1 } })");
  for (const auto& texts : std::vector<std::vector<std::string>>{
           {plain, ops, boss}, {ops, plain, boss}, {boss, ops, plain}, {boss, plain, ops, plain}}) {
    const Acl acl = acl_of(texts);
    const Decision read = ask(acl, Operation::kRead, "a");
    EXPECT_TRUE(read.needs_approval);
    EXPECT_EQ(read.factors().size(), 2u);
    EXPECT_EQ(read.rule->permissions.approval->ttl, Millis{3600'000});
    EXPECT_EQ(ask(acl, Operation::kUpdate, "a").factors().size(), 1u);
    EXPECT_TRUE(ask(acl, Operation::kDelete, "a").needs_approval);
  }
}

TEST(ApprovalRule, FactorsOfTheSameNameAreAllKept) {
  const std::string stricter =
      R"(factor "ops" { identity { group_names = ["ops"] approvals = 3 } })";
  const Acl acl = acl_of({with_group(kOps), with_group(stricter), with_group(kOps)});
  const auto factors = ask(acl, Operation::kRead, "a").factors();
  ASSERT_EQ(factors.size(), 2u);
  EXPECT_EQ(factors[0]->approvals + factors[1]->approvals, 5);
}

TEST(ApprovalRule, ADenialNeedsNoApproval) {
  const Acl acl = acl_of({with_group(kOps), R"(path "a" { capabilities = ["deny"] })"});
  EXPECT_EQ(ask(acl, Operation::kRead, "a").reason, Reason::kDenied);
}

}  // namespace
}  // namespace curfew::policy
