// Ways around an approval that other systems have left open, and interleavings.
#include "tests/broker/approval_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

TEST_F(ApprovalTest, hole_one_person_in_two_groups_counts_once) {
  guard(R"(control_group = {
      factor "owners" { identity { group_names = ["owners"] approvals = 1 } }
      factor "security" { identity { group_names = ["security"] approvals = 1 } } })");
  must_write("identity/group/id/" + security_, {{"member_entity_ids", {alice().entity}}});
  const Json request = must_ask();
  EXPECT_EQ(must_decide(request, "approve", alice()).at("state"), "pending");
  EXPECT_EQ(must_decide(request, "approve", bob()).at("state"), "approved");
}

TEST_F(ApprovalTest, hole_approval_through_an_agent_of_ones_own) {
  const Session mine = must_have_agent("mine", {{"policies", {"writer"}}});
  must_write("identity/agent/mine", {{"owner", alice().entity}});
  const Json request = must_ask({}, mine.token);
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kPermissionDenied);
  EXPECT_TRUE(decide(request, "approve", bob()).has_value());
}

TEST_F(ApprovalTest, hole_a_stale_page_does_not_approve_what_was_changed) {
  guard(
      R"(control_group = { factor "o" { identity { group_names = ["owners"] approvals = 2 } } })");
  const Json request = must_ask({{"ttl", "15m"}});
  must_decide(request, "narrow", bob(), {{"ttl", "1m"}});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kPreconditionFailed);
  extra_.if_match = "\"1-0123456789abcdef\"";
  EXPECT_EQ(code_of(decide(request, "approve", alice(), {{"digest", ""}})),
            Errc::kPreconditionFailed);
}

TEST_F(ApprovalTest, hole_deny_after_approve) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  EXPECT_EQ(code_of(decide(request, "deny", bob())), Errc::kConflict);
  EXPECT_EQ(must_decide(request, "withdraw", bob()).at("state"), "withdrawn");
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, hole_the_token_that_asked_is_gone_before_the_claim) {
  const auto waiting = read(kGuarded, agent_.token);
  ASSERT_TRUE(waiting.has_value() && waiting->wrap_info);
  const std::string wrapping = waiting->wrap_info->token.reveal();
  const Json list = call(Operation::kList, "sys/approvals/", {}, "root")->data;
  const Json request = must_read("sys/approvals/" + list.at("keys").at(0).get<std::string>());
  must_decide(request, "approve", alice());
  must_write("auth/token/revoke", {{"token", agent_.token}});
  const auto refused = write("sys/wrapping/unwrap", Json::object(), wrapping);
  EXPECT_EQ(code_of(refused), Errc::kPermissionDenied);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, hole_somebody_else_claims) {
  const Session other = must_have_agent("other", {{"policies", {"writer"}}});
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  EXPECT_EQ(code_of(claim(request, other.token)), Errc::kNotFound);
  EXPECT_EQ(code_of(claim(request, "root")), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(claim(request, alice().token)), Errc::kPermissionDenied);
  EXPECT_EQ(state_of(request), "approved");
}

TEST_F(ApprovalTest, hole_a_policy_that_is_taken_away_before_the_claim) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  must_write("identity/agent/robot", {{"policies", Json::array()}});
  EXPECT_EQ(code_of(claim(request)), Errc::kPermissionDenied);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, hole_a_disabled_agent_does_not_claim) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  must_write("identity/agent/robot", {{"disabled", true}});
  EXPECT_EQ(code_of(claim(request)), Errc::kPermissionDenied);
}

TEST_F(ApprovalTest, hole_a_lockdown_holds_after_the_approval) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  must_write("sys/lockdown", {{"mount", "db/"}, {"reason", "incident"}});
  EXPECT_EQ(code_of(claim(request)), Errc::kPermissionDenied);
  EXPECT_EQ(state_of(request), "approved");
}

TEST_F(ApprovalTest, hole_two_entities_are_merged_into_one_human) {
  guard(
      R"(control_group = { factor "o" { identity { group_names = ["owners"] approvals = 2 } } })");
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  const Json kept = must_read("identity/entity/id/" + bob().entity).at("aliases").at(0).at("id");
  must_write("identity/entity/merge", {{"from_entity_ids", {alice().entity}},
                                       {"to_entity_id", bob().entity},
                                       {"conflicting_alias_ids_to_keep", {kept}}});
  EXPECT_EQ(must_decide(request, "approve", bob()).at("state"), "pending");
}

