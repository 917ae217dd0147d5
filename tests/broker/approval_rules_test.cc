// The rules of the approval queue, one by one, through the whole broker.
#include "tests/broker/approval_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTwoOwners =
    R"(control_group = { factor "owners" {
        identity { group_names = ["owners"] approvals = 2 } } })";

// ---- 1: distinct humans are counted

TEST_F(ApprovalTest, rule_1_two_approvals_are_those_of_two_humans) {
  guard(kTwoOwners);
  const Json request = must_ask();
  const Json once = must_decide(request, "approve", alice());
  EXPECT_EQ(once.at("state"), "pending");
  EXPECT_EQ(must_decide(request, "approve", alice()).at("state"), "pending");
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_EQ(must_decide(request, "approve", bob()).at("state"), "approved");
  EXPECT_TRUE(claim(request).has_value());
}

TEST_F(ApprovalTest, rule_1_zero_approvals_are_no_policy) {
  const auto refused =
      write("sys/policies/acl/writer",
            {{"policy", R"(path "db/creds/rw" { capabilities = ["read"] control_group = {
               factor "f" { identity { group_names = ["owners"] approvals = 0 } } } })"}});
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
}

TEST_F(ApprovalTest, rule_1_rules_of_several_policies_are_merged) {
  write_policy("more", R"(path "db/creds/rw" { capabilities = ["read"] control_group = {
      factor "security" { identity { group_names = ["security"] approvals = 1 } } } })");
  must_write("identity/agent/robot", {{"policies", {"writer", "more"}}});
  const Json request = must_ask();
  EXPECT_EQ(request.at("factors").size(), 2U);
  EXPECT_EQ(must_decide(request, "approve", alice()).at("state"), "pending");
  EXPECT_EQ(must_decide(request, "approve", carol()).at("state"), "approved");
}

// ---- 2: denial and withdrawal

TEST_F(ApprovalTest, rule_2_one_denial_wins_while_it_is_pending) {
  guard(kTwoOwners);
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  EXPECT_EQ(must_decide(request, "deny", bob(), {{"reason", "not today"}}).at("state"), "denied");
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kConflict);
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_EQ(present(request).at("decisions").back().at("reason"), "not today");
}

TEST_F(ApprovalTest, rule_2_a_denial_needs_a_reason) {
  const Json request = must_ask();
  EXPECT_EQ(code_of(decide(request, "deny", bob(), {{"reason", ""}})), Errc::kInvalidArgument);
  EXPECT_EQ(state_of(request), "pending");
}

TEST_F(ApprovalTest, rule_2_withdrawing_after_the_claim_ends_the_lease) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  const auto lease = claim(request);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  const std::string name = lease->data.at("username");
  EXPECT_TRUE(outside_.has(name));
  EXPECT_EQ(must_decide(request, "withdraw", bob()).at("state"), "withdrawn");
  run_due();
  EXPECT_FALSE(outside_.has(name));
}

// ---- 3: nobody approves for oneself

TEST_F(ApprovalTest, rule_3_neither_who_asks_nor_who_owns_the_agent) {
  const Session ada = must_login("ada-login");
  must_write("identity/entity/id/" + ada.entity, {{"kind", "human"}});
  must_write("identity/agent/robot", {{"owner", ada.entity}});
  must_write("identity/group/id/" + owners_,
             {{"member_entity_ids", {alice().entity, bob().entity, ada.entity, agent_.entity}}});
  const Json request = must_ask();
  const auto refused = decide(request, "approve", ada);
  EXPECT_EQ(code_of(refused), Errc::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("nobody approves what"));
  EXPECT_EQ(code_of(decide(request, "approve", agent_)), Errc::kPermissionDenied);
  EXPECT_EQ(state_of(request), "pending");
}

TEST_F(ApprovalTest, rule_3_nor_whoever_became_its_owner_since) {
  const Json request = must_ask();
  must_write("identity/agent/robot", {{"owner", alice().entity}});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kPermissionDenied);
  EXPECT_TRUE(decide(request, "approve", bob()).has_value());
}

TEST_F(ApprovalTest, rule_3_nor_the_group_that_answers_for_it) {
  must_write("identity/agent/robot", {{"owner", "group:owners"}});
  const Json request = must_ask();
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kNotFound);
  EXPECT_EQ(state_of(request), "pending");
}

