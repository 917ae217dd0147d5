#include "broker/approval/approver.h"

#include <gtest/gtest.h>

namespace curfew::broker {
namespace {

ApproverFactor factor(const std::string& name, const std::vector<std::string>& groups,
                      std::int64_t approvals) {
  ApproverFactor out{name, {}, approvals};
  for (const std::string& group : groups) out.groups.push_back({group, group});
  return out;
}

ApprovalDecision approved(const std::string& by, const std::vector<std::string>& groups) {
  return {.by = by, .verdict = Verdict::kApprove, .digest = "d", .groups = groups};
}

std::vector<FactorTally> count(const Approval& approval) {
  return tally(approval, [](const std::string& id) { return id; });
}

Approval of(std::vector<ApproverFactor> factors, std::vector<ApprovalDecision> decisions) {
  Approval approval;
  approval.digest = "d";
  approval.factors = std::move(factors);
  approval.decisions = std::move(decisions);
  return approval;
}

TEST(Tally, one_person_in_two_groups_of_a_factor_counts_once) {
  const Approval approval = of({factor("f", {"a", "b"}, 2)}, {approved("ann", {"a", "b"})});
  EXPECT_FALSE(is_satisfied(count(approval)));
}

TEST(Tally, one_person_counts_for_one_factor_alone) {
  Approval approval =
      of({factor("x", {"a"}, 1), factor("y", {"b"}, 1)}, {approved("ann", {"a", "b"})});
  EXPECT_FALSE(is_satisfied(count(approval)));
  approval.decisions.push_back(approved("ben", {"a"}));
  EXPECT_TRUE(is_satisfied(count(approval)));
}

TEST(Tally, people_are_placed_so_that_as_much_as_possible_is_satisfied) {
  // Whoever is placed first in x has to make room for who can be nowhere else.
  const Approval approval =
      of({factor("x", {"a"}, 2), factor("y", {"a", "b"}, 1), factor("z", {"b", "c"}, 1)},
         {approved("a1", {"a", "b", "c"}), approved("a2", {"a"}), approved("a3", {"a"}),
          approved("a4", {"a"})});
  EXPECT_TRUE(is_satisfied(count(approval)));
}

TEST(Tally, approvals_of_another_content_do_not_count) {
  Approval approval = of({factor("f", {"a"}, 1)}, {approved("ann", {"a"})});
  approval.digest = "e";
  EXPECT_FALSE(is_satisfied(count(approval)));
}

TEST(Tally, two_entities_that_were_merged_are_one_human) {
  const Approval approval =
      of({factor("f", {"a"}, 2)}, {approved("ann", {"a"}), approved("ann-too", {"a"})});
  EXPECT_TRUE(is_satisfied(count(approval)));
  EXPECT_FALSE(is_satisfied(tally(approval, [](const std::string&) { return "ann"; })));
}

TEST(Tally, without_factors_nothing_is_satisfied) {
  EXPECT_FALSE(is_satisfied(count(of({}, {approved("ann", {"a"})}))));
  EXPECT_FALSE(is_satisfied(count(of({factor("f", {"a"}, 0)}, {}))));
}

TEST(ApprovalStates, what_is_closed_stays_closed) {
  using enum ApprovalState;
  for (const ApprovalState from :
       {kDenied, kExpired, kCancelled, kSuperseded, kLapsed, kWithdrawn, kEnded})
    for (std::int64_t to = 0; to <= static_cast<std::int64_t>(kEnded); ++to)
      EXPECT_EQ(may_move(from, static_cast<ApprovalState>(to)),
                from == static_cast<ApprovalState>(to));
  EXPECT_FALSE(may_move(kPending, kClaimed));
  EXPECT_FALSE(may_move(kApproved, kPending));
}

}  // namespace
}  // namespace curfew::broker
