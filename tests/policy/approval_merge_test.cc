// Rules that meet: what remains allows nothing that either alone would not.
#include <random>

#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

constexpr Millis minutes(int count) {
  return std::chrono::minutes{count};
}

ApprovalRule merged(ApprovalRule a, const ApprovalRule& b) {
  a.merge(b);
  return a;
}

// Makes rules of the kinds that the parser lets through, with few values so that they often meet.
class RuleMaker {
 public:
  explicit RuleMaker(unsigned seed) : random_(seed) {}

  ApprovalRule make() {
    ApprovalRule out;
    out.ttl = time();
    const int factors = 1 + below(3);
    for (int i = 0; i < factors; ++i) out.factors.push_back(factor("f" + std::to_string(i)));
    out.claim_window = time();
    out.max_ttl = time();
    out.default_ttl = time();
    if (out.max_ttl != Millis{0}) out.default_ttl = std::min(out.default_ttl, out.max_ttl);
    out.escalate_after = time();
    if (out.ttl != Millis{0} && out.escalate_after >= out.ttl) out.escalate_after = Millis{0};
    if (coin()) out.escalate_to = groups();
    out.reason_required = coin();
    out.ticket_required = coin();
    out.statement_required = coin();
    if (coin()) out.notify = names();
    for (const char* name : {"a", "b", "c"})
      if (below(3) != 0)
        out.automatic.push_back({name, minutes(1 + below(4)), 1 + below(9), coin()});
    if (below(4) != 0) out.break_glass = groups();
    if (below(4) != 0) {
      const std::int64_t leases = 1 + below(9);
      out.task = TaskTerms{leases, below(static_cast<int>(leases) + 1), minutes(1 + below(9))};
    }
    return out;
  }

 private:
  int below(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }
  bool coin() { return below(2) == 0; }
  Millis time() { return minutes(below(5)); }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    while (out.empty())
      for (const char* name : {"x", "y", "z"})
        if (coin()) out.emplace_back(name);
    return out;
  }
  ApprovalGroups groups() {
    ApprovalGroups out{names(), {}};
    if (coin()) out.group_ids = names();
    return out;
  }
  ApprovalFactor factor(std::string name) {
    return {std::move(name),
            coin() ? CapabilitySet{} : CapabilitySet{Capability::kRead},
            names(),
            {},
            1 + below(2)};
  }

  std::mt19937 random_;
};

bool at_most(Millis value, Millis limit) {
  return limit == Millis{0} || (value != Millis{0} && value <= limit);
}

bool within(const std::vector<std::string>& few, const std::vector<std::string>& many) {
  return std::includes(many.begin(), many.end(), few.begin(), few.end());
}

// Does `rule` allow nothing that `one`, which is part of it, does not?
void expect_as_strict(const ApprovalRule& rule, const ApprovalRule& one) {
  for (const ApprovalFactor& factor : one.factors)
    EXPECT_NE(std::find(rule.factors.begin(), rule.factors.end(), factor), rule.factors.end());
  EXPECT_TRUE(at_most(rule.ttl, one.ttl));
  EXPECT_TRUE(at_most(rule.claim_window, one.claim_window));
  EXPECT_TRUE(at_most(rule.max_ttl, one.max_ttl));
  if (rule.default_ttl != Millis{0} && rule.max_ttl != Millis{0}) {
    EXPECT_LE(rule.default_ttl, rule.max_ttl);
  }
  EXPECT_TRUE(rule.ttl == Millis{0} || rule.escalate_after < rule.ttl);
  EXPECT_GE(rule.reason_required, one.reason_required);
  EXPECT_GE(rule.ticket_required, one.ticket_required);
  EXPECT_GE(rule.statement_required, one.statement_required);
  EXPECT_TRUE(within(one.escalate_to.group_names, rule.escalate_to.group_names));
  EXPECT_TRUE(within(one.escalate_to.group_ids, rule.escalate_to.group_ids));
  EXPECT_TRUE(rule.notify.empty() || (!one.notify.empty() && within(one.notify, rule.notify)));
  for (const AutoApproval& automatic : rule.automatic) {
    const auto same = std::find_if(one.automatic.begin(), one.automatic.end(),
                                   [&](const auto& other) { return other.name == automatic.name; });
    ASSERT_NE(same, one.automatic.end());
    EXPECT_LE(automatic.max_ttl, same->max_ttl);
    EXPECT_LE(automatic.per_hour, same->per_hour);
    EXPECT_GE(automatic.shadow, same->shadow);
  }
  if (rule.break_glass) {
    ASSERT_TRUE(one.break_glass);
    EXPECT_TRUE(within(rule.break_glass->group_names, one.break_glass->group_names));
    EXPECT_TRUE(within(rule.break_glass->group_ids, one.break_glass->group_ids));
    EXPECT_FALSE(rule.break_glass->group_names.empty() && rule.break_glass->group_ids.empty());
  }
  if (rule.task) {
    ASSERT_TRUE(one.task);
    EXPECT_LE(rule.task->leases_max, one.task->leases_max);
    EXPECT_LE(rule.task->duration_max, one.task->duration_max);
    if (one.task->statements_max != 0) {
      EXPECT_GT(rule.task->statements_max, 0);
      EXPECT_LE(rule.task->statements_max, one.task->statements_max);
    }
  }
}

