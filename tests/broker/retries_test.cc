#include "broker/lease/retries.h"

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using enum ScriptedWorld::Fault;

constexpr const char* kKey = "6f1c9f0e-key";

class RetriesTest : public BrokerWorld {
 protected:
  RetriesTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = Seconds{900};
  }

  Result<Response> issue(const std::string& key = "", Json data = Json::object(),
                         const std::string& token = "root") {
    extra_.idempotency_key = key;
    auto result = call(Operation::kRead, "db/creds/ro", std::move(data), token);
    extra_.idempotency_key.clear();
    return result;
  }
  Response must_issue(const std::string& key = "") {
    auto response = issue(key);
    if (response) return *std::move(response);
    ADD_FAILURE() << response.error().message;
    return {};
  }
  std::string state_of(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data.value("state", "?");
  }
  std::size_t credentials() const { return outside_.names().size(); }
  // Issues from another thread, with this request as it is now, until join().
  std::thread in_background(std::function<Result<Response>()> request, Result<Response>& result) {
    return std::thread([&result, request = std::move(request)] { result = request(); });
  }
};

Result<Response> nothing_yet() {
  return Error{Errc::kInternal, "not run"};
}

// Lets apply() of the first credential wait until open(). Later ones pass.
class Gate {
 public:
  explicit Gate(ScriptedWorld& world) {
    world.during_apply = [this](const std::string&) {
      if (first_.exchange(false)) {
        arrived_ = true;
        arrived_.notify_all();
        open_.wait(false);
      }
    };
  }
  void wait_until_reached() { arrived_.wait(false); }
  void open() {
    open_ = true;
    open_.notify_all();
  }

 private:
  std::atomic<bool> first_{true}, arrived_{false}, open_{false};
};

// ---- with a key --------------------------------------------------------------------------------

TEST_F(RetriesTest, pain_9_a_key_gives_the_same_credential_again) {
  const Response first = must_issue(kKey);
  clock_.advance(Seconds{60});
  std::vector<AnswerHeader> headers;
  extra_.answer_headers = &headers;
  const Response again = must_issue(kKey);
  extra_.answer_headers = nullptr;
  EXPECT_EQ(again.lease_id, first.lease_id);
  EXPECT_EQ(again.data, first.data);
  EXPECT_EQ(again.renewable, first.renewable);
  EXPECT_EQ(first.lease_duration, Seconds{900});
  EXPECT_EQ(again.lease_duration, Seconds{840});
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_EQ(headers[0].name, "Idempotency-Replayed");
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, another_key_another_token_or_no_key_is_another_request) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  must_issue(kKey);
  must_issue("another-key");
  ASSERT_TRUE(issue(kKey, Json::object(), make_token({"agent"})));
  must_issue();
  must_issue();
  EXPECT_EQ(credentials(), 5u);
}

TEST_F(RetriesTest, a_key_with_other_parameters_is_refused) {
  must_issue(kKey);
  const auto other = issue(kKey, {{"ttl", "5m"}});
  ASSERT_EQ(code_of(other), Errc::kInvalidArgument);
  EXPECT_THAT(other.error().message, HasSubstr("other parameters"));
  restart();
  EXPECT_EQ(code_of(issue(kKey, {{"ttl", "5m"}})), Errc::kInvalidArgument);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, a_key_stands_for_its_lease_while_its_window_lasts) {
  const std::string first = must_issue(kKey).lease_id;
  clock_.advance(Seconds{599});
  EXPECT_EQ(must_issue(kKey).lease_id, first);
  clock_.advance(Seconds{1});
  EXPECT_NE(must_issue(kKey).lease_id, first);
  EXPECT_EQ(state_of(first), "active");
}

TEST_F(RetriesTest, a_lease_that_has_ended_is_not_given_again) {
  const std::string first = must_issue(kKey).lease_id;
  must_write("sys/leases/revoke", {{"lease_id", first}});
  const std::string second = must_issue(kKey).lease_id;
  EXPECT_NE(second, first);
  EXPECT_EQ(must_issue(kKey).lease_id, second);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, a_failed_attempt_is_tried_anew) {
  outside_.fail_apply(kBefore);
  EXPECT_EQ(code_of(issue(kKey)), Errc::kUnavailable);
  outside_.fail_apply(kInDoubtDone);
  EXPECT_EQ(code_of(issue(kKey)), Errc::kInDoubt);
  EXPECT_EQ(credentials(), 1u);
  outside_.fail_apply(kNone);
  must_issue(kKey);
  EXPECT_EQ(credentials(), 1u);  // what was in doubt is gone
}

TEST_F(RetriesTest, after_a_restart_the_first_lease_is_ended_and_a_new_one_takes_its_place) {
  const Response first = must_issue(kKey);
  restart();
  const Response second = must_issue(kKey);
  EXPECT_NE(second.lease_id, first.lease_id);
  EXPECT_EQ(state_of(first.lease_id), "revoked");
  EXPECT_EQ(credentials(), 1u);
  EXPECT_EQ(must_issue(kKey).lease_id, second.lease_id);
}

