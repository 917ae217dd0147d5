// The stanza `approval`, alone and beside `control_group`, and what several sets of rights ask for.
#include "policy/rights.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

constexpr Millis minutes(int count) {
  return std::chrono::minutes{count};
}

constexpr const char* kOwners =
    R"(factor "owners" { identity { group_names = ["owners"] approvals = 1 } })";
constexpr const char* kGroup = R"(control_group {
  ttl = "1h" factor "boss" { identity { group_ids = ["g-boss"] approvals = 1 } } })";

// `approval` begins on line 3, column 2; its body in column 11.
std::string with_approval(std::string_view body, std::string_view beside = "") {
  return "path \"a\" {\n capabilities = [\"read\", \"update\"] " + std::string(beside) +
         "\n approval {" + std::string(body) + "}\n}";
}

ApprovalRule rule_of(std::string_view text) {
  const auto policy = policy_of(text);
  return policy ? policy->stanzas[0].permissions.approval.value() : ApprovalRule{};
}

TEST(ApprovalStanza, ReadsEverything) {
  const ApprovalRule rule = rule_of(with_approval(R"(
    request_ttl = "30m"  claim_window = "15m"  default_ttl = "15m"  max_ttl = "1h"
    escalate_after = "10m"
    escalate_to { group_names = ["oncall", "lead", "oncall"] group_ids = ["g-1"] }
    reason_required = true  ticket_required = true  statement_required = true
    notify = ["pager", "dba-slack"]
    factor "owners" {
      controlled_capabilities = ["read"]
      identity { group_names = ["owners"] approvals = 2 }
    }
    auto "small reads" { max_ttl = "10m" per_hour = 5 shadow = true }
    auto "tiny reads" { max_ttl = 60 per_hour = 50 }
    break_glass { group_names = ["sre"] }
    task { max_leases = 20 max_statements = 10 max_duration = "2h" })"));
  ApprovalRule expected;
  expected.ttl = minutes(30);
  expected.factors = {{"owners", {Capability::kRead}, {"owners"}, {}, 2}};
  expected.claim_window = minutes(15);
  expected.default_ttl = minutes(15);
  expected.max_ttl = minutes(60);
  expected.escalate_after = minutes(10);
  expected.escalate_to = {{"lead", "oncall"}, {"g-1"}};
  expected.reason_required = expected.ticket_required = expected.statement_required = true;
  expected.notify = {"dba-slack", "pager"};
  expected.automatic = {{"small reads", minutes(10), 5, true},
                        {"tiny reads", minutes(1), 50, false}};
  expected.break_glass = ApprovalGroups{{"sre"}, {}};
  expected.task = TaskTerms{20, 10, minutes(120)};
  EXPECT_EQ(rule, expected);
}

TEST(ApprovalStanza, AFactorAloneIsEnoughAndTheRestHasItsDefaults) {
  ApprovalRule expected;
  expected.factors = {{"owners", {}, {"owners"}, {}, 1}};
  EXPECT_EQ(rule_of(with_approval(kOwners)), expected);
}

TEST(ApprovalStanza, AnEqualsSignAndJsonMeanTheSame) {
  const ApprovalRule rule =
      rule_of(with_approval(std::string(kOwners) + R"( auto "x" { max_ttl = 60 per_hour = 1 }
                            task { max_leases = 2 max_duration = 60 })"));
  EXPECT_EQ(rule, rule_of(R"(path "a" { capabilities = ["read"] approval = {
      factor = { "owners" = { identity = { group_names = ["owners"] approvals = 1 } } }
      auto "x" { max_ttl = 60 per_hour = 1 } task = { max_leases = 2 max_duration = 60 } } })"));
  EXPECT_EQ(rule, rule_of(R"({"path": {"a": {"capabilities": ["read"], "approval": {
      "factor": {"owners": {"identity": {"group_names": ["owners"], "approvals": 1}}},
      "auto": {"x": {"max_ttl": 60, "per_hour": 1}},
      "task": {"max_leases": 2, "max_duration": "1m"}}}}})"));
}