TEST_F(ApprovalTest, rule_3_nor_whoever_made_the_token_that_asks) {
  write_policy("maker", R"(path "auth/token/create" { capabilities = ["update"] })");
  const Session maker = must_login("alice", "", "writer,maker");
  const auto child =
      write("auth/token/create", {{"policies", {"writer"}}, {"ttl", "1h"}}, maker.token);
  ASSERT_TRUE(child.has_value()) << child.error().message;
  const Json request = must_ask({}, child->auth->client_token.reveal());
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kPermissionDenied);
  EXPECT_TRUE(decide(request, "approve", bob()).has_value());
}

TEST_F(ApprovalTest, rule_3_root_makes_no_exception) {
  const Json request = must_ask();
  const auto refused = decide(request, "approve", {"root", ""});
  EXPECT_EQ(code_of(refused), Errc::kPermissionDenied);
  EXPECT_EQ(state_of(request), "pending");
}

// ---- 4: agents never approve

TEST_F(ApprovalTest, rule_4_an_agent_never_approves_whatever_its_policies_say) {
  const Session other = must_have_agent("helper", {{"policies", {"all"}}});
  write_policy("all",
               R"(path "*" { capabilities = ["create", "read", "update", "list", "sudo"] })");
  must_write("identity/group/id/" + owners_, {{"member_entity_ids", {other.entity}}});
  const Json request = must_ask();
  const auto refused = decide(request, "approve", other);
  EXPECT_EQ(code_of(refused), Errc::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("an agent never approves"));
}

TEST_F(ApprovalTest, rule_4_nor_does_a_token_that_a_human_made) {
  must_write("identity/entity/id/" + alice().entity, {{"policies", {"maker"}}});
  write_policy("maker", R"(path "auth/token/create" { capabilities = ["update"] })");
  const auto child = write("auth/token/create", {{"ttl", "1h"}}, alice().token);
  ASSERT_TRUE(child.has_value()) << child.error().message;
  const Json request = must_ask();
  const Session made{child->auth->client_token.reveal(), alice().entity};
  EXPECT_EQ(code_of(decide(request, "approve", made)), Errc::kPermissionDenied);
  EXPECT_EQ(state_of(request), "pending");
}

TEST_F(ApprovalTest, rule_4_nor_an_entity_that_is_not_known_to_be_human) {
  const Session dora = must_login("dora");
  must_write("identity/group/id/" + owners_, {{"member_entity_ids", {dora.entity}}});
  const Json request = must_ask();
  EXPECT_EQ(code_of(decide(request, "approve", dora)), Errc::kPermissionDenied);
  must_write("identity/entity/id/" + dora.entity, {{"kind", "human"}});
  EXPECT_TRUE(decide(request, "approve", dora).has_value());
}

// ---- 5: an approval covers a digest

TEST_F(ApprovalTest, rule_5_another_role_text_is_not_what_was_approved) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  outside_.role_text = "CREATE ROLE … SUPERUSER";
  const auto refused = claim(request);
  EXPECT_EQ(code_of(refused), Errc::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("changed since this was approved"));
  EXPECT_EQ(state_of(request), "superseded");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, rule_5_another_policy_is_not_what_was_approved) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  guard(kTwoOwners);
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_EQ(state_of(request), "superseded");
}

TEST_F(ApprovalTest, rule_5_asked_again_after_a_change_it_is_another_request) {
  const Json before = must_ask();
  outside_.role_text = "CREATE ROLE; GRANT";
  const Json after = must_ask();
  EXPECT_NE(after.at("id"), before.at("id"));
  EXPECT_EQ(state_of(before), "superseded");
  must_decide(after, "approve", alice());
  EXPECT_TRUE(claim(after).has_value());
}

