#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StoryTest : public ::testing::Test {
 protected:
  StoryTest() { server_.start_initialized(); }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(StoryTest, an_agent_gets_a_role_that_reads_and_does_not_write) {
  const AgentWorld world(server_, database_);
  const std::string agent = world.agent_token();
  const Credential made = world.issue("15m", agent);
  ASSERT_EQ(made.status, 200) << made.error;
  EXPECT_EQ(made.answer.at("lease_duration"), 900);
  EXPECT_EQ(made.answer.at("renewable"), true);
  test::PgSession session(database_.url(made.user, made.password));
  EXPECT_EQ(session.value("SELECT current_user"), made.user);
  EXPECT_EQ(session.value("SELECT count(*) FROM customers"), "2");
  EXPECT_EQ(session.try_run("INSERT INTO customers VALUES (3, 'Mallory')"), "42501");
  EXPECT_EQ(session.try_run("CREATE ROLE more"), "42501");
  for (const char* path : {"sys/mounts", "database/roles/agent-readonly", "database/config/app",
                           "secret/data/other", "sys/leases/count"})
    EXPECT_EQ(server_.call("GET", path, nullptr, agent).status, 403) << path;
  EXPECT_EQ(server_.call("PUT", "sys/leases/revoke", {{"lease_id", made.lease}}, agent).status,
            403);
}

TEST_F(StoryTest, a_renewed_lease_lives_longer_here_and_in_the_target) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("60s");
  const Json renewed =
      server_.must("PUT", "sys/leases/renew", {{"lease_id", made.lease}, {"increment", "30m"}});
  EXPECT_EQ(renewed.at("lease_duration"), 1800);
  const int valid = std::stoi(world.superuser().value(
      "SELECT extract(epoch FROM rolvaliduntil - now())::int FROM pg_roles WHERE rolname = '" +
      made.user + "'"));
  EXPECT_NEAR(valid, 1800, 30);
  const Json capped =
      server_.must("PUT", "sys/leases/renew", {{"lease_id", made.lease}, {"increment", "24h"}});
  EXPECT_LE(capped.at("lease_duration"), 7200);
  EXPECT_FALSE(capped.at("warnings").empty());
}

TEST_F(StoryTest, a_lease_that_runs_out_ends_its_session_and_its_role_and_leaves_a_receipt) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("2s");
  ASSERT_EQ(made.status, 200) << made.error;
  test::PgSession session(database_.url(made.user, made.password));
  EXPECT_THAT(session.try_run("SELECT pg_sleep(30)"), AnyOf("57P01", "lost"));
  EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }));
  EXPECT_FALSE(world.can_log_in(made));
  EXPECT_EQ(
      world.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname = '" + made.user + "'"),
      "0");
  const Json receipt = world.lease(made.lease).at("receipt");
  EXPECT_EQ(receipt.at("proven"), true);
  EXPECT_EQ(receipt.at("checked").at("role"), made.user);
  EXPECT_EQ(receipt.at("checked").at("role_absent"), true);
  EXPECT_EQ(receipt.at("checked").at("sessions"), 0);
  EXPECT_GE(receipt.at("phases").at("terminate").at("sessions_ended"), 1);
  EXPECT_EQ(server_.call("PUT", "sys/leases/renew", {{"lease_id", made.lease}}).status, 400);
}

TEST_F(StoryTest, a_revoked_lease_is_gone_at_once) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("1h");
  test::PgSession session(database_.url(made.user, made.password));
  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  EXPECT_NE(session.try_run("SELECT 1"), "");
  EXPECT_FALSE(world.can_log_in(made));
  EXPECT_EQ(world.marked_roles(), 0);
  EXPECT_EQ(world.state_of(made.lease), "revoked");
}

TEST_F(StoryTest, what_a_token_was_given_ends_with_the_token) {
  const AgentWorld world(server_, database_);
  const std::string agent = world.agent_token();
  const Credential made = world.issue("1h", agent);
  server_.must("POST", "auth/token/revoke", {{"token", agent}});
  EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }));
  EXPECT_EQ(world.marked_roles(), 0);
  EXPECT_EQ(world.issue("1h", agent).status, 403);
}

TEST_F(StoryTest, an_api_key_on_lease_is_readable_while_it_lives) {
  server_.must("POST", "sys/mounts/keys", {{"type", "static_key"}});
  server_.must("POST", "keys/keys/mail",
               {{"value", "sk-of-the-mail-service"}, {"default_ttl", "2s"}});
  const Answer issued = server_.call("GET", "keys/creds/mail");
  ASSERT_EQ(issued.status, 200) << issued.text;
  EXPECT_THAT(issued.text, HasSubstr("sk-of-the-mail-service"));
  const std::string lease = issued.body.at("lease_id");
  EXPECT_LE(issued.body.at("lease_duration"), 2);
  EXPECT_TRUE(eventually([&] {
    return server_.call("PUT", "sys/leases/receipt", {{"lease_id", lease}})
               .data()
               .value("state", "") == "revoked";
  }));
}