TEST_F(ApprovalTest, hole_a_row_that_was_edited_in_the_store_is_not_trusted) {
  const Json request = must_ask();
  tamper("UPDATE approvals SET state = 1");
  EXPECT_EQ(code_of(claim(request)), Errc::kCorrupt);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, hole_a_crash_loses_no_decision_and_makes_no_second_lease) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  restart();
  EXPECT_EQ(state_of(request), "approved");
  const auto lease = claim(request);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  restart();
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_EQ(outside_.names().size(), 1U);
}

TEST_F(ApprovalTest, hole_a_withdrawal_while_the_credential_is_made) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  outside_.during_apply = [&](const std::string&) {
    outside_.during_apply = nullptr;
    EXPECT_TRUE(decide(request, "withdraw", bob()).has_value());
  };
  EXPECT_FALSE(claim(request).has_value());
  run_due();
  clock_.advance(std::chrono::minutes{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(state_of(request), "withdrawn");
}

TEST_F(ApprovalTest, a_comment_does_not_prolong_the_pause_after_a_denial) {
  const Json request = must_ask();
  const Json denied = must_decide(request, "deny", alice());
  clock_.advance(std::chrono::minutes{4});
  EXPECT_EQ(must_decide(request, "comment", bob()).at("closed_at"), denied.at("closed_at"));
  clock_.advance(std::chrono::minutes{1});
  EXPECT_TRUE(ask().has_value());
}

TEST_F(ApprovalTest, a_credential_in_use_does_not_end_with_a_change_of_its_role) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  ASSERT_TRUE(claim(request).has_value());
  outside_.role_text = "CREATE ROLE … SUPERUSER";
  EXPECT_EQ(code_of(read(kGuarded, agent_.token)), Errc::kConflict);  // as a retry of the claim
  run_due();
  EXPECT_EQ(state_of(request), "claimed");
  EXPECT_EQ(outside_.names().size(), 1U);
}

TEST_F(ApprovalTest, whoever_may_not_see_it_is_not_told_that_it_is_there) {
  const Session stranger = must_have_human("eve");
  const Json request = must_ask();
  EXPECT_EQ(code_of(read("sys/approvals/" + id_of(request), stranger.token)), Errc::kNotFound);
  EXPECT_EQ(code_of(decide(request, "comment", stranger)), Errc::kNotFound);
  const auto list = call(Operation::kList, "sys/approvals/", Json::object(), stranger.token);
  ASSERT_TRUE(list.has_value());
  EXPECT_TRUE(list->data.at("keys").empty());
}

TEST_F(ApprovalTest, whoever_asked_and_the_human_behind_may_take_it_back) {
  const Json request = must_ask();
  EXPECT_EQ(code_of(decide(request, "cancel", alice())), Errc::kPermissionDenied);
  EXPECT_EQ(must_decide(request, "cancel", agent_).at("state"), "cancelled");
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kConflict);
}

TEST_F(ApprovalTest, values_of_a_guarded_write_are_shown_to_nobody) {
  write_policy("writer", R"(path "kv/a" { capabilities = ["update", "create"] control_group = {
      factor "o" { identity { group_names = ["owners"] approvals = 1 } } } })");
  const auto waiting = write("kv/a", {{"password", "hunter2"}}, agent_.token);
  ASSERT_TRUE(waiting.has_value()) << waiting.error().message;
  const Json list = call(Operation::kList, "sys/approvals/", {}, alice().token)->data;
  const Json request =
      must_read("sys/approvals/" + list.at("keys").at(0).get<std::string>(), alice().token);
  EXPECT_EQ(dump_json(request).find("hunter2"), std::string::npos);
  EXPECT_TRUE(request.at("parameters").contains("password"));
  must_decide(request, "approve", alice());
  EXPECT_EQ(must_read("kv/a").at("x"), "y");
  EXPECT_TRUE(claim(request).has_value());
  EXPECT_EQ(must_read("kv/a").at("password"), "hunter2");
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
}

}  // namespace
}  // namespace curfew::broker