TEST_F(ApprovalTest, rule_5_other_parameters_session_or_ttl_are_another_request) {
  extra_.session = "one";
  const Json request = must_ask({{"ttl", "10m"}});
  must_decide(request, "approve", alice());
  const auto other = [&](Json data) {
    const auto answer = call(Operation::kRead, kGuarded, std::move(data), agent_.token);
    EXPECT_TRUE(answer.has_value());
    return answer && answer->lease_id.empty() && answer->wrap_info;
  };
  EXPECT_TRUE(other({{"x", "y"}}));
  EXPECT_TRUE(other({{"ttl", "20m"}}));
  extra_.session = "two";
  EXPECT_TRUE(other(Json::object()));
  extra_.session = "one";
  const auto lease = read(kGuarded, agent_.token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_EQ(lease->lease_duration, Seconds{600});
}

TEST_F(ApprovalTest, rule_5_the_digest_and_the_deciders_are_on_the_lease_and_its_receipt) {
  const Json request = must_ask({{"reason", "repair of order 7"}});
  must_decide(request, "approve", alice(), {{"reason", "fine"}});
  const auto lease = claim(request);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  const Json seen = must_write("sys/leases/lookup", {{"lease_id", lease->lease_id}}).data;
  EXPECT_EQ(seen.at("approval").at("digest"), request.at("digest"));
  EXPECT_EQ(seen.at("approval").at("deciders").at(0).at("name"),
            present(request).at("decisions").at(0).at("by").at("name"));
  EXPECT_EQ(seen.at("approval").at("deciders").at(0).at("reason"), "fine");
  EXPECT_FALSE(lease->renewable);
  must_write("sys/leases/revoke", {{"lease_id", lease->lease_id}});
  const Json after = must_write("sys/leases/receipt", {{"lease_id", lease->lease_id}}).data;
  EXPECT_EQ(after.at("receipt").at("approval").at("id"), request.at("id"));
}

// ---- 6: eligibility at the decision

TEST_F(ApprovalTest, rule_6_membership_counts_when_it_is_decided) {
  const Json request = must_ask();
  must_write("identity/group/id/" + owners_, {{"member_entity_ids", {bob().entity}}});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kNotFound);
  EXPECT_TRUE(decide(request, "approve", bob()).has_value());
}

TEST_F(ApprovalTest, rule_6_members_of_nested_groups_count) {
  must_write("identity/group/id/" + owners_,
             {{"member_entity_ids", Json::array()}, {"member_group_ids", {security_}}});
  const Json request = must_ask();
  EXPECT_EQ(must_decide(request, "approve", carol()).at("state"), "approved");
}

TEST_F(ApprovalTest, rule_6_a_group_is_known_by_its_id) {
  const Json request = must_ask();
  EXPECT_TRUE(remove("identity/group/id/" + owners_).has_value());
  must_have_group("owners", {alice().entity});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kNotFound);
  EXPECT_EQ(state_of(request), "pending");
}

TEST_F(ApprovalTest, rule_6_where_nobody_could_approve_nobody_is_asked) {
  guard(
      R"(control_group = { factor "x" { identity { group_names = ["nobody"] approvals = 1 } } })");
  const auto refused = ask();
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("nobody could approve"));
}

// ---- 7: narrowing

TEST_F(ApprovalTest, rule_7_narrowing_makes_a_new_digest_and_resets_the_others) {
  guard(kTwoOwners);
  const Json request = must_ask({{"ttl", "15m"}});
  must_decide(request, "approve", alice());
  const Json narrowed = must_decide(request, "narrow", bob(), {{"ttl", "5m"}});
  EXPECT_EQ(narrowed.at("state"), "pending");
  EXPECT_EQ(narrowed.at("ttl"), 300);
  EXPECT_NE(narrowed.at("digest"), request.at("digest"));
  EXPECT_EQ(narrowed.at("factors").at(0).at("given"), 1);
  EXPECT_EQ(must_decide(narrowed, "approve", alice()).at("state"), "approved");
  const auto lease = claim(request);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_EQ(lease->lease_duration, Seconds{300});
}

TEST_F(ApprovalTest, rule_7_an_approver_may_not_widen) {
  const Json request = must_ask({{"ttl", "10m"}});
  for (const char* ttl : {"10m", "1h", "0s"})
    EXPECT_EQ(code_of(decide(request, "narrow", bob(), {{"ttl", ttl}})), Errc::kInvalidArgument);
}

// ---- 8: the claim

TEST_F(ApprovalTest, rule_8_the_lease_begins_with_the_claim_and_there_is_one) {
  const Json request = must_ask({{"ttl", "10m"}});
  must_decide(request, "approve", alice());
  clock_.advance(std::chrono::minutes{14});
  const auto lease = claim(request);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_EQ(lease->lease_duration, Seconds{600});
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  EXPECT_EQ(outside_.names().size(), 1U);
}

TEST_F(ApprovalTest, rule_8_what_is_not_claimed_in_time_lapses) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  clock_.advance(std::chrono::minutes{15});
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
  run_due();
  EXPECT_EQ(state_of(request), "lapsed");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, rule_8_a_claim_that_certainly_made_nothing_is_given_back) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  outside_.fail_apply(ScriptedWorld::Fault::kBefore);
  EXPECT_EQ(code_of(claim(request)), Errc::kUnavailable);
  EXPECT_EQ(state_of(request), "approved");
  outside_.fail_apply(ScriptedWorld::Fault::kNone);
  EXPECT_TRUE(claim(request).has_value());
}