TEST(ApprovalStanza, IsOneRuleTogetherWithAControlGroup) {
  const ApprovalRule both = rule_of(with_approval(
      std::string(R"(request_ttl = "30m" break_glass { group_ids = ["g"] } )") + kOwners, kGroup));
  ASSERT_EQ(both.factors.size(), 2u);
  EXPECT_EQ(both.factors[0].name, "boss");
  EXPECT_EQ(both.factors[1].name, "owners");
  EXPECT_EQ(both.ttl, minutes(30));
  EXPECT_TRUE(both.break_glass);
  // The factors of either stanza are enough, and of the two times the lesser counts.
  const ApprovalRule terms = rule_of(with_approval(R"(request_ttl = "2h")", kGroup));
  EXPECT_EQ(terms.factors.size(), 1u);
  EXPECT_EQ(terms.ttl, minutes(60));
  EXPECT_EQ(rule_of(with_approval("", kGroup)).ttl, minutes(60));
}

TEST(ApprovalStanza, ParsingIsStrict) {
  const std::string owners = std::string(kOwners) + " ";
  for (const auto& [body, expected] : std::vector<std::pair<std::string, std::string>>{
           {"",
            "line 3, column 11: nobody would have to approve: expected a block of the form "
            "factor"},
           {"factor = {}", "nobody would have to approve"},
           {"reason_required = true", "nobody would have to approve"},
           {owners + "ttl = \"1h\"", "invalid key \"ttl\" on line 3, column"},
           {owners + "requestttl = 1", "expected one of auto, break_glass, claim_window"},
           {"request_ttl = 0 " + owners, "line 3, column 12: request_ttl: expected at least one"},
           {"claim_window = \"-1m\" " + owners, "claim_window: expected a duration"},
           {"claim_window = \"1ms\" " + owners, "claim_window: expected at least one second"},
           {"default_ttl = \"0s\" " + owners, "default_ttl: expected at least one second"},
           {"max_ttl = 0 " + owners, "max_ttl: expected at least one second"},
           {"max_ttl = 1 max_ttl = 1 " + owners, "max_ttl is set twice"},
           {"max_ttl = \"10m\" default_ttl = \"11m\" " + owners,
            "line 3, column 28: default_ttl cannot be more than max_ttl"},
           {"escalate_after = 0 " + owners, "escalate_after: expected at least one second"},
           {"request_ttl = \"10m\" escalate_after = \"10m\" " + owners,
            "line 3, column 32: escalate_after: expected less than the time that a request waits"},
           {"reason_required = 2 " + owners, "reason_required: expected true or false"},
           {"notify = [] " + owners, "notify: expected at least one target"},
           {"notify = [\"\"] " + owners, "notify: a name is empty"},
           {"notify = \"dba\" " + owners, "notify: expected a list of strings"},
           {"escalate_to {} " + owners, "escalate_to: line 3, column 24: expected at least one gr"},
           {"escalate_to { group_ids = [] } " + owners, "expected at least one group"},
           {"escalate_to { users = [\"a\"] } " + owners, "invalid key \"users\""},
           {"break_glass {} " + owners, "break_glass: line 3, column 24: expected at least one gr"},
           {"break_glass { group_names = [\"\"] } " + owners, "group_names: a group is empty"},
           {"break_glass = true " + owners, "break_glass: expected an object"},
           {owners + owners, "factor \"owners\" is set twice"},
           {"factor \"\" { identity { group_names = [\"a\"] approvals = 1 } }",
            "expected a name of 1 to"},
           {"factor \"x\" { identity { group_names = [\"a\"] approvals = 0 } }",
            "line 3, column 56: approvals: expected a number from 1"},
           {"auto \"x\" { per_hour = 1 } " + owners,
            "auto \"x\": line 3, column 21: expected max_"},
           {"auto \"x\" { max_ttl = 60 } " + owners,
            "auto \"x\": line 3, column 21: expected per_"},
           {"auto \"x\" { max_ttl = 60 per_hour = 0 } " + owners, "per_hour: expected a number"},
           {"auto \"x\" { max_ttl = 60 per_hour = -1 } " + owners, "per_hour: expected a number"},
           {"auto \"x\" { max_ttl = 0 per_hour = 1 } " + owners, "max_ttl: expected at least one"},
           {"auto \"x\" { max_ttl = 60 per_hour = 1 groups = [] } " + owners, "invalid key"},
           {"auto { max_ttl = 60 per_hour = 1 } " + owners, "expected a block of the form auto"},
           {"auto \"\" { max_ttl = 60 per_hour = 1 } " + owners, "expected a name of 1 to 128"},
           {"auto \"x\" { max_ttl = 60 per_hour = 1 } auto \"x\" { max_ttl = 9 per_hour = 1 } " +
                owners,
            "line 3, column 56: auto \"x\" is set twice"},
           {"task { max_duration = 60 } " + owners, "task: line 3, column 17: expected max_leases"},
           {"task { max_leases = 1 } " + owners, "task: line 3, column 17: expected max_duration"},
           {"task { max_leases = 0 max_duration = 60 } " + owners, "max_leases: expected a number"},
           {"task { max_leases = 2 max_duration = 0 } " + owners, "max_duration: expected at lea"},
           {"task { max_leases = 2 max_statements = 0 max_duration = 9 } " + owners,
            "max_statements: expected a number from 1"},
           {"task { max_leases = 2 max_statements = 3 max_duration = 9 } " + owners,
            "max_statements cannot be more than max_leases"},
           {"task { leases = 2 } " + owners, "invalid key \"leases\""}}) {
    const std::string message = parse_error(with_approval(body));
    EXPECT_NE(message.find(expected), std::string::npos) << body << "\n" << message;
    EXPECT_TRUE(message.starts_with("failed to parse policy: path \"a\": approval")) << message;
  }
}

