#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

class SecretsTest : public ::testing::Test {
 protected:
  SecretsTest() { server_.start_initialized(); }

  // Files in which no secret may stand, by what they are.
  std::map<std::string, std::string> traces() const {
    const std::string process = "/proc/" + std::to_string(server_.pid());
    return {{"the server's log", server_.log()},
            {"its standard output", server_.out()},
            {"the audit log", read_file(server_.path("audit.log"))},
            {"its command line", read_file(process + "/cmdline")},
            {"its environment", read_file(process + "/environ")},
            {"the configuration", read_file(server_.config_path())},
            {"the database", read_file(server_.database_path())},
            {"the database's log", read_file(server_.database_path() + "-wal")},
            {"PostgreSQL's log", target_.log()}};
  }

  ServerProcess server_;
  test::OwnServer target_;
};

TEST_F(SecretsTest, no_secret_stands_anywhere_after_the_story) {
  test::TestDatabase database(target_.address());
  const AgentWorld world(server_, database);
  server_.must("PUT", "sys/audit/file",
               {{"type", "file"}, {"options", {{"file_path", server_.path("audit.log")}}}});
  // From here PostgreSQL writes down every statement; the test's own set-up was before.
  world.superuser().run("ALTER SYSTEM SET log_statement = 'all'");
  world.superuser().run("ALTER SYSTEM SET log_min_messages = 'debug1'");
  world.superuser().run("SELECT pg_reload_conf()");
  ASSERT_TRUE(eventually([&] { return world.superuser().value("SHOW log_statement") == "all"; }));

  server_.must("POST", "sys/mounts/secret", {{"type", "kv"}, {"options", {{"version", "2"}}}});
  server_.must("POST", "secret/data/agents/config/x", {{"data", {{"k", "kv-value-of-the-story"}}}});
  server_.must("POST", "sys/mounts/keys", {{"type", "static_key"}});
  server_.must("POST", "keys/keys/mail", {{"value", "sk-value-of-the-story"}});
  server_.must("GET", "keys/creds/mail");
  const std::string agent = world.agent_token();
  server_.must("GET", "secret/data/agents/config/x", nullptr, agent);
  std::map<std::string, std::string> secrets{{"root token", server_.root_token()},
                                             {"agent's token", agent},
                                             {"broker's password", world.broker_login().password},
                                             {"kv value", "kv-value-of-the-story"},
                                             {"API key", "sk-value-of-the-story"}};
  for (int i = 0; i < 5; ++i) {
    const Credential made = world.issue(i < 4 ? "1h" : "1s", agent);
    ASSERT_EQ(made.status, 200) << made.error;
    secrets["password " + std::to_string(i)] = made.password;
    if (i == 0) server_.must("PUT", "sys/leases/renew", {{"lease_id", made.lease}});
    if (i < 2) server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  }
  // What fails is logged in more words than what works.
  server_.must("POST", "database/roles/agent-readonly",
               {{"db_name", "app"},
                {"creation_statements",
                 R"(CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; SELECT no_such_thing;)"},
                {"rehearse", false}});
  EXPECT_NE(world.issue("1h", agent).status, 200);
  server_.call("GET", "sys/mounts", nullptr, agent);
  server_.call("POST", "database/config/app",
               {{"password", "wrong-password-of-the-story"}, {"plugin_name", "x"}});
  secrets["refused password"] = "wrong-password-of-the-story";
  server_.must("PUT", "sys/leases/revoke-prefix/database/creds");
  server_.must("POST", "auth/token/revoke", {{"token", agent}});

  const auto places = traces();
  EXPECT_THAT(places.at("PostgreSQL's log"), HasSubstr("SCRAM-SHA-256$")) << "it does log them";
  EXPECT_THAT(places.at("the audit log"), HasSubstr("database/creds/agent-readonly"));
  for (const auto& [what, secret] : secrets) {
    ASSERT_GE(secret.size(), 12u) << what;
    for (const auto& [place, text] : places)
      EXPECT_EQ(text.find(secret), std::string::npos) << what << " stands in " << place;
  }
}

TEST_F(SecretsTest, the_process_leaves_no_core_dump) {
  const std::string limits = read_file("/proc/" + std::to_string(server_.pid()) + "/limits");
  const auto at = limits.find("Max core file size");
  ASSERT_NE(at, std::string::npos);
  std::istringstream line(limits.substr(at + 18, limits.find('\n', at) - at - 18));
  std::string soft, hard;
  line >> soft >> hard;
  EXPECT_EQ(soft, "0");
  EXPECT_EQ(hard, "0");
}

TEST_F(SecretsTest, the_command_line_shows_no_token_where_it_can_be_kept_out) {
  const Outcome shown = server_.cli({"kv", "get", "-output-curl-string", "secret/x"});
  EXPECT_EQ(shown.out.find(server_.root_token()), std::string::npos) << shown.out;
  const Outcome login = server_.cli({"login", "-no-print", "-"}, "", server_.root_token() + "\n");
  EXPECT_EQ(login.exit, 0) << login.err;
  EXPECT_EQ((login.out + login.err).find(server_.root_token()), std::string::npos);
}

}  // namespace
}  // namespace curfew::e2e