TEST_F(ApprovalTest, rule_8_a_claim_in_doubt_is_used_up) {
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  outside_.fail_apply(ScriptedWorld::Fault::kInDoubtDone);
  EXPECT_EQ(code_of(claim(request)), Errc::kInDoubt);
  EXPECT_EQ(state_of(request), "claimed");
  outside_.fail_apply(ScriptedWorld::Fault::kNone);
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
}

// ---- 9: time

TEST_F(ApprovalTest, rule_9_a_request_escalates_at_half_time_and_then_expires) {
  const Json request = must_ask();
  clock_.advance(std::chrono::minutes{15});
  run_due();
  EXPECT_EQ(present(request).at("escalated"), true);
  clock_.advance(std::chrono::minutes{15});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kConflict);
  run_due();
  EXPECT_EQ(state_of(request), "expired");
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
}

// ---- 10: repetitions and bounds

TEST_F(ApprovalTest, rule_10_a_repetition_with_the_same_key_is_the_same_request) {
  const Json first = must_ask({{"idempotency_key", "k-1"}, {"reason", "x"}});
  EXPECT_EQ(must_ask({{"idempotency_key", "k-1"}, {"reason", "x"}}).at("id"), first.at("id"));
  const Json other = must_ask({{"idempotency_key", "k-1"}, {"reason", "y"}});
  EXPECT_NE(other.at("id"), first.at("id"));
  EXPECT_EQ(state_of(first), "superseded");
}

TEST_F(ApprovalTest, rule_10_only_so_many_may_wait) {
  for (int i = 0; i < 10; ++i) must_ask({{"parameters", {{"n", i}}}});
  const auto refused = ask({{"parameters", {{"n", 10}}}});
  EXPECT_EQ(code_of(refused), Errc::kQuotaExceeded);
}

TEST_F(ApprovalTest, rule_10_what_was_just_denied_is_not_asked_again_at_once) {
  const Json request = must_ask({{"reason", "please"}});
  must_decide(request, "deny", alice(), {{"reason", "no"}});
  EXPECT_EQ(code_of(ask({{"reason", "in other words"}})), Errc::kQuotaExceeded);
  EXPECT_EQ(code_of(read(kGuarded, agent_.token)), Errc::kQuotaExceeded);
  clock_.advance(std::chrono::minutes{5});
  EXPECT_TRUE(ask().has_value());
}

// ---- 11: rules that approve

TEST_F(ApprovalTest, rule_11_a_rule_approves_within_its_bounds_and_is_named) {
  guard(R"(approval { factor "o" { identity { group_names = ["owners"] approvals = 1 } }
             auto "small" { max_ttl = "5m" per_hour = 2 } })");
  const Json small = must_ask({{"ttl", "5m"}});
  EXPECT_EQ(small.at("state"), "approved");
  EXPECT_EQ(small.at("automatic").at("rule"), "small");
  EXPECT_EQ(small.at("automatic").at("version"), small.at("policy_version"));
  EXPECT_TRUE(claim(small).has_value());
  EXPECT_EQ(must_ask({{"ttl", "6m"}}).at("state"), "pending");
  EXPECT_EQ(must_ask({{"ttl", "1m"}, {"parameters", {{"n", 1}}}}).at("state"), "approved");
  EXPECT_EQ(must_ask({{"ttl", "1m"}, {"parameters", {{"n", 2}}}}).at("state"), "pending");
  clock_.advance(std::chrono::hours{1});
  EXPECT_EQ(must_ask({{"ttl", "1m"}, {"parameters", {{"n", 3}}}}).at("state"), "approved");
}

TEST_F(ApprovalTest, rule_11_a_rule_in_shadow_decides_nothing) {
  guard(R"(approval { factor "o" { identity { group_names = ["owners"] approvals = 1 } }
             auto "small" { max_ttl = "5m" per_hour = 2 shadow = true } })");
  const Json small = must_ask({{"ttl", "5m"}});
  EXPECT_EQ(small.at("state"), "pending");
  EXPECT_EQ(small.at("shadow").at(0).at("would_approve"), true);
  EXPECT_EQ(must_ask({{"ttl", "6m"}}).at("shadow").at(0).at("would_approve"), false);
}