TEST(ApprovalStanza, ErrorsOfBothStanzasTogether) {
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {with_approval(R"(factor "boss" { identity { group_names = ["a"] approvals = 1 } })",
                          kGroup),
            "factor \"boss\" is set twice"},
           {with_approval(R"(escalate_after = "61m")", kGroup), "escalate_after: expected less"},
           {with_approval(kOwners, "control_group {}"), "control_group: line 2, column"},
           {with_approval(kOwners, std::string("approval {") + kOwners + "}"),
            "approval is set twice"}})
    EXPECT_NE(parse_error(text).find(expected), std::string::npos) << parse_error(text);
}

TEST(ApprovalStanza, ThereAreLimits) {
  const auto repeated = [](int times, std::string_view kind, std::string_view body) {
    std::string out;
    for (int i = 0; i < times; ++i)
      out += std::string(kind) + " \"n" + std::to_string(i) + "\" {" + std::string(body) + "}\n";
    return out;
  };
  const std::string_view identity = R"(identity { group_names = ["a"] approvals = 1 })";
  EXPECT_EQ(parse_error(with_approval(repeated(100, "factor", identity))), "no error");
  EXPECT_NE(parse_error(with_approval(repeated(101, "factor", identity))).find("1 to 100 blocks"),
            std::string::npos);
  // Both stanzas together have no more than either.
  EXPECT_NE(parse_error(with_approval(repeated(100, "factor", identity), kGroup)).find("1 to 100"),
            std::string::npos);
  const std::string_view small = "max_ttl = 60 per_hour = 1";
  EXPECT_EQ(parse_error(with_approval(repeated(20, "auto", small) + kOwners)), "no error");
  EXPECT_NE(parse_error(with_approval(repeated(21, "auto", small) + kOwners)).find("at most 20"),
            std::string::npos);
  std::string groups;
  for (int i = 0; i <= 100; ++i) groups += "\"g" + std::to_string(i) + "\",";
  EXPECT_NE(parse_error(with_approval("break_glass { group_ids = [" + groups + "] } " + kOwners))
                .find("group_ids: expected at most 100"),
            std::string::npos);
}

