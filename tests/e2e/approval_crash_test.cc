// The server is killed between asking, approving and claiming: nothing is lost, and nothing happens
// twice.
#include "tests/e2e/approval_story.h"

namespace curfew::e2e {
namespace {

class ApprovalCrashTest : public ApprovalStoryTest {
 protected:
  void kill_and_start() {
    server_.kill();
    server_.start();
  }
  Answer post(const std::string& verb, const Json& data, const std::string& token) {
    return server_.call("POST", "sys/approvals/" + id_ + "/" + verb, data, token);
  }

  std::string id_;
};

TEST_F(ApprovalCrashTest, nothing_is_lost_and_nothing_happens_twice) {
  id_ = ask("monthly report");
  kill_and_start();
  const Json seen = server_.must("GET", "sys/approvals/" + id_, nullptr, ben_).at("data");
  EXPECT_EQ(seen.at("state"), "pending");
  ASSERT_EQ(post("approve", {{"digest", seen.at("digest")}}, ben_).status, 200);
  kill_and_start();
  const Credential made = credential_of(post("claim", {}, agent_));
  ASSERT_EQ(made.status, 200) << made.error;
  kill_and_start();
  EXPECT_EQ(post("claim", {}, agent_).status, 400);
  EXPECT_TRUE(world_->can_log_in(made));
  EXPECT_EQ(world_->marked_roles(), 1);
  ASSERT_EQ(post("withdraw", {{"reason", "enough"}}, ben_).status, 200);
  kill_and_start();
  EXPECT_TRUE(eventually([&] { return world_->state_of(made.lease) == "revoked"; }));
  EXPECT_EQ(world_->marked_roles(), 0);
}

}  // namespace
}  // namespace curfew::e2e