TEST_F(RetriesTest, while_the_first_lease_cannot_be_ended_there_is_no_second) {
  must_issue(kKey);
  restart();
  outside_.fail_revokes(-1);
  EXPECT_EQ(code_of(issue(kKey)), Errc::kOverloaded);
  EXPECT_EQ(credentials(), 1u);
  outside_.fail_revokes(0);
  must_issue(kKey);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, a_crash_between_intent_and_answer_leaves_one_credential_for_the_key) {
  outside_.during_apply = [&](const std::string&) { database_->set_down(true); };
  EXPECT_FALSE(issue(kKey));
  EXPECT_EQ(credentials(), 1u);
  outside_.during_apply = nullptr;
  restart();
  must_issue(kKey);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, a_second_request_with_the_key_waits_for_the_first) {
  Gate gate(outside_);
  Result<Response> first = nothing_yet(), second = nothing_yet();
  extra_.idempotency_key = kKey;
  const auto ask = [this] { return call(Operation::kRead, "db/creds/ro"); };
  std::thread one = in_background(ask, first);
  gate.wait_until_reached();
  std::thread two = in_background(ask, second);
  gate.open();
  one.join();
  two.join();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->lease_id, second->lease_id);
  EXPECT_EQ(first->data, second->data);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, no_more_wait_than_may_and_the_rest_are_told_to_come_back) {
  Gate gate(outside_);
  extra_.idempotency_key = kKey;
  const auto ask = [this] { return call(Operation::kRead, "db/creds/ro"); };
  Result<Response> first = nothing_yet();
  std::thread one = in_background(ask, first);
  gate.wait_until_reached();
  std::vector<std::thread> more;
  std::atomic<int> refused = 0, served = 0;
  for (int i = 0; i < 20; ++i)
    more.emplace_back([&] {
      const auto answer = ask();
      if (answer)
        ++served;
      else if (answer.error().code == Errc::kOverloaded)
        ++refused;
      refused.notify_all();
    });
  for (int seen = refused; seen < 4; seen = refused) refused.wait(seen);
  gate.open();
  one.join();
  for (std::thread& thread : more) thread.join();
  EXPECT_EQ(refused, 4);
  EXPECT_EQ(served, 16);
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, a_replay_is_audited_as_one) {
  must_write("sys/audit/file",
             {{"type", "file"}, {"options", {{"file_path", directory_ / "audit.log"}}}});
  must_issue(kKey);
  must_issue(kKey);
  std::ifstream file(directory_ / "audit.log");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::string mark = R"("replayed":true)";
  EXPECT_EQ(text.find(mark), text.rfind(mark));
  EXPECT_NE(text.find(mark), std::string::npos);
}

TEST_F(RetriesTest, neither_key_nor_answer_is_in_the_store) {
  const Response first = must_issue(kKey);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(bytes.find(kKey), std::string::npos) << entry.path();
    EXPECT_EQ(bytes.find(first.data.at("password").get<std::string>()), std::string::npos);
  }
}

TEST_F(RetriesTest, a_key_that_was_altered_in_the_store_is_noticed) {
  const std::string first = must_issue(kKey).lease_id;
  tamper("UPDATE leases SET request_key = 'x'");
  restart();
  EXPECT_EQ(code_of(write("sys/leases/lookup", {{"lease_id", first}})), Errc::kCorrupt);
}

TEST_F(RetriesTest, a_lost_answer_that_was_forgotten_is_picked_up_with_its_key_and_parameters) {
  options_.retry.answers_max = 1;
  restart();
  const Response first = must_issue(kKey);
  must_issue("another key");  // now the first answer is not kept any more
  broker_->undelivered(first);
  EXPECT_EQ(code_of(issue(kKey, {{"ttl", "5m"}})), Errc::kInvalidArgument);
  const Response second = must_issue(kKey);
  EXPECT_EQ(second.lease_id, first.lease_id);
  EXPECT_EQ(second.data, first.data);
}

TEST_F(RetriesTest, a_credential_is_not_given_again_during_a_lockdown) {
  const Response keyed = must_issue(kKey);
  const Response lost = must_issue();
  broker_->undelivered(lost);
  for (const char* member : {"role", "target"}) {
    must_write("sys/lockdown/x", {{member, member == std::string("role") ? "ro" : "target"},
                                  {"reason", "key leaked"}});
    EXPECT_EQ(code_of(issue(kKey)), Errc::kPermissionDenied) << member;
    EXPECT_EQ(code_of(issue()), Errc::kPermissionDenied) << member;
  }
  clock_.advance(Seconds{10});
  run_due();
  EXPECT_EQ(state_of(lost.lease_id), "revoked") << "nobody has it, so nobody keeps it";
  ASSERT_TRUE(remove("sys/lockdown/x").has_value());
  EXPECT_EQ(must_issue(kKey).lease_id, keyed.lease_id);
}

// ---- without a key -----------------------------------------------------------------------------

TEST_F(RetriesTest, a_lost_answer_is_picked_up_by_a_retry_and_lives_on) {
  const Response first = must_issue();
  broker_->undelivered(first);
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "active");
  const Response second = must_issue();
  EXPECT_EQ(second.lease_id, first.lease_id);
  EXPECT_EQ(second.data, first.data);
  EXPECT_TRUE(second.replayed);
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "active");
  EXPECT_NE(must_issue().lease_id, first.lease_id);  // picked up once, and no more
}

