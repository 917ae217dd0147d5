// A human, her agent, its child task: through the command line and the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

class DelegationStoryTest : public ::testing::Test {
 protected:
  DelegationStoryTest() {
    server_.start_initialized();
    world_.emplace(server_, database_);
    server_.must("PUT", "sys/policies/acl/reporting", {{"policy", R"(
      path "database/creds/agent-readonly" { capabilities = ["read"] }
      path "auth/token/create"             { capabilities = ["update"] })"}});
    server_.must("POST", "sys/auth/userpass", {{"type", "userpass"}});
    server_.must("POST", "auth/userpass/users/ada",
                 {{"password", "correct horse"}, {"token_policies", "reporting"}});
    server_.must("POST", "identity/entity", {{"name", "ada"}, {"kind", "human"}});
    const std::string accessor =
        server_.must("GET", "sys/auth").at("data").at("userpass/").at("accessor");
    const std::string id = server_.must("GET", "identity/entity/name/ada").at("data").at("id");
    server_.must("POST", "identity/entity-alias",
                 {{"name", "ada"}, {"mount_accessor", accessor}, {"canonical_id", id}});
    must({"agent", "write", "-owner=ada", "-max-live-leases=10", "claude-code"});
  }

  Outcome must(const std::vector<std::string>& command, const std::string& token = "root") {
    const Outcome done = server_.cli(command, token);
    EXPECT_EQ(done.exit, 0) << done.err;
    return done;
  }
  // The token and its accessor.
  Json made_token(std::vector<std::string> flags, const std::string& by) {
    flags.insert(flags.begin(), {"token", "create", "-format=json"});
    return Json::parse(must(flags, by).out).at("auth");
  }

  ServerProcess server_;
  test::TestDatabase database_;
  std::optional<AgentWorld> world_;
};

TEST_F(DelegationStoryTest, a_human_her_agent_and_its_task_are_on_record_and_end_together) {
  const std::string trail = server_.path("audit.log");
  server_.must("PUT", "sys/audit/file", {{"type", "file"}, {"options", {{"file_path", trail}}}});
  const Outcome login =
      server_.cli({"login", "-method=userpass", "-token-only", "username=ada", "password=-"}, "",
                  "correct horse\n", {{"HOME", server_.folder()}});
  ASSERT_EQ(login.exit, 0) << login.err;
  const Json agent = made_token({"-agent=claude-code", "-policy=reporting", "-ttl=8h"}, login.out);
  const Json task =
      made_token({"-sub-agent=night-report", "-policy=reporting", "-ttl=1h", "-max-live-leases=1"},
                 agent.at("client_token"));
  const std::string sub_agent = task.at("client_token");

  const Credential made = world_->issue("10m", sub_agent);
  ASSERT_EQ(made.status, 200) << made.error;
  EXPECT_TRUE(world_->can_log_in(made));
  const std::string comment = world_->superuser().value(
      "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" + made.user +
      "'");
  EXPECT_THAT(comment, HasSubstr(R"("human":"ada")"));
  EXPECT_THAT(comment, HasSubstr(R"("entity_name":"claude-code")"));
  EXPECT_THAT(comment, HasSubstr(R"("sub_agent":"night-report")"));

  // Its budget is one lease; the agent that started it has more.
  const Outcome refused = server_.cli({"read", "database/creds/agent-readonly"}, sub_agent);
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("the budget of \"night-report\" is used up"));
  const Credential of_agent = world_->issue("10m", agent.at("client_token"));
  EXPECT_EQ(of_agent.status, 200) << of_agent.error;

  must({"token", "revoke", "-accessor", task.at("accessor")});
  EXPECT_TRUE(eventually([&] { return world_->state_of(made.lease) == "revoked"; }));
  EXPECT_FALSE(world_->can_log_in(made));
  EXPECT_EQ(world_->issue("10m", sub_agent).status, 403);
  EXPECT_TRUE(world_->can_log_in(of_agent));
  const Json receipt = world_->lease(made.lease);
  EXPECT_EQ(receipt.at("receipt").at("proven"), true);
  EXPECT_EQ(receipt.at("attribution").at("human"), "ada");
  EXPECT_EQ(receipt.at("attribution").at("agent"), "claude-code");
  EXPECT_EQ(receipt.at("attribution").at("sub_agent"), "night-report");
  EXPECT_THAT(read_file(trail), HasSubstr(R"("sub_agent":"night-report")"));

  // In an incident the same with the proof: a task below a task, by the accessor of the upper one.
  const Json upper = made_token({"-sub-agent=plan"}, agent.at("client_token"));
  const Json lower = made_token({"-sub-agent=step", "-max-lease-ttl=5m"}, upper["client_token"]);
  const Credential of_step = world_->issue("1h", lower.at("client_token"));
  ASSERT_EQ(of_step.status, 200) << of_step.error;
  EXPECT_EQ(of_step.answer.at("lease_duration"), 300);
  const Outcome ended = must({"revoke", "-token=" + upper.at("accessor").get<std::string>(),
                              "-reason=went astray", "-yes"});
  EXPECT_THAT(ended.out, HasSubstr("All access is gone, and proven so"));
  EXPECT_EQ(world_->lease(of_step.lease).at("attribution").at("sub_agent"), "plan/step");
  EXPECT_FALSE(world_->can_log_in(of_step));
  EXPECT_EQ(world_->issue("1h", lower.at("client_token")).status, 403);

  // What she started ends with her own token.
  must({"token", "revoke", "-self"}, login.out);
  EXPECT_TRUE(eventually([&] { return world_->state_of(of_agent.lease) == "revoked"; }));
}

}  // namespace
}  // namespace curfew::e2e