// What a leased role made with data in it survives it, out of reach, until somebody decides.
TEST_F(StoryTest, what_an_agent_left_behind_is_in_quarantine_until_it_is_released_or_dropped) {
  const AgentWorld world(server_, database_);
  server_.must("POST", "database/config/app", {{"allowed_roles", "*"}});
  server_.must("POST", "database/roles/agent-readonly",
               {{"db_name", "app"},
                {"creation_statements",
                 {R"(CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL )"
                  R"('{{expiration}}'; GRANT CREATE, USAGE ON SCHEMA public TO "{{name}}";)"}}});
  test::PgSession admin = world.superuser();
  admin.run("ALTER SCHEMA public OWNER TO " + world.broker_login().user);
  const Credential made = world.issue("1h");
  ASSERT_EQ(made.status, 200) << made.error;
  test::PgSession(database_.url(made.user, made.password))
      .run(
          "CREATE TABLE findings AS SELECT 42 AS answer; CREATE TABLE scratch (i int);"
          "GRANT SELECT ON findings TO PUBLIC");
  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  const Json clean = world.lease(made.lease).at("receipt").at("phases").at("clean");
  EXPECT_THAT(clean.at("databases").at(database_.name()).at("quarantined").dump(),
              HasSubstr("table public.findings"));

  const Outcome listed = server_.cli({"quarantine", "list", "-target=app", "-format=json"}, "root");
  ASSERT_EQ(listed.exit, 0) << listed.err;
  std::string findings, scratch;
  const Json objects = Json::parse(listed.out);
  for (const auto& [id, object] : objects.items()) {
    if (object.at("database") != database_.name()) continue;
    EXPECT_EQ(object.at("from").at("lease"), made.lease);
    if (object.at("name") == "public.findings") findings = id;
    if (object.at("name") == "public.scratch") scratch = id;
  }
  const Outcome shown = server_.cli({"quarantine", "show", "-target=app", findings}, "root");
  EXPECT_THAT(shown.out, HasSubstr("answer"));
  const std::string agent = world.agent_token();
  EXPECT_EQ(server_.cli({"quarantine", "list", "-target=app"}, agent).exit, 2);
  const Outcome released = server_.cli(
      {"quarantine", "release", "-target=app", "-owner=" + world.broker_login().user, findings},
      "root");
  EXPECT_EQ(released.exit, 0) << released.err;
  EXPECT_EQ(test::PgSession(database_.url(world.broker_login().user, world.broker_login().password))
                .value("SELECT answer FROM findings"),
            "42");
  EXPECT_EQ(
      server_.cli({"quarantine", "drop", "-target=app", "-confirm=scratch", scratch}, "root").exit,
      2);
  EXPECT_EQ(
      server_.cli({"quarantine", "drop", "-target=app", "-confirm=public.scratch", scratch}, "root")
          .exit,
      0);
  EXPECT_EQ(admin.value("SELECT to_regclass('scratch')"), "");
}

// The same with the command line alone, in the order of the demonstration.
class CliStoryTest : public StoryTest {
 protected:
  Outcome must(const std::vector<std::string>& arguments, const std::string& token = "root",
               const std::string& input = "") {
    Outcome outcome = server_.cli(arguments, token, input,
                                  {{"CURFEW_PURPOSE", "weekly report"}, {"CURFEW_SESSION", "s-1"}});
    EXPECT_EQ(outcome.exit, 0) << arguments[0] << " " << arguments[1] << ": " << outcome.err;
    return outcome;
  }
};

TEST_F(CliStoryTest, the_whole_story_through_the_command_line) {
  const AgentWorld world(server_, database_);
  must({"audit", "enable", "file", "file_path=" + server_.path("audit.log")});
  must({"secrets", "enable", "-path=secret", "kv-v2"});
  must({"kv", "put", "secret/agents/config/reporting", "region=eu", "page_size=50"});
  write_file(server_.path("agent.hcl"), R"(
    path "database/creds/agent-readonly" { capabilities = ["read"] }
    path "secret/data/agents/config/*" { capabilities = ["read"] })");
  must({"policy", "write", "agent", server_.path("agent.hcl")});
  const Json token = Json::parse(must({"token", "create", "-policy=agent",
                                       "-display-name=report-bot", "-ttl=2h", "-format=json"})
                                     .out);
  const std::string agent = token.at("auth").at("client_token");

  EXPECT_EQ(must({"kv", "get", "-field=page_size", "secret/agents/config/reporting"}, agent).out,
            "50");
  const Json made = Json::parse(
      must({"read", "-format=json", "database/creds/agent-readonly", "ttl=10m"}, agent).out);
  const std::string lease = made.at("lease_id");
  const std::string user = made.at("data").at("username");
  const std::string password = made.at("data").at("password");
  EXPECT_EQ(test::PgSession(database_.url(user, password)).value("SELECT count(*) FROM customers"),
            "2");
  const Outcome refused = server_.cli({"read", "sys/mounts"}, agent);
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("permission denied"));

  const Json renewed =
      Json::parse(must({"lease", "renew", "-increment=30m", "-format=json", lease}).out);
  EXPECT_EQ(renewed.at("lease_duration"), 1800);
  EXPECT_THAT(must({"lease", "list", "database/creds/agent-readonly"}).out,
              HasSubstr(lease.substr(lease.rfind('/') + 1)));
  must({"lease", "revoke", "-sync", lease});
  EXPECT_FALSE(test::can_log_in(database_.url(user, password)));
  EXPECT_THAT(must({"lease", "show", lease}).out, HasSubstr("role_absent"));
  EXPECT_EQ(world.marked_roles(), 0);

  const std::string audit = read_file(server_.path("audit.log"));
  EXPECT_THAT(audit, HasSubstr("weekly report"));
  EXPECT_THAT(audit, HasSubstr("token-report-bot"));
  EXPECT_THAT(audit, Not(HasSubstr(password)));
  EXPECT_THAT(audit, Not(HasSubstr(agent)));
}

}  // namespace
}  // namespace curfew::e2e