TEST_F(RetriesTest, a_lost_answer_that_nobody_asks_for_ends_with_the_window) {
  const Response first = must_issue();
  broker_->undelivered(first);
  clock_.advance(Millis{9999});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "active");
  clock_.advance(Millis{1});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "revoked");
  EXPECT_NE(must_issue().lease_id, first.lease_id);
}

TEST_F(RetriesTest, a_lost_answer_ends_in_time_after_a_crash_too) {
  const Response first = must_issue();
  broker_->undelivered(first);
  restart();
  clock_.advance(Seconds{10});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "revoked");
  EXPECT_EQ(credentials(), 0u);
}

TEST_F(RetriesTest, only_an_identical_request_picks_a_lost_answer_up) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const Response first = must_issue();
  broker_->undelivered(first);
  EXPECT_NE(issue("", {{"ttl", "5m"}})->lease_id, first.lease_id);
  EXPECT_NE(issue("", Json::object(), make_token({"agent"}))->lease_id, first.lease_id);
  extra_.purpose = "something else";
  EXPECT_NE(must_issue().lease_id, first.lease_id);
  extra_.purpose.clear();
  EXPECT_EQ(must_issue().lease_id, first.lease_id);
}

TEST_F(RetriesTest, an_answer_that_is_lost_again_is_picked_up_again) {
  Response answer = must_issue();
  const std::string lease = answer.lease_id;
  for (int i = 0; i < 3; ++i) {
    broker_->undelivered(answer);
    answer = must_issue();
    EXPECT_EQ(answer.lease_id, lease);
  }
  broker_->undelivered(answer);
  clock_.advance(Seconds{10});
  run_due();
  EXPECT_EQ(credentials(), 0u);
}

TEST_F(RetriesTest, a_lost_answer_does_not_end_what_another_answer_delivered) {
  const Response first = must_issue(kKey);
  const Response second = must_issue(kKey);
  broker_->undelivered(first);
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "active");
  broker_->undelivered(second);
  clock_.advance(Seconds{10});
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "revoked");
}

TEST_F(RetriesTest, a_retry_joins_the_attempt_whose_client_has_hung_up) {
  Gate gate(outside_);
  Result<Response> first = nothing_yet(), second = nothing_yet();
  std::atomic<bool> looked = false;
  extra_.is_abandoned = [&looked] {
    looked = true;
    return true;
  };
  const auto ask = [this] { return call(Operation::kRead, "db/creds/ro"); };
  std::thread one = in_background(ask, first);
  gate.wait_until_reached();
  std::thread two = in_background(ask, second);
  while (!looked) std::this_thread::yield();  // it has found the first attempt, which still runs
  gate.open();
  one.join();
  two.join();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->lease_id, second->lease_id);
  broker_->undelivered(*first);
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_EQ(state_of(first->lease_id), "active");
  EXPECT_EQ(credentials(), 1u);
}

TEST_F(RetriesTest, two_clients_that_are_both_there_get_a_credential_each) {
  Gate gate(outside_);
  Result<Response> first = nothing_yet();
  extra_.is_abandoned = [] { return false; };
  std::thread one = in_background([this] { return call(Operation::kRead, "db/creds/ro"); }, first);
  gate.wait_until_reached();
  const auto second = call(Operation::kRead, "db/creds/ro");
  gate.open();
  one.join();
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->lease_id, second->lease_id);
  EXPECT_EQ(credentials(), 2u);
}

TEST_F(RetriesTest, an_answer_that_could_not_be_audited_is_revoked_at_once) {
  must_write("sys/audit/file",
             {{"type", "file"}, {"options", {{"file_path", directory_ / "audit.log"}}}});
  outside_.during_apply = [&](const std::string&) {
    // The disk fills up between the request's line and the answer's.
    std::filesystem::remove(directory_ / "audit.log");
    std::filesystem::create_directory(directory_ / "audit.log");
    broker_->reopen_audit();
  };
  const auto refused = issue();
  EXPECT_FALSE(refused);
  outside_.during_apply = nullptr;
  std::filesystem::remove(directory_ / "audit.log");
  broker_->reopen_audit();
  run_due();
  EXPECT_EQ(credentials(), 0u);
}

// With the window switched off.
class NoWindowTest : public RetriesTest {
 protected:
  NoWindowTest() {
    options_.retry.window = Millis{0};
    restart();
  }
};

TEST_F(NoWindowTest, a_lost_answer_is_revoked_at_once) {
  const Response first = must_issue();
  broker_->undelivered(first);
  run_due();
  EXPECT_EQ(state_of(first.lease_id), "revoked");
  const Response keyed = must_issue(kKey);
  broker_->undelivered(keyed);
  run_due();
  EXPECT_EQ(state_of(keyed.lease_id), "revoked");
  EXPECT_EQ(credentials(), 0u);
}

}  // namespace
}  // namespace curfew::broker