TEST(ApprovalMerge, TheOrderMakesNoDifferenceAndNothingIsLoosened) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleMaker maker(seed);
    const ApprovalRule a = maker.make(), b = maker.make(), c = maker.make();
    const ApprovalRule ab = merged(a, b);
    ASSERT_EQ(ab, merged(b, a));
    ASSERT_EQ(merged(ab, c), merged(a, merged(b, c)));
    ASSERT_EQ(merged(a, a), a);  // it comes sorted
    ASSERT_EQ(merged(ab, a), ab);
    expect_as_strict(ab, a);
    expect_as_strict(merged(ab, c), b);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ApprovalMerge, OfTwoRulesTheStricterPartsRemain) {
  const auto rule = [](std::string_view body) {
    return *policy_of("path \"a\" { capabilities = [\"read\"] approval {" + std::string(body) +
                      "} }")
                ->stanzas[0]
                .permissions.approval;
  };
  const ApprovalRule both =
      merged(rule(R"(request_ttl = "30m" max_ttl = "1h" default_ttl = "30m" escalate_after = "20m"
            escalate_to { group_names = ["oncall"] } notify = ["pager"] reason_required = true
            factor "f" { identity { group_names = ["a"] approvals = 1 } }
            auto "small" { max_ttl = "10m" per_hour = 5 }
            auto "only here" { max_ttl = "10m" per_hour = 5 }
            break_glass { group_names = ["sre", "dba"] group_ids = ["g1"] }
            task { max_leases = 20 max_duration = "2h" })"),
             rule(R"(request_ttl = "10m" max_ttl = "10m" notify = ["chat"] ticket_required = true
            escalate_to { group_names = ["lead"] }
            factor "f" { identity { group_names = ["a"] approvals = 2 } }
            auto "small" { max_ttl = "20m" per_hour = 2 shadow = true }
            break_glass { group_names = ["sre", "boss"] }
            task { max_leases = 30 max_statements = 25 max_duration = "1h" })"));
  EXPECT_EQ(both.ttl, minutes(10));
  EXPECT_EQ(both.max_ttl, minutes(10));
  EXPECT_EQ(both.default_ttl, minutes(10));
  EXPECT_EQ(both.escalate_after, Millis{0});  // 20 minutes would be after the end
  EXPECT_EQ(both.escalate_to.group_names, (std::vector<std::string>{"lead", "oncall"}));
  EXPECT_EQ(both.notify, (std::vector<std::string>{"chat", "pager"}));
  EXPECT_TRUE(both.reason_required && both.ticket_required && !both.statement_required);
  EXPECT_EQ(both.factors.size(), 2u);
  EXPECT_EQ(both.automatic, (std::vector<AutoApproval>{{"small", minutes(10), 2, true}}));
  EXPECT_EQ(both.break_glass, (ApprovalGroups{{"sre"}, {}}));
  EXPECT_EQ(both.task, (TaskTerms{20, 20, minutes(60)}));
}

// A plain control group makes no exceptions, and tells everyone.
TEST(ApprovalMerge, AControlGroupTakesTheExceptionsAway) {
  const Acl acl = acl_of({R"(path "a" { capabilities = ["read"] approval { notify = ["pager"]
      factor "f" { identity { group_names = ["a"] approvals = 1 } }
      auto "small" { max_ttl = "10m" per_hour = 5 } break_glass { group_names = ["sre"] }
      task { max_leases = 20 max_duration = "2h" } } })",
                          R"(path "a" { capabilities = ["read"] control_group {
      factor "g" { identity { group_names = ["b"] approvals = 1 } } } })"});
  const ApprovalRule& rule = *ask(acl, Operation::kRead, "a").rule->permissions.approval;
  EXPECT_EQ(rule.factors.size(), 2u);
  EXPECT_TRUE(rule.notify.empty());
  EXPECT_TRUE(rule.automatic.empty());
  EXPECT_FALSE(rule.break_glass);
  EXPECT_FALSE(rule.task);
}

}  // namespace
}  // namespace curfew::policy
