// Approvals by the command line, through the real program: an agent asks, people decide, the
// credential works, and ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/e2e/approval_story.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ApprovalStoryTest, what_was_shown_is_approved_and_the_credential_lives_and_ends) {
  const std::string id = ask("monthly\u202e report\n  state  approved");
  // Nothing before the approval.
  EXPECT_EQ(server_.cli({"approval", "claim", id}, agent_).exit, 2);
  EXPECT_EQ(server_.cli({"approval", "wait", "-timeout=1s", id}, agent_).exit, 2);

  const Outcome waiting = must({"approval", "list", "-waiting"}, ben_);
  EXPECT_THAT(waiting.out, HasSubstr(id));
  EXPECT_THAT(waiting.out, HasSubstr("claude-code"));
  EXPECT_EQ(server_.cli({"approval", "list", "-waiting"}, ada_).exit, 2);
  const std::string card = must({"approval", "show", id}, ben_).out;
  for (const char* part :
       {"agent-readonly", "CREATE ROLE", "GRANT SELECT ON ALL TABLES", "10m", "claude-code", "ada",
        "owners: 0 of 1, from owners", "claimed by the agent"})
    EXPECT_THAT(card, HasSubstr(part));
  EXPECT_THAT(card, Not(HasSubstr("\u202e")));
  EXPECT_THAT(card, Not(HasSubstr("\n  state  approved")));

  // Neither the agent nor its human approves; a program has to say what it has seen.
  for (const std::string& token : {agent_, ada_})
    EXPECT_EQ(server_.cli({"approval", "approve", "-yes", id}, token).exit, 2);
  EXPECT_EQ(server_.cli({"approval", "approve", id}, ben_).exit, 1);

  // Cleo narrows it, so that what ben has seen is no more.
  const std::string seen = must({"approval", "show", "-field=digest", id}, ben_).out;
  must({"approval", "comment", id, "which", "month?"}, cleo_);
  must({"approval", "narrow", "-ttl=5m", "-yes", id}, cleo_);
  const Outcome stale = server_.cli({"approval", "approve", "-digest=" + seen, id}, ben_);
  EXPECT_EQ(stale.exit, 2) << stale.out;
  must({"approval", "wait", id}, agent_);
  const Outcome taken = must({"approval", "claim", "-format=json", id}, agent_);
  const Credential made = claimed(taken);
  ASSERT_EQ(made.status, 200);
  EXPECT_EQ(made.answer.at("lease_duration"), 300);
  EXPECT_TRUE(world_->can_log_in(made));
  EXPECT_NE(server_.cli({"approval", "claim", id}, agent_).exit, 0);

  const std::string after = must({"approval", "show", id}, ben_).out;
  for (const char* part : {"narrow by cleo, for 5m", "comment by cleo: which month?", "claimed"})
    EXPECT_THAT(after, HasSubstr(part));
  EXPECT_THAT(after, HasSubstr(made.lease));
  must({"approval", "withdraw", "-reason=enough", id}, ben_);
  EXPECT_TRUE(eventually([&] { return !world_->can_log_in(made); }));
  EXPECT_TRUE(eventually([&] { return world_->state_of(made.lease) == "revoked"; }));
}

TEST_F(ApprovalStoryTest, a_waiting_request_is_woken_and_a_watcher_sees_it) {
  Outcome watched, waited;
  std::thread watcher([&] { watched = server_.cli({"approval", "watch", "-count=2"}, ben_); });
  std::thread waiter([&] {
    waited = server_.cli({"request", "-wait=60s", "-format=json", "-reason=report", kPath}, agent_);
  });
  std::string id;
  EXPECT_TRUE(eventually([&] {
    const Outcome list = server_.cli({"approval", "list", "-waiting", "-format=json"}, ben_);
    const Json requests = Json::parse(list.out, nullptr, false);
    if (!requests.is_array() || requests.empty()) return false;
    id = requests[0].at("id");
    return true;
  }));
  must({"approval", "approve", "-yes", "-reason=fine", id}, ben_);
  waiter.join();
  watcher.join();
  EXPECT_EQ(waited.exit, 0) << waited.err;
  EXPECT_THAT(waited.err, HasSubstr(id));
  const Credential made = claimed(waited);
  ASSERT_EQ(made.status, 200) << waited.out;
  EXPECT_TRUE(world_->can_log_in(made));
  EXPECT_EQ(watched.exit, 0) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr(id + "  pending     access  agent-readonly  (waits for you)"));
  EXPECT_THAT(watched.out, HasSubstr(id + "  approved"));
}

TEST_F(ApprovalStoryTest, a_plain_read_waits_where_it_says_so) {
  const Outcome async =
      must({"read", "-header=Prefer=respond-async", "-format=json", kPath}, agent_);
  const std::string asked = Json::parse(async.out).at("data").at("id");
  must({"approval", "cancel", asked}, agent_);
  Outcome read;
  std::thread reader([&] {
    read = server_.cli({"read", "-header=Prefer=wait=45", "-format=json", kPath}, agent_);
  });
  std::string id;
  EXPECT_TRUE(eventually([&] {
    const Json keys = server_.call("GET", "sys/approvals?state=pending").data()["keys"];
    if (keys.is_array() && !keys.empty()) id = keys[0];
    return !id.empty();
  }));
  must({"approval", "approve", "-yes", id}, cleo_);
  reader.join();
  ASSERT_EQ(read.exit, 0) << read.err;
  const Credential made = claimed(read);
  ASSERT_EQ(made.status, 200) << read.out;
  EXPECT_TRUE(world_->can_log_in(made));
}

TEST_F(ApprovalStoryTest, a_denied_request_says_why_and_a_restart_is_outlived) {
  server_.set_address(server_.address().substr(server_.address().rfind('/') + 1));
  Outcome waited;
  std::thread waiter([&] {
    waited = server_.cli({"request", "-wait=60s", "-reason=report", kPath}, agent_);
  });
  std::string id;
  EXPECT_TRUE(eventually([&] {
    id = server_.must("GET", "sys/approvals?state=pending").at("data").at("keys").empty()
             ? ""
             : server_.must("GET", "sys/approvals").at("data").at("keys").at(0);
    return !id.empty();
  }));
  server_.stop();
  server_.start();
  const Outcome denied =
      server_.cli({"approval", "deny", "-reason=not at the end of the month", id}, ben_);
  EXPECT_EQ(denied.exit, 0) << denied.err;
  waiter.join();
  EXPECT_EQ(waited.exit, 2);
  EXPECT_THAT(waited.err, HasSubstr("denied by ben: not at the end of the month"));
  EXPECT_EQ(world_->live_leases(), 0);
}

}  // namespace
}  // namespace curfew::e2e
