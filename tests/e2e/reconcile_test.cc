#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A server beside a PostgreSQL, with a person in between who changes roles by hand.
class ReconcileTest : public ::testing::Test {
 protected:
  ReconcileTest() { server_.start_initialized(); }

  std::string accessor() {
    return server_.must("GET", "sys/mounts").at("data").at("database/").at("accessor");
  }
  std::string superuser(const std::string& sql) { return database_.superuser().value(sql); }
  bool exists(const std::string& role) {
    return superuser("SELECT count(*) FROM pg_roles WHERE rolname = '" + role + "'") == "1";
  }
  // A role with a mark as creation makes it, but for what the lease is.
  std::string make_role(const std::string& suffix, const std::string& lease,
                        const std::string& mount, const std::string& target = "app") {
    const std::string name = database_.role_prefix() + suffix;
    database_.superuser().run(
        "CREATE ROLE " + name + " LOGIN PASSWORD 'x'; COMMENT ON ROLE " + name + " IS '" +
        Json{{"curfew", mount}, {"lease", lease}, {"target", target}}.dump() + "'");
    return name;
  }
  Json reconcile(Json body = Json::object()) {
    return server_.must("POST", "sys/reconcile", body).at("data");
  }
  // kind of finding → database role, for the roles of this test alone.
  std::multimap<std::string, std::string> found(const Json& report) {
    std::multimap<std::string, std::string> out;
    for (const Json& finding : report.at("findings"))
      out.emplace(finding.at("kind"), finding.at("database_role"));
    return out;
  }
  bool ends(const AgentWorld& world, const std::string& lease) {
    return test::eventually([&] { return world.state_of(lease) == "revoked"; });
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(ReconcileTest, where_roles_and_leases_agree_there_is_nothing_to_report) {
  const AgentWorld world(server_, database_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.issue().status, 200);
  const Json report = reconcile({{"repair", true}});
  EXPECT_THAT(report.at("findings"), IsEmpty()) << report.dump(2);
  ASSERT_EQ(report.at("targets").size(), 1u);
  EXPECT_EQ(report.at("targets")[0].at("roles"), 3);
  EXPECT_EQ(report.at("targets")[0].at("leases"), 3);
  EXPECT_EQ(server_.must("GET", "sys/reconcile").at("data").at("total"), 0);
  const Outcome told = server_.cli({"reconcile"});
  EXPECT_EQ(told.exit, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("3 roles, 3 leases"));
}

TEST_F(ReconcileTest, a_role_without_a_lease_is_reported_and_taken_away_when_asked) {
  const AgentWorld world(server_, database_);
  const std::string lease = "database/creds/agent-readonly/lostlostlostlostlostlost";
  const std::string lost = make_role("_lost", lease, accessor());
  const std::string other = make_role("_other", lease + "2", "database_00000000");
  database_.superuser().run("CREATE ROLE " + database_.role_prefix() + "_plain LOGIN");

  const Outcome told = server_.cli({"reconcile", "-mount=database"});
  EXPECT_EQ(told.exit, 2);
  EXPECT_THAT(told.out, HasSubstr("unknown_role"));
  EXPECT_THAT(told.out, HasSubstr(lost));
  EXPECT_THAT(told.out, Not(HasSubstr(other)));
  EXPECT_TRUE(exists(lost));
  EXPECT_THAT(found(reconcile({{"foreign", true}})), Contains(std::pair("foreign_role", other)));

  reconcile({{"repair", true}});
  EXPECT_TRUE(ends(world, lease));
  EXPECT_FALSE(exists(lost));
  const Json receipt = world.lease(lease).at("receipt");
  EXPECT_EQ(receipt.at("proven"), true);
  EXPECT_EQ(receipt.at("checked").at("role"), lost);
  EXPECT_TRUE(exists(other));
  EXPECT_TRUE(exists(database_.role_prefix() + "_plain"));
}

TEST_F(ReconcileTest, what_was_given_up_by_force_is_found_and_ended_with_a_receipt) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue();
  // Something that only a superuser can take away keeps the role.
  database_.superuser().run("CREATE TABLE kept (); ALTER TABLE kept OWNER TO \"" + made.user +
                            "\"; ALTER ROLE \"" + made.user + "\" SUPERUSER");
  server_.must("PUT", "sys/leases/revoke-force/database");
  ASSERT_EQ(world.state_of(made.lease), "abandoned");
  EXPECT_TRUE(exists(made.user));
  EXPECT_THAT(found(reconcile()), Contains(std::pair("leftover_role", made.user)));

  database_.superuser().run("DROP TABLE kept; ALTER ROLE \"" + made.user + "\" NOSUPERUSER");
  reconcile({{"repair", true}});
  EXPECT_TRUE(ends(world, made.lease));
  EXPECT_FALSE(exists(made.user));
  const Json receipt = world.lease(made.lease).at("receipt");
  EXPECT_EQ(receipt.at("proven"), true);
  EXPECT_EQ(receipt.at("earlier").at("proven"), false);
}

TEST_F(ReconcileTest, sessions_that_outlived_a_lease_given_up_by_force_are_ended) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue();
  test::PgSession session(database_.url(made.user, made.password));
  database_.superuser().run("ALTER ROLE \"" + made.user + "\" SUPERUSER");
  server_.must("PUT", "sys/leases/revoke-force/database");
  database_.superuser().run("DROP OWNED BY \"" + made.user + "\"; DROP ROLE \"" + made.user + "\"");
  EXPECT_EQ(session.value("SELECT 1"), "1");
  EXPECT_THAT(found(reconcile()), Contains(std::pair("leftover_sessions", made.user)));
  reconcile({{"repair", true}});
  EXPECT_TRUE(ends(world, made.lease));
  EXPECT_NE(session.try_run("SELECT 1"), "");
}