// ---- 12: break glass

TEST_F(ApprovalTest, rule_12_a_human_breaks_the_glass_and_is_reviewed) {
  guard(R"(approval { factor "o" { identity { group_names = ["owners"] approvals = 1 } }
             break_glass { group_names = ["security"] } })");
  must_write("identity/entity/id/" + carol().entity, {{"policies", {"writer"}}});
  const Json wish = {{"break_glass", true}, {"reason", "orders stand still"}};
  EXPECT_EQ(code_of(ask(wish)), Errc::kPermissionDenied);  // an agent
  Json short_reason = wish;
  short_reason["reason"] = "now";
  EXPECT_EQ(code_of(ask(short_reason, carol().token)), Errc::kInvalidArgument);
  const Json request = must_ask(wish, carol().token);
  EXPECT_EQ(request.at("state"), "approved");
  EXPECT_EQ(request.at("break_glass").at("reviewed"), false);
  EXPECT_TRUE(claim(request, carol().token).has_value());
  EXPECT_EQ(code_of(decide(request, "review", carol())), Errc::kPermissionDenied);
  EXPECT_EQ(must_decide(request, "review", alice()).at("break_glass").at("reviewed"), true);
}

// ---- 13: what the agent wrote

TEST_F(ApprovalTest, rule_13_what_the_agent_wrote_is_bounded_and_plain) {
  const Json request = must_ask(
      {{"reason", "a\u202eb\nc\u200bd" + std::string(5000, 'x')}, {"purpose", "<b>\u2066p"}});
  const std::string reason = request.at("claims_of_agent").at("reason");
  EXPECT_EQ(reason.substr(0, 4), "abcd");
  EXPECT_LE(reason.size(), 1024U);
  EXPECT_EQ(request.at("claims_of_agent").at("purpose"), "<b>p");
}

// ---- 14: what the approver sees

TEST_F(ApprovalTest, rule_14_the_approver_sees_all_of_it) {
  extra_.session = "s-1";
  extra_.traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  must_ask({{"parameters", {{"n", 1}}}});
  clock_.advance(Seconds{1});
  const Json made = must_ask({{"reason", "why"}, {"statement", "UPDATE t SET x = 1"}});
  extra_.session.clear();
  extra_.traceparent.clear();
  const Json request = must_read("sys/approvals/" + id_of(made), alice().token);
  EXPECT_EQ(request.at("role"), "rw");
  EXPECT_EQ(request.at("target"), "target");
  EXPECT_EQ(request.at("evidence").at("statements").at(0), "CREATE ROLE");
  EXPECT_EQ(request.at("evidence").at("rehearsal").at("rows"), 3);
  EXPECT_FALSE(made.at("evidence").contains("rehearsal"));  // that would be data before approval
  EXPECT_EQ(request.at("requester").at("session"), "s-1");
  EXPECT_EQ(request.at("requester").at("trace_id"), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(request.at("requester").at("owner"), "ada");
  EXPECT_EQ(request.at("factors").at(0).at("approvals"), 1);
  EXPECT_EQ(request.at("earlier").size(), 1U);
  EXPECT_EQ(request.at("can").at("approve"), true);
}

TEST_F(ApprovalTest, rule_14_a_statement_that_does_not_work_is_not_asked_for) {
  EXPECT_EQ(code_of(ask({{"statement", "broken"}})), Errc::kInvalidArgument);
}

// ---- 16: what was seen is what is approved

TEST_F(ApprovalTest, rule_16_an_approval_names_what_was_seen) {
  const Json request = must_ask({{"ttl", "10m"}});
  EXPECT_EQ(code_of(decide(request, "approve", alice(), {{"digest", ""}})), Errc::kInvalidArgument);
  must_decide(request, "comment", bob());
  guard(kTwoOwners);
  const Json narrowed = must_decide(request, "narrow", bob(), {{"ttl", "1m"}});
  EXPECT_EQ(narrowed.at("state"), "approved");  // the factors are those of when it was made
  const Json second = must_ask({{"ttl", "10m"}, {"parameters", {{"n", 1}}}});
  must_decide(second, "narrow", bob(), {{"ttl", "1m"}});
  EXPECT_EQ(code_of(decide(second, "approve", alice())), Errc::kPreconditionFailed);
}

}  // namespace
}  // namespace curfew::broker
