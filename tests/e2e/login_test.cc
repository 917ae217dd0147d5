// Logins of people and machines, through the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LoginTest : public ::testing::Test {
 protected:
  LoginTest() {
    server_.start_initialized();
    server_.must("PUT", "sys/policies/acl/agent", {{"policy", R"(
      path "database/creds/agent-readonly" { capabilities = ["read"] })"}});
  }

  void enable_approle() {
    server_.must("POST", "sys/auth/approle", {{"type", "approle"}});
    server_.must("POST", "auth/approle/role/reporter",
                 {{"token_policies", "agent"}, {"token_ttl", "20m"}, {"secret_id_num_uses", 1}});
  }
  void enable_userpass() {
    server_.must("POST", "sys/auth/userpass", {{"type", "userpass"}});
    server_.must("POST", "auth/userpass/users/ana",
                 {{"password", "correct horse"}, {"token_policies", "agent"}});
  }
  std::string data_text(const char* method, const std::string& path, const char* member) {
    return server_.must(method, path).at("data").at(member).get<std::string>();
  }

  ServerProcess server_;
};

TEST_F(LoginTest, a_machine_logs_in_and_its_lease_says_who_it_was) {
  test::TestDatabase database;
  const AgentWorld world(server_, database);
  enable_approle();
  const std::string role = data_text("GET", "auth/approle/role/reporter/role-id", "role_id");
  const std::string secret = data_text("POST", "auth/approle/role/reporter/secret-id", "secret_id");
  const Answer login =
      server_.call("POST", "auth/approle/login", {{"role_id", role}, {"secret_id", secret}}, "");
  ASSERT_EQ(login.status, 200) << login.text;
  const Json& auth = login.body.at("auth");
  EXPECT_EQ(auth.at("lease_duration"), 1200);
  EXPECT_EQ(auth.at("policies"), (Json{"agent", "default"}));
  EXPECT_EQ(auth.at("metadata"), (Json{{"role_name", "reporter"}}));
  EXPECT_EQ(auth.at("orphan"), true);
  const std::string token = auth.at("client_token");
  const Credential made = world.issue("10m", token);
  ASSERT_EQ(made.status, 200) << made.error;
  EXPECT_TRUE(world.can_log_in(made));
  const Json lease = world.lease(made.lease);
  EXPECT_THAT(lease.dump(), HasSubstr("approle-reporter"));
  // The secret id is used up; the token ends its belongings with itself.
  EXPECT_EQ(
      server_.call("POST", "auth/approle/login", {{"role_id", role}, {"secret_id", secret}}, "")
          .status,
      400);
  server_.must("POST", "auth/token/revoke-self", Json::object(), token);
  EXPECT_TRUE(eventually([&] { return !world.can_log_in(made); }));
}

TEST_F(LoginTest, the_command_line_logs_in_and_keeps_the_token_for_its_owner) {
  enable_userpass();
  enable_approle();
  const Environment home{{"HOME", server_.folder()}};
  const Outcome shown = server_.cli(
      {"login", "-method=userpass", "username=ana", "password=correct horse"}, "", "", home);
  EXPECT_EQ(shown.exit, 1);
  const Outcome done = server_.cli({"login", "-method=userpass", "username=ana", "password=-"}, "",
                                   "correct horse\n", home);
  ASSERT_EQ(done.exit, 0) << done.err;
  EXPECT_THAT(done.out + done.err, Not(HasSubstr("correct horse")));
  const std::filesystem::path kept = server_.path(".curfew-token");
  ASSERT_TRUE(std::filesystem::exists(kept));
  EXPECT_EQ(std::filesystem::status(kept).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const Outcome self = server_.cli({"token", "lookup", "-field=display_name"}, "", "", home);
  EXPECT_THAT(self.out, HasSubstr("userpass-ana"));
  const Outcome wrong = server_.cli({"login", "-method=userpass", "username=ana", "password=-"}, "",
                                    "incorrect\n", home);
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("invalid username or password"));
  const std::string role = data_text("GET", "auth/approle/role/reporter/role-id", "role_id");
  const std::string secret = data_text("POST", "auth/approle/role/reporter/secret-id", "secret_id");
  const Outcome machine =
      server_.cli({"login", "-method=approle", "-token-only", "role_id=" + role, "secret_id=-"}, "",
                  secret + "\n", home);
  ASSERT_EQ(machine.exit, 0) << machine.err;
  EXPECT_EQ(server_.call("GET", "auth/token/lookup-self", nullptr, machine.out)
                .data()
                .value("display_name", ""),
            "approle-reporter");
}

TEST_F(LoginTest, guessing_gets_429_and_a_lock_out_with_when_to_come_back) {
  enable_userpass();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(server_.call("POST", "auth/userpass/login/ana", {{"password", "no"}}, "").status,
              400);
  const Answer locked =
      server_.call("POST", "auth/userpass/login/ana", {{"password", "correct horse"}}, "");
  EXPECT_EQ(locked.status, 403);
  EXPECT_THAT(locked.error(), HasSubstr("try again in"));
  server_.must("POST", "sys/config/login-limits", {{"failures_per_address", 3}});
  std::vector<int> statuses;
  for (int i = 0; i < 5; ++i)
    statuses.push_back(
        server_
            .call("POST", "auth/userpass/login/user" + std::to_string(i), {{"password", "x"}}, "")
            .status);
  EXPECT_EQ(statuses, (std::vector<int>{400, 400, 400, 429, 429}));
}

TEST_F(LoginTest, many_logins_at_once_are_bounded_and_the_server_stays_up) {
  enable_userpass();
  server_.must("POST", "sys/auth/userpass/tune",
               {{"user_lockout_config", {{"lockout_disable", true}}}});
  std::vector<std::thread> callers;
  std::mutex mutex;
  std::map<int, int> statuses;
  for (int i = 0; i < 48; ++i) {
    callers.emplace_back([&] {
      const int status =
          server_.call("POST", "auth/userpass/login/ana", {{"password", "correct horse"}}, "")
              .status;
      const std::scoped_lock lock(mutex);
      ++statuses[status];
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(statuses[200], 1);
  EXPECT_EQ(statuses[200] + statuses[503] + statuses[429], 48) << Json(statuses).dump();
  EXPECT_EQ(
      server_.call("POST", "auth/userpass/login/ana", {{"password", "correct horse"}}, "").status,
      200);
}

TEST_F(LoginTest, no_secret_of_a_login_is_in_a_log_or_the_audit) {
  const std::string trail = server_.path("audit.log");
  server_.must("PUT", "sys/audit/file", {{"type", "file"}, {"options", {{"file_path", trail}}}});
  enable_userpass();
  enable_approle();
  const std::string role = data_text("GET", "auth/approle/role/reporter/role-id", "role_id");
  const std::string secret = data_text("POST", "auth/approle/role/reporter/secret-id", "secret_id");
  const Answer login =
      server_.call("POST", "auth/approle/login", {{"role_id", role}, {"secret_id", secret}}, "");
  ASSERT_EQ(login.status, 200) << login.text;
  server_.call("POST", "auth/userpass/login/ana", {{"password", "correct horse"}}, "");
  const std::string token = login.body.at("auth").at("client_token");
  for (const std::string& text : {read_file(trail), server_.log(), server_.out()}) {
    EXPECT_THAT(text, Not(HasSubstr(secret)));
    EXPECT_THAT(text, Not(HasSubstr(token)));
    EXPECT_THAT(text, Not(HasSubstr("correct horse")));
  }
  EXPECT_THAT(read_file(trail), HasSubstr("auth/approle/login"));
}

}  // namespace
}  // namespace curfew::e2e
