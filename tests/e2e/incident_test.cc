#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// An operator in an incident, with the command line alone.
class IncidentTest : public ::testing::Test {
 protected:
  IncidentTest() {
    server_.start_initialized();
    world_.emplace(server_, database_);
    report_bot_ = world_->agent_token();
    mail_bot_ = server_
                    .must("POST", "auth/token/create",
                          {{"policies", {"agent"}}, {"display_name", "mail-bot"}})
                    .at("auth")
                    .at("client_token");
  }

  Credential issue(const std::string& token, const std::string& session) {
    const Outcome read =
        server_.cli({"read", "-format=json", "database/creds/agent-readonly"}, token, "",
                    {{"CURFEW_SESSION", session}, {"CURFEW_PURPOSE", "weekly report"}});
    Credential made;
    made.status = read.exit;
    made.error = read.err;
    if (read.exit != 0) return made;
    made.answer = Json::parse(read.out);
    made.lease = made.answer.at("lease_id");
    made.user = made.answer.at("data").at("username");
    made.password = made.answer.at("data").at("password");
    return made;
  }

  ServerProcess server_;
  test::TestDatabase database_;
  std::optional<AgentWorld> world_;
  std::string report_bot_, mail_bot_;
};

TEST_F(IncidentTest, one_agent_is_ended_while_the_other_goes_on) {
  const Credential bad = issue(report_bot_, "s-1");
  const Credential good = issue(mail_bot_, "s-2");
  test::PgSession bad_session(database_.url(bad.user, bad.password));
  test::PgSession good_session(database_.url(good.user, good.password));

  const Outcome dry = server_.cli({"revoke", "--agent=report-bot", "--dry-run"});
  EXPECT_EQ(dry.exit, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("1 leases would be ended"));
  EXPECT_THAT(dry.out, HasSubstr(bad.lease));
  EXPECT_EQ(bad_session.value("SELECT count(*) FROM customers"), "2");

  const Outcome unsure = server_.cli({"revoke", "--agent=report-bot", "-reason=leak"});
  EXPECT_EQ(unsure.exit, 1);
  EXPECT_THAT(unsure.err, HasSubstr("give -yes"));
  EXPECT_TRUE(world_->can_log_in(bad));

  const Outcome ended =
      server_.cli({"revoke", "--agent=report-bot", "-reason=key leaked", "--yes"});
  EXPECT_EQ(ended.exit, 0) << ended.out << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("All access is gone, and proven so"));
  EXPECT_NE(bad_session.try_run("SELECT 1"), "");
  EXPECT_FALSE(world_->can_log_in(bad));
  EXPECT_EQ(good_session.value("SELECT count(*) FROM customers"), "2");
  EXPECT_EQ(world_->state_of(good.lease), "active");
  EXPECT_EQ(world_->marked_roles(), 1);

  const Credential refused = issue(report_bot_, "s-3");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.error, HasSubstr("key leaked"));
  EXPECT_EQ(issue(mail_bot_, "s-4").status, 0);

  const Outcome locked = server_.cli({"lockdown", "list", "-format=json"});
  const Json lockdowns = Json::parse(locked.out);
  ASSERT_EQ(lockdowns.size(), 1u);
  EXPECT_EQ(server_.cli({"lockdown", "lift", lockdowns.begin().key()}).exit, 0);
  EXPECT_EQ(issue(report_bot_, "s-5").status, 0);
}

TEST_F(IncidentTest, a_dry_run_of_everything_changes_nothing_and_the_real_one_ends_everything) {
  const Credential one = issue(report_bot_, "s-1");
  const Credential two = issue(mail_bot_, "s-2");
  const Outcome dry = server_.cli({"revoke", "--all", "--dry-run", "-format=json"});
  EXPECT_EQ(dry.exit, 0) << dry.err;
  EXPECT_EQ(Json::parse(dry.out).at("found"), 2);
  EXPECT_TRUE(world_->can_log_in(one));
  EXPECT_TRUE(world_->can_log_in(two));
  EXPECT_EQ(world_->live_leases(), 2);
  EXPECT_EQ(issue(report_bot_, "s-3").status, 0);

  const Outcome ended =
      server_.cli({"revoke", "--all", "--reason=incident 42", "--yes", "-format=json"});
  ASSERT_EQ(ended.exit, 0) << ended.out << ended.err;
  const Json outcome = Json::parse(ended.out);
  EXPECT_EQ(outcome.at("found"), 3);
  EXPECT_EQ(outcome.at("receipts").at("proven"), 3);
  EXPECT_EQ(world_->marked_roles(), 0);
  EXPECT_EQ(world_->live_leases(), 0);
  EXPECT_EQ(issue(mail_bot_, "s-4").status, 2);
}

