// From a request for approval to the people who are told of it.
#include <thread>

#include "broker/notify/webhook_signature.h"
#include "tests/broker/approval_world.h"
#include "tests/support/https_server.h"

namespace curfew::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ApprovalNotice : public ApprovalTest {
 protected:
  ApprovalNotice() {
    must_write("sys/notifications/config", {{"public_url", "https://curfew.example"}});
    add_target("dba");
  }

  void add_target(const std::string& name) {
    server_.on("/" + name, [this, name](const test::HttpsCall& call) {
      const std::scoped_lock lock(mutex_);
      calls_.push_back(call);
      return test::HttpsReply{.status = 200, .body = "{}"};
    });
    must_write("sys/notifications/targets/" + name, {{"type", "webhook"},
                                                     {"url", server_.url("/" + name)},
                                                     {"secret", "a key of the signature"},
                                                     {"ca_pem", server_.ca_pem()}});
  }
  // What was told since the last call: "target event".
  std::vector<std::string> told() {
    run_due();
    server_.settle();
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> out;
    for (const test::HttpsCall& call : calls_)
      out.push_back(call.target.substr(1) + " " +
                    parse_json(call.body)->at("event").get<std::string>());
    last_ = calls_.empty() ? test::HttpsCall{} : calls_.back();
    calls_.clear();
    return out;
  }

  std::mutex mutex_;
  std::vector<test::HttpsCall> calls_;  // guarded by mutex_
  test::HttpsServer server_;            // its thread ends before what it writes to
  test::HttpsCall last_;
};

TEST_F(ApprovalNotice, rule_15_signed_messages_tell_what_becomes_of_a_request) {
  const Json request = must_ask({{"reason", "<b>now</b>"}});
  EXPECT_THAT(told(), ElementsAre("dba approval.requested"));
  EXPECT_TRUE(verify_webhook(Secret("a key of the signature"),
                             last_.headers.at("x-curfew-timestamp"),
                             last_.headers.at("x-curfew-signature"), last_.body, clock_.wall()));
  const auto body = parse_json(last_.body);
  EXPECT_EQ(body->at("link"), "https://curfew.example/ui/#/approvals/" + id_of(request));
  EXPECT_EQ(body->at("approval").at("claims_of_agent").at("reason"), "<b>now</b>");
  EXPECT_THAT(last_.body, Not(HasSubstr("statements")));
  EXPECT_THAT(last_.body, Not(HasSubstr(agent_.token)));
  EXPECT_THAT(last_.body, Not(HasSubstr("token_accessor")));
  must_decide(request, "approve", alice());
  EXPECT_THAT(told(), ElementsAre("dba approval.approved"));
  ASSERT_TRUE(claim(request));
  EXPECT_THAT(told(), ElementsAre("dba approval.claimed"));
  EXPECT_THAT(last_.body, Not(HasSubstr("password")));
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ApprovalNotice, TellsThatNobodyHasDecided) {
  must_ask();
  EXPECT_THAT(told(), ElementsAre("dba approval.requested"));
  clock_.advance(std::chrono::minutes{15});
  EXPECT_THAT(told(), ElementsAre("dba approval.escalated"));
  clock_.advance(std::chrono::minutes{15});
  EXPECT_THAT(told(), ElementsAre("dba approval.expired"));
}

TEST_F(ApprovalNotice, APolicyNamesThoseWhoAreTold) {
  add_target("owners");
  guard(R"(approval { notify = ["owners", "nobody"]
    factor "owners" { identity { group_names = ["owners"] approvals = 1 } } })");
  const Json request = must_ask();
  EXPECT_THAT(told(), ElementsAre("owners approval.requested"));
  must_decide(request, "deny", alice());
  EXPECT_THAT(told(), ElementsAre("owners approval.denied"));
}

TEST_F(ApprovalNotice, OutlivesARestart) {
  must_ask();
  restart();
  EXPECT_THAT(told(), ElementsAre("dba approval.requested"));
}

// By the threads of the broker, which end with it.
TEST_F(ApprovalNotice, GoesOutByItself) {
  reaper_threads_ = true;
  restart();
  must_ask();
  for (int i = 0; i < 2'000 && server_.count("/dba") == 0; ++i)
    std::this_thread::sleep_for(Millis{10});
  EXPECT_EQ(server_.count("/dba"), 1);
  // One that hangs does not keep the keys in memory.
  server_.hang(true);
  must_ask({{"reason", "another"}, {"ttl", "5m"}});
  for (int i = 0; i < 2'000 && server_.count("/dba") == 1; ++i)
    std::this_thread::sleep_for(Millis{10});
  EXPECT_EQ(server_.count("/dba"), 2);
  must_write("sys/seal");
  EXPECT_EQ(code_of(read("sys/mounts")), Errc::kSealed);
  server_.hang(false);
}

}  // namespace
}  // namespace curfew::broker
