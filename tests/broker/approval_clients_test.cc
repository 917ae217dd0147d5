// The queue as its clients meet it: a read that waits, Vault's control groups, a client that polls,
// tasks, events.
#include <atomic>

#include "tests/broker/approval_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

Json only_request(const Result<Response>& list) {
  EXPECT_TRUE(list.has_value());
  EXPECT_EQ(list->data.at("keys").size(), 1U);
  return list->data.at("key_info").at(list->data.at("keys").at(0).get<std::string>());
}

// ---- Vault's flow

TEST_F(ApprovalTest, a_guarded_read_gives_a_wrapping_token_that_opens_once_it_is_approved) {
  const auto waiting = read(kGuarded, agent_.token);
  ASSERT_TRUE(waiting.has_value()) << waiting.error().message;
  ASSERT_TRUE(waiting->wrap_info.has_value());
  EXPECT_TRUE(waiting->data.is_null());
  EXPECT_EQ(waiting->wrap_info->creation_path, kGuarded);
  const std::string wrapping = waiting->wrap_info->token.reveal();
  const std::string accessor = waiting->wrap_info->accessor;

  const auto early = write("sys/wrapping/unwrap", {{"token", wrapping}}, agent_.token);
  EXPECT_EQ(code_of(early), Errc::kInvalidArgument);
  EXPECT_THAT(early.error().message, HasSubstr("Request needs further approval"));

  const Json before = must_write("sys/control-group/request", {{"accessor", accessor}}).data;
  EXPECT_EQ(before.at("approved"), false);
  EXPECT_EQ(before.at("request_path"), kGuarded);
  EXPECT_EQ(before.at("request_entity").at("id"), agent_.entity);
  write_policy("authorizer", R"(path "sys/control-group/authorize" { capabilities = ["update"] })");
  must_write("identity/entity/id/" + alice().entity, {{"policies", {"authorizer"}}});
  const auto authorized =
      write("sys/control-group/authorize", {{"accessor", accessor}}, alice().token);
  ASSERT_TRUE(authorized.has_value()) << authorized.error().message;
  EXPECT_EQ(authorized->data, (Json{{"approved", true}}));
  const Json after = must_write("sys/control-group/request", {{"accessor", accessor}}).data;
  EXPECT_EQ(after.at("authorizations").at(0).at("entity_id"), alice().entity);

  const auto opened = write("sys/wrapping/unwrap", Json::object(), wrapping);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_THAT(opened->lease_id, HasSubstr("db/creds/rw/"));
  EXPECT_TRUE(outside_.has(opened->data.at("username")));
  EXPECT_EQ(code_of(write("sys/wrapping/unwrap", Json::object(), wrapping)),
            Errc::kInvalidArgument);
  EXPECT_EQ(outside_.names().size(), 1U);
  // The lease is the one's who asked, and ends with that token.
  must_write("auth/token/revoke", {{"token", agent_.token}});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTest, reading_again_while_it_waits_makes_no_second_request) {
  ASSERT_TRUE(read(kGuarded, agent_.token).has_value());
  ASSERT_TRUE(read(kGuarded, agent_.token).has_value());
  const Json request = only_request(list("sys/approvals/", alice().token));
  must_decide(request, "approve", alice());
  const auto lease = read(kGuarded, agent_.token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_FALSE(lease->lease_id.empty());
}

TEST_F(ApprovalTest, a_client_that_prefers_it_gets_202_and_where_to_look) {
  extra_.responds_async = true;
  std::vector<AnswerHeader> headers;
  extra_.answer_headers = &headers;
  const auto waiting = read(kGuarded, agent_.token);
  extra_.answer_headers = nullptr;
  ASSERT_TRUE(waiting.has_value()) << waiting.error().message;
  EXPECT_EQ(waiting->status, 202);
  EXPECT_FALSE(waiting->wrap_info.has_value());
  EXPECT_EQ(waiting->data.at("state"), "pending");
  EXPECT_EQ(waiting->data.at("factors").at(0).at("given"), 0);
  ASSERT_FALSE(headers.empty());
  EXPECT_EQ(headers[0].value, "/v1/sys/approvals/" + id_of(waiting->data));
}

// ---- a client that polls

TEST_F(ApprovalTest, a_plain_polling_client_asks_polls_and_reads) {
  const Json body = {{"agent_id", "robot"},
                     {"operation", "write"},
                     {"target_resource", kGuarded},
                     {"justification", "fix order 7"},
                     {"requested_duration_minutes", 10},
                     {"timestamp", "2027-01-15T08:00:00Z"}};
  const auto made = write("sys/control-group/request", body, agent_.token);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  ASSERT_TRUE(made->request_id.has_value());
  const std::string path = "sys/control-group/request/" + *made->request_id;
  const auto before = read(path, agent_.token);
  ASSERT_TRUE(before.has_value()) << before.error().message;
  EXPECT_EQ(before->layout, Layout::kInjected);
  EXPECT_EQ(before->data.at("approved"), false);
  const Json request = must_read("sys/approvals/" + *made->request_id, alice().token);
  EXPECT_EQ(request.at("ttl"), 600);
  EXPECT_EQ(request.at("claims_of_agent").at("reason"), "fix order 7");
  must_decide(request, "approve", alice());
  EXPECT_EQ(read(path, agent_.token)->data.at("approved"), true);
  const auto lease = read(kGuarded, agent_.token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_EQ(lease->lease_duration, Seconds{600});
  EXPECT_TRUE(outside_.has(lease->data.at("username")));
}

TEST_F(ApprovalTest, a_polling_client_may_use_its_own_words_where_there_is_no_doubt) {
  const auto made =
      write("sys/control-group/request", {{"target_resource", "production-db"}}, agent_.token);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->data.at("request_path"), kGuarded);
}

TEST_F(ApprovalTest, a_polling_client_that_names_no_path_is_told_so) {
  const auto refused =
      write("sys/control-group/request", {{"target_resource", "production-db"}}, alice().token);
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("production-db"));
}