TEST_F(IncidentTest, what_cannot_be_proven_gone_gives_exit_code_2_and_is_told_after_a_restart) {
  const Credential made = issue(report_bot_, "s-1");
  world_->superuser().run("ALTER ROLE " + world_->broker_login().user + " NOLOGIN");
  server_.must("POST", "database/reset/app");
  const Outcome failed =
      server_.cli({"revoke", "--session=s-1", "--reason=r", "--yes", "--wait=1s", "-format=json"});
  EXPECT_EQ(failed.exit, 2) << failed.out;
  const std::string id = Json::parse(failed.out).at("id");
  server_.kill();
  world_->superuser().run("ALTER ROLE " + world_->broker_login().user + " LOGIN");
  server_.start();
  EXPECT_TRUE(eventually([&] {
    return server_.must("GET", "sys/leases/end/" + id).at("data").at("finished") == true;
  }));
  EXPECT_EQ(server_.must("GET", "sys/leases/end/" + id).at("data").at("receipts").at("proven"), 1);
  EXPECT_FALSE(world_->can_log_in(made));
  EXPECT_EQ(issue(report_bot_, "s-1").status, 2) << "the lockdown outlives the restart";
  EXPECT_EQ(issue(report_bot_, "s-2").status, 0);
}

TEST_F(IncidentTest, a_lockdown_refuses_with_its_reason_and_lifting_restores) {
  const Credential before = issue(report_bot_, "s-1");
  const Outcome added = server_.cli({"lockdown", "add", "-role=agent-readonly", "-id=migration",
                                     "-reason=schema migration until noon"});
  EXPECT_EQ(added.exit, 0) << added.err;
  const Credential refused = issue(report_bot_, "s-1");
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.error, HasSubstr("schema migration until noon"));
  EXPECT_TRUE(world_->can_log_in(before));
  EXPECT_EQ(server_.cli({"lease", "renew", before.lease}).exit, 2);
  EXPECT_THAT(server_.cli({"lockdown", "list"}).out, HasSubstr("migration"));
  EXPECT_EQ(server_.cli({"lockdown", "list"}, report_bot_).exit, 2) << "for operators alone";
  EXPECT_EQ(server_.cli({"lockdown", "lift", "migration"}).exit, 0);
  EXPECT_EQ(issue(report_bot_, "s-1").status, 0);
  EXPECT_EQ(server_.cli({"lease", "renew", before.lease}).exit, 0);
}

TEST_F(IncidentTest, whois_tells_from_a_role_or_a_backend_whose_it_is) {
  const Credential made = issue(report_bot_, "s-77");
  test::PgSession session(database_.url(made.user, made.password));
  const std::string pid = session.value("SELECT pg_backend_pid()");
  for (const std::string& what : {made.user, pid}) {
    const Outcome told = server_.cli({"whois", what});
    EXPECT_EQ(told.exit, 0) << told.err;
    for (const std::string& part :
         {made.lease, std::string("report-bot"), std::string("weekly report"), std::string("s-77"),
          std::string("active"), made.user})
      EXPECT_THAT(told.out, HasSubstr(part)) << what;
    EXPECT_THAT(told.out, Not(HasSubstr(made.password)));
  }
  EXPECT_EQ(server_.cli({"whois", pid, "-mount=database", "-target=app"}).exit, 0);
  EXPECT_EQ(server_.cli({"whois", pid, "-target=other"}).exit, 2);

  // A backend of somebody else, and nobody's.
  test::PgSession operators = world_->superuser();
  const Outcome foreign = server_.cli({"whois", operators.value("SELECT pg_backend_pid()")});
  EXPECT_EQ(foreign.exit, 2);
  EXPECT_THAT(foreign.out, HasSubstr("was not made by Curfew"));
  EXPECT_EQ(server_.cli({"whois", "999999999"}).exit, 2);

  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  const Outcome ended = server_.cli({"whois", made.user});
  EXPECT_EQ(ended.exit, 0);
  EXPECT_THAT(ended.out, HasSubstr("the lease has ended"));
  EXPECT_THAT(server_.cli({"lease", "list", "-state=revoked"}).out, HasSubstr(made.lease));
  EXPECT_THAT(server_.cli({"lease", "show", made.lease}).out, HasSubstr("role_absent"));
}

// The session user counts, whatever role the session has taken on since.
TEST_F(IncidentTest, whois_is_not_misled_by_set_role) {
  world_->superuser().run("DROP ROLE IF EXISTS incident_group");
  world_->superuser().run("CREATE ROLE incident_group");
  const Credential made = issue(report_bot_, "s-1");
  world_->superuser().run("GRANT incident_group TO \"" + made.user + "\"");
  test::PgSession session(database_.url(made.user, made.password));
  session.run("SET ROLE incident_group");
  const Outcome told = server_.cli({"whois", session.value("SELECT pg_backend_pid()")});
  EXPECT_EQ(told.exit, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr(made.lease));
  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  world_->superuser().run("DROP ROLE incident_group");
}

}  // namespace
}  // namespace curfew::e2e