// Where its template has no value, it must not open what another rule grants.
TEST(ApprovalStanza, GuardsWhereItsTemplateHasNoValue) {
  const Acl acl =
      acl_of({R"(path "db/{{identity.entity.id}}" { capabilities = ["read"] approval {)" +
                  std::string(kOwners) + "} }",
              R"(path "db/*" { capabilities = ["read"] })"});
  EXPECT_EQ(ask(acl, Operation::kRead, "db/x").reason, Reason::kUnfilledTemplate);
}

std::shared_ptr<const Acl> set_of(const std::vector<std::string>& texts) {
  return std::make_shared<const Acl>(acl_of(texts));
}

constexpr Access kRead{.operation = Operation::kRead, .path = "a"};
constexpr const char* kPlain = R"(path "*" { capabilities = ["read", "update"] })";

TEST(RightsApproval, IsWhatAllSetsAskForTogether) {
  const std::string writes = with_approval(R"(
      factor "writes" { controlled_capabilities = ["update"]
        identity { group_names = ["w"] approvals = 1 } }
      factor "all" { identity { group_names = ["x"] approvals = 1 } }
      break_glass { group_names = ["sre"] } max_ttl = "1h" notify = ["pager"] )");
  const std::string ceiling = R"(path "+" { capabilities = ["read"] approval {
      factor "owners" { identity { group_names = ["owners"] approvals = 1 } } max_ttl = "2h"
      notify = ["chat"] ticket_required = true } })";
  const Rights rights({set_of({kPlain, writes, with_approval(kOwners)}), set_of({kPlain}),
                       set_of({kPlain, kPlain, ceiling})});
  const auto demand = rights.approval(kRead);
  ASSERT_TRUE(demand);
  // "owners" is asked for twice in the same words; "writes" has no say in a read.
  ASSERT_EQ(demand->rule.factors.size(), 2u);
  EXPECT_EQ(demand->rule.factors[0].name, "all");
  EXPECT_EQ(demand->rule.factors[1].name, "owners");
  EXPECT_EQ(demand->rule.max_ttl, minutes(60));
  EXPECT_TRUE(demand->rule.ticket_required);
  EXPECT_FALSE(demand->rule.break_glass);
  EXPECT_EQ(demand->policies, (std::vector<std::string>{"p2", "p3"}));
  EXPECT_EQ(demand->path, "+, a");
}

TEST(RightsApproval, IsOneSetsOwnWhereOnlyThatOneAsks) {
  const std::string text = with_approval(std::string(kOwners) + R"(
      break_glass { group_names = ["sre"] } task { max_leases = 2 max_duration = 60 })");
  for (const auto& sets : {std::vector{set_of({text}), set_of({kPlain})},
                           std::vector{set_of({kPlain}), set_of({text})}}) {
    const auto demand = Rights(sets).approval(kRead);
    ASSERT_TRUE(demand);
    EXPECT_EQ(demand->rule, rule_of(text));
    EXPECT_EQ(demand->policies, std::vector<std::string>{"p1"});
    EXPECT_EQ(demand->path, "a");
  }
}

TEST(RightsApproval, IsNothingWhereItIsAllowedOrDeniedAnyway) {
  const auto approved = set_of({with_approval(kOwners)});
  EXPECT_FALSE(Rights({set_of({kPlain})}).approval(kRead));
  EXPECT_FALSE(Rights({approved}).approval({.operation = Operation::kDelete, .path = "a"}));
  EXPECT_FALSE(
      Rights({approved, set_of({R"(path "a" { capabilities = ["deny"] })"})}).approval(kRead));
  // Sudo is missing: no approval makes up for it.
  EXPECT_FALSE(Rights({approved})
                   .approval({.operation = Operation::kRead, .path = "a", .needs_sudo = true}));
}

TEST(RightsApproval, SeesThePrefixOfANamespace) {
  const Rights rights({set_of({R"(path "team/a" { capabilities = ["read"] approval {)" +
                               std::string(kOwners) + "} }"})},
                      "team/");
  ASSERT_TRUE(rights.approval(kRead));
  EXPECT_EQ(rights.approval(kRead)->path, "team/a");
  EXPECT_FALSE(rights.approval({.operation = Operation::kRead, .path = "team/a"}));
}

}  // namespace
}  // namespace curfew::policy