TEST_F(ReconcileTest, a_live_lease_whose_role_was_changed_by_hand_is_reported_and_ended) {
  const AgentWorld world(server_, database_);
  const std::string group = database_.role_prefix() + "_group";
  database_.superuser().run("CREATE ROLE " + group);
  const std::map<std::string, std::string> changes{
      {"absent_role", "DROP OWNED BY \"{}\"; DROP ROLE \"{}\""},
      {"unusable_role", "ALTER ROLE \"{}\" NOLOGIN"},
      {"changed_mark", "COMMENT ON ROLE \"{}\" IS NULL"},
      {"renamed_role", "ALTER ROLE \"{}\" RENAME TO \"{}_x\""},
      {"gained_rights", "GRANT " + group + " TO \"{}\"; ALTER ROLE \"{}\" CREATEDB"},
  };
  std::map<std::string, Credential> made;
  for (const auto& [kind, sql] : changes) {
    made[kind] = world.issue();
    std::string statement = sql;
    for (auto at = statement.find("{}"); at != std::string::npos; at = statement.find("{}"))
      statement.replace(at, 2, made[kind].user);
    database_.superuser().run(statement);
  }
  const Credential extended = world.issue();
  database_.superuser().run("ALTER ROLE \"" + extended.user + "\" VALID UNTIL 'infinity'");
  const Credential untouched = world.issue();

  std::multimap<std::string, std::string> expected{{"extended_expiry", extended.user}};
  for (const auto& [kind, credential] : made)
    expected.emplace(kind, credential.user + (kind == "renamed_role" ? "_x" : ""));
  EXPECT_EQ(found(reconcile()), expected);
  for (const auto& [kind, credential] : made)
    EXPECT_EQ(world.state_of(credential.lease), "active") << kind;

  reconcile({{"repair", true}});
  for (const auto& [kind, credential] : made) {
    EXPECT_TRUE(ends(world, credential.lease)) << kind << world.lease(credential.lease).dump(2);
    EXPECT_FALSE(exists(credential.user)) << kind;
  }
  EXPECT_THAT(world.lease(made["absent_role"].lease).at("receipt").dump(), HasSubstr("absent"));
  EXPECT_THAT(
      superuser("SELECT rolvaliduntil FROM pg_roles WHERE rolname = '" + extended.user + "'"),
      Not(HasSubstr("infinity")));
  EXPECT_THAT(found(reconcile()), IsEmpty());
  for (const Credential& credential : {extended, untouched}) {
    EXPECT_EQ(world.state_of(credential.lease), "active");
    EXPECT_TRUE(world.can_log_in(credential));
  }
}

TEST_F(ReconcileTest, a_target_that_is_down_hides_no_other) {
  const AgentWorld world(server_, database_);
  server_.must("POST", "database/config/gone",
               {{"plugin_name", "postgresql-database-plugin"},
                {"connection_url", "postgresql://nobody@127.0.0.1:1/none"},
                {"verify_connection", false}});
  const std::string lost =
      make_role("_lost", "database/creds/x/aaaaaaaaaaaaaaaaaaaaaaaa", accessor());
  const std::string of_removed =
      make_role("_away", "database/creds/x/bbbbbbbbbbbbbbbbbbbbbbbb", accessor(), "no-such-target");
  const Json report = reconcile();
  ASSERT_EQ(report.at("targets").size(), 2u);
  EXPECT_EQ(report.at("targets")[0].at("compared"), true);
  EXPECT_EQ(report.at("targets")[1].at("compared"), false);
  EXPECT_THAT(report.at("targets")[1].at("error").get<std::string>(), HasSubstr("gone"));
  EXPECT_EQ(found(report), (std::multimap<std::string, std::string>{
                               {"unknown_role", lost}, {"removed_target", of_removed}}));
  EXPECT_THAT(server_.call("GET", "sys/metrics?format=prometheus").text,
              HasSubstr("curfew_reconcile_findings{kind=\"unknown_role\"} 1"));
  EXPECT_EQ(server_.call("POST", "sys/reconcile", {{"mount", "nowhere"}}).status, 400);
  EXPECT_EQ(
      server_.call("POST", "sys/reconcile", {{"mount", "database"}, {"target", "nowhere"}}).status,
      400);
}

}  // namespace
}  // namespace curfew::e2e
