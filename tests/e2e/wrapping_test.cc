#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

class WrappingTest : public ::testing::Test {
 protected:
  WrappingTest() { server_.start_initialized(); }

  // What the command prints as JSON; null where it failed.
  Json cli_json(std::vector<std::string> arguments, const std::string& token = "root") {
    arguments.emplace_back("-format=json");
    const Outcome outcome = server_.cli(arguments, token);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    return outcome.exit == 0 ? Json::parse(outcome.out) : Json();
  }
  std::string wrap_credential(const std::string& ttl) {
    const Json answer = cli_json({"read", "-wrap-ttl=" + ttl, "database/creds/agent-readonly"});
    return answer.is_object() ? answer.at("wrap_info").at("token").get<std::string>() : "";
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(WrappingTest, a_credential_is_handed_on_and_opened_by_its_user_alone) {
  const AgentWorld world(server_, database_);
  const std::string wrapping = wrap_credential("5m");
  EXPECT_EQ(world.marked_roles(), 1);
  const Json opened = cli_json({"unwrap", wrapping}, "");
  Credential credential;
  credential.lease = opened.at("lease_id");
  credential.user = opened.at("data").at("username");
  credential.password = opened.at("data").at("password");
  EXPECT_TRUE(world.can_log_in(credential));
  const Outcome again = server_.cli({"unwrap", wrapping}, "");
  EXPECT_NE(again.exit, 0);
  EXPECT_THAT(again.err, HasSubstr("wrapping token is not valid or does not exist"));
  EXPECT_EQ(world.state_of(credential.lease), "active");
}

TEST_F(WrappingTest, kill_9_loses_no_wrapped_answer_and_forgets_none) {
  const AgentWorld world(server_, database_);
  const std::string kept = wrap_credential("5m");
  wrap_credential("2s");
  EXPECT_EQ(world.marked_roles(), 2);
  server_.kill();
  server_.start();
  EXPECT_TRUE(eventually([&] { return world.marked_roles() == 1; }))
      << "the role behind the answer that nobody opened is still there";
  const Json opened = cli_json({"unwrap", kept});
  EXPECT_EQ(world.state_of(opened.at("lease_id")), "active");
  server_.kill();
  server_.start();
  EXPECT_NE(server_.cli({"unwrap", kept}).exit, 0);
  EXPECT_EQ(world.state_of(opened.at("lease_id")), "active");
}

TEST_F(WrappingTest, batch_tokens_survive_kill_9_and_end_with_their_parent) {
  const AgentWorld world(server_, database_);
  server_.must("PUT", "sys/policies/acl/maker",
               {{"policy", R"(path "auth/token/create" { capabilities = ["update"] }
                              path "database/creds/*" { capabilities = ["read"] })"}});
  const Answer maker = server_.call("POST", "auth/token/create", {{"policies", {"maker"}}});
  const std::string above = maker.body.at("auth").at("client_token");
  const Json batch = cli_json({"token", "create", "-type=batch", "-ttl=10m"}, above);
  const std::string token = batch.at("auth").at("client_token");
  const Credential credential = world.issue("5m", token);
  ASSERT_EQ(credential.status, 200) << credential.error;
  server_.kill();
  server_.start();
  EXPECT_EQ(server_.call("GET", "auth/token/lookup-self", nullptr, token).status, 200);
  server_.must("POST", "auth/token/revoke", {{"token", above}});
  EXPECT_EQ(server_.call("GET", "auth/token/lookup-self", nullptr, token).status, 403);
  EXPECT_TRUE(eventually([&] { return world.state_of(credential.lease) == "revoked"; }));
  EXPECT_FALSE(world.can_log_in(credential));
}

}  // namespace
}  // namespace curfew::e2e