// ---- waiting

TEST_F(ApprovalTest, a_read_that_may_wait_is_on_hold_until_it_is_approved) {
  extra_.hold_left = Seconds{50};
  const auto held = read(kGuarded, agent_.token);
  ASSERT_TRUE(held.has_value()) << held.error().message;
  ASSERT_TRUE(held->hold.has_value());
  std::atomic<int> woken = 0;
  const auto subscription = held->hold->subscribe([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  must_decide(only_request(list("sys/approvals/", alice().token)), "approve", alice());
  EXPECT_EQ(woken, 1);
  extra_.resumed = true;
  const auto lease = read(kGuarded, agent_.token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_FALSE(lease->lease_id.empty());
}

TEST_F(ApprovalTest, what_happens_before_anybody_listens_is_not_missed) {
  const Json request = must_ask();
  const auto held = read("sys/approvals/" + id_of(request) + "/wait", agent_.token);
  ASSERT_TRUE(held.has_value() && held->hold);
  must_decide(request, "approve", alice());
  int woken = 0;
  held->hold->subscribe([&] { ++woken; });
  EXPECT_EQ(woken, 1);
}

TEST_F(ApprovalTest, whoever_lets_go_is_not_woken) {
  const Json request = must_ask();
  const auto held = read("sys/approvals/" + id_of(request) + "/wait", agent_.token);
  ASSERT_TRUE(held.has_value() && held->hold);
  int woken = 0;
  held->hold->subscribe([&] { ++woken; }).reset();
  must_decide(request, "approve", alice());
  EXPECT_EQ(woken, 0);
}

TEST_F(ApprovalTest, waiting_answers_at_once_where_there_is_something_to_say) {
  const Json request = must_ask();
  const std::string path = "sys/approvals/" + id_of(request) + "/wait";
  const auto at_once = call(Operation::kRead, path, {{"revision", 0}}, agent_.token);
  ASSERT_TRUE(at_once.has_value());
  EXPECT_FALSE(at_once->hold.has_value());
  EXPECT_EQ(at_once->data.at("revision"), 1);
  const auto not_at_all = call(Operation::kRead, path, {{"timeout", "0s"}}, agent_.token);
  ASSERT_TRUE(not_at_all.has_value());
  EXPECT_EQ(not_at_all->data.at("state"), "pending");
}

TEST_F(ApprovalTest, events_tell_everybody_what_is_theirs) {
  const Session stranger = must_have_human("eve");
  std::map<std::string, std::vector<std::string>> heard;
  std::vector<std::shared_ptr<void>> open;
  for (const auto& [name, token] : std::map<std::string, std::string>{
           {"agent", agent_.token}, {"alice", alice().token}, {"eve", stranger.token}}) {
    const auto answer = read("sys/approvals/events", token);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    ASSERT_NE(answer->stream, nullptr);
    open.push_back(answer->stream->open(
        [&heard, who = name](std::string piece) { heard[who].push_back(std::move(piece)); },
        [] {}));
  }
  const Json request = must_ask();
  must_decide(request, "approve", alice());
  EXPECT_EQ(heard["agent"].size(), 3U);  // hello, made, approved
  ASSERT_EQ(heard["alice"].size(), 3U);
  EXPECT_THAT(heard["alice"][1], HasSubstr("\"waiting\":true"));
  EXPECT_THAT(heard["alice"][2], HasSubstr("\"state\":\"approved\""));
  EXPECT_EQ(heard["eve"].size(), 1U);
  open.clear();
  must_ask({{"parameters", {{"n", 1}}}});
  EXPECT_EQ(heard["alice"].size(), 3U);
}

// ---- lists

TEST_F(ApprovalTest, lists_are_filtered_and_go_on) {
  const Json first = must_ask({{"parameters", {{"n", 1}}}});
  for (int i = 2; i <= 5; ++i) {
    clock_.advance(Seconds{1});
    must_ask({{"parameters", {{"n", i}}}});
  }
  must_decide(first, "deny", alice());
  const auto keys = [&](Json query, const std::string& token) {
    const auto answer = call(Operation::kList, "sys/approvals/", std::move(query), token);
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    return answer ? answer->data : Json::object();
  };
  EXPECT_EQ(keys({{"waiting", true}}, alice().token).at("keys").size(), 4U);
  EXPECT_EQ(keys({{"state", "denied"}}, alice().token).at("keys").size(), 1U);
  EXPECT_EQ(keys({{"mine", true}}, agent_.token).at("keys").size(), 5U);
  EXPECT_EQ(keys({{"role", "other"}}, alice().token).at("keys").size(), 0U);
  const Json page = keys({{"limit", 2}}, alice().token);
  ASSERT_EQ(page.at("keys").size(), 2U);
  const Json next = keys({{"limit", 2}, {"after", page.at("next")}}, alice().token);
  ASSERT_EQ(next.at("keys").size(), 2U);
  EXPECT_NE(next.at("keys").at(0), page.at("keys").at(1));
  const Json last = keys({{"limit", 2}, {"after", next.at("next")}}, alice().token);
  EXPECT_EQ(last.at("keys").size(), 1U);
  EXPECT_TRUE(last.at("next").is_null());
  EXPECT_EQ(code_of(call(Operation::kList, "sys/approvals/", {{"state", "x"}}, alice().token)),
            Errc::kInvalidArgument);
}

// ---- tasks

class ApprovalTaskTest : public ApprovalTest {
 protected:
  ApprovalTaskTest() {
    guard(R"(approval { factor "o" { identity { group_names = ["owners"] approvals = 1 } }
               task { max_leases = 3 max_duration = "1h" } })");
  }

  Json must_have_task(Json task) {
    const Json request = must_ask({{"ttl", "10m"}, {"task", std::move(task)}});
    return must_decide(request, "approve", alice());
  }
};

TEST_F(ApprovalTaskTest, one_approval_covers_the_leases_of_a_task) {
  const Json task = must_have_task({{"leases", 2}, {"duration", "30m"}});
  for (int i = 0; i < 2; ++i) {
    const auto lease = read(kGuarded, agent_.token);
    ASSERT_TRUE(lease.has_value()) << lease.error().message;
    EXPECT_FALSE(lease->lease_id.empty());
  }
  const auto third = read(kGuarded, agent_.token);
  EXPECT_TRUE(!third || third->lease_id.empty());
  EXPECT_EQ(outside_.names().size(), 2U);
  EXPECT_EQ(present(task).at("task").at("leases_used"), 2);
}

TEST_F(ApprovalTaskTest, its_leases_end_with_it) {
  const Json task = must_have_task({{"leases", 3}, {"duration", "15m"}});
  ASSERT_TRUE(read(kGuarded, agent_.token).has_value());
  clock_.advance(std::chrono::minutes{9});
  const auto late = read(kGuarded, agent_.token);
  ASSERT_TRUE(late.has_value()) << late.error().message;
  EXPECT_EQ(late->lease_duration, std::chrono::minutes{6});
  clock_.advance(std::chrono::minutes{6});
  run_due();
  EXPECT_EQ(state_of(task), "ended");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ApprovalTaskTest, an_approver_and_whoever_asked_end_it_at_once) {
  for (const bool by_approver : {true, false}) {
    const Json task = must_have_task({{"leases", 3}, {"duration", "15m"}});
    ASSERT_TRUE(read(kGuarded, agent_.token).has_value());
    ASSERT_TRUE(read(kGuarded, agent_.token).has_value());
    must_decide(task, by_approver ? "withdraw" : "cancel", by_approver ? bob() : agent_);
    run_due();
    EXPECT_TRUE(outside_.names().empty());
  }
}

TEST_F(ApprovalTaskTest, sub_agents_draw_on_it) {
  write_policy("maker", R"(path "auth/token/create" { capabilities = ["update"] })");
  const Session robot = must_login("robot", "", "writer,maker");
  const auto child =
      write("auth/token/create", {{"policies", {"writer"}}, {"sub_agent", "tests"}, {"ttl", "1h"}},
            robot.token);
  ASSERT_TRUE(child.has_value()) << child.error().message;
  const std::string token = child->auth->client_token.reveal();
  const Json task = must_have_task({{"leases", 2}, {"duration", "30m"}});
  const auto lease = read(kGuarded, token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  ASSERT_FALSE(lease->lease_id.empty());
  EXPECT_EQ(present(task).at("task").at("leases_used"), 1);
  const Json seen = must_write("sys/leases/lookup", {{"lease_id", lease->lease_id}}).data;
  EXPECT_EQ(seen.at("attribution").at("sub_agent"), "tests");
  EXPECT_EQ(seen.at("approval").at("task"), true);
  // Nothing but tasks is handed down.
  must_decide(task, "withdraw", alice());
  const Json single = must_ask();
  must_decide(single, "approve", alice());
  const auto waits = read(kGuarded, token);
  EXPECT_TRUE(!waits || waits->lease_id.empty());
}

TEST_F(ApprovalTaskTest, a_task_is_within_what_the_policy_allows) {
  for (const Json& task : {Json{{"leases", 4}, {"duration", "30m"}},
                           Json{{"leases", 1}, {"duration", "2h"}}, Json{{"leases", 1}}})
    EXPECT_EQ(code_of(ask({{"task", task}})), Errc::kInvalidArgument) << task;
}

// ---- what a policy asks for

TEST_F(ApprovalTest, a_policy_asks_for_reason_ticket_and_ttl) {
  guard(R"(approval { factor "o" { identity { group_names = ["owners"] approvals = 1 } }
             reason_required = true ticket_required = true max_ttl = "10m" default_ttl = "5m"
             claim_window = "1m" request_ttl = "2m" })");
  EXPECT_EQ(code_of(ask({{"ticket", "T-1"}})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(ask({{"reason", "r"}})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(read(kGuarded, agent_.token)), Errc::kInvalidArgument);
  Json wish = {{"reason", "r"}, {"ticket", "T-1"}};
  wish["ttl"] = "11m";
  EXPECT_EQ(code_of(ask(wish)), Errc::kInvalidArgument);
  wish.erase("ttl");
  const Json request = must_ask(wish);
  EXPECT_EQ(request.at("ttl"), 300);
  must_decide(request, "approve", alice());
  clock_.advance(Seconds{60});
  EXPECT_EQ(code_of(claim(request)), Errc::kConflict);
}

TEST_F(ApprovalTest, an_operator_bounds_how_long_any_request_waits) {
  must_write("sys/config/control-group", {{"max_ttl", "60"}});
  EXPECT_EQ(must_read("sys/config/control-group").at("max_ttl"), 60);
  const Json request = must_ask();
  clock_.advance(Seconds{60});
  EXPECT_EQ(code_of(decide(request, "approve", alice())), Errc::kConflict);
  EXPECT_TRUE(remove("sys/config/control-group").has_value());
  EXPECT_EQ(must_read("sys/config/control-group").at("max_ttl"), 0);
}

TEST_F(ApprovalTest, what_needs_no_approval_is_not_asked_for) {
  must_write("identity/agent/robot", {{"policies", {"leaser"}}});
  EXPECT_EQ(code_of(ask()), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(ask({{"path", "kv/secret"}})), Errc::kPermissionDenied);
}

}  // namespace
}  // namespace curfew::broker
