#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A cluster in which nobody has heard of Curfew, with a table that belongs to the application.
class TargetSetupTest : public ::testing::Test {
 protected:
  TargetSetupTest() : database_(cluster_.address()), superuser_(database_.superuser()) {
    server_.start_initialized();
    server_.must("POST", "sys/mounts/database", {{"type", "database"}});
    superuser_.run(
        "CREATE ROLE app_owner; CREATE TABLE customers (id int PRIMARY KEY, name text);"
        "INSERT INTO customers VALUES (1, 'Ada Quist'), (2, 'Bo Tamm');"
        "ALTER TABLE customers OWNER TO app_owner; REVOKE CONNECT ON DATABASE " +
        database_.name() + " FROM PUBLIC");
  }

  Outcome set_up(std::vector<std::string> more, const std::string& password) {
    const test::PgAddress& at = database_.server();
    std::vector<std::string> words{"target", "setup",
                                   "-run=postgresql://" + at.user + "@" + at.host + ":" + at.port,
                                   "-database=" + database_.name()};
    words.insert(words.end(), more.begin(), more.end());
    return server_.cli(words, "root", "", {{"PGPASSWORD", password}});
  }
  Outcome set_up(std::vector<std::string> more) {
    return set_up(std::move(more), database_.server().password);
  }
  Outcome must(const std::vector<std::string>& words) {
    Outcome outcome = server_.cli(words);
    EXPECT_EQ(outcome.exit, 0) << words[0] << " " << words[1] << ": " << outcome.err;
    return outcome;
  }

  ServerProcess server_;
  test::OwnServer cluster_{{"log_statement = 'all'"}};
  test::TestDatabase database_;
  test::PgSession superuser_;
};

TEST_F(TargetSetupTest, a_fresh_cluster_is_made_ready_and_serves_a_lease_from_birth_to_death) {
  const std::vector<std::string> flags{"-group=readers:select:public",
                                       "-group=writers:insert,update,delete,select:public",
                                       "-owner=app_owner",
                                       "-quarantine=public",
                                       "-name=app",
                                       "-allowed-roles=agent-*"};
  const Outcome first = set_up(flags);
  ASSERT_EQ(first.exit, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("Configured: database/config/app"));
  EXPECT_EQ(first.err, "") << "the login lacks nothing";
  EXPECT_EQ(superuser_.value("SELECT concat_ws(',', rolcanlogin, rolcreaterole, rolsuper, "
                             "rolcreatedb, rolreplication, rolbypassrls) FROM pg_roles WHERE "
                             "rolname = 'curfew_broker'"),
            "t,t,f,f,f,f");

  const Outcome role = must(
      {"write", "database/roles/agent-reader", "db_name=app",
       R"(creation_statements=CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL )"
       R"('{{expiration}}'; GRANT readers TO "{{name}}")"});
  EXPECT_EQ(role.err, "") << "nothing to warn about";
  const Json made = Json::parse(must({"read", "-format=json", "database/creds/agent-reader"}).out);
  const std::string user = made.at("data").at("username");
  const std::string password = made.at("data").at("password");
  {
    test::PgSession agent(database_.url(user, password));
    EXPECT_EQ(agent.value("SELECT count(*) FROM customers"), "2");
    EXPECT_EQ(agent.try_run("DELETE FROM customers"), "42501");
  }
  must({"lease", "revoke", "-sync", made.at("lease_id").get<std::string>()});
  EXPECT_FALSE(test::can_log_in(database_.url(user, password)));
  EXPECT_EQ(superuser_.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + user + "'"), "0");

  // Again: nothing breaks, the new password is the configured one.
  const Outcome second = set_up(flags);
  ASSERT_EQ(second.exit, 0) << second.err;
  must({"read", "database/creds/agent-reader"});
}

TEST_F(TargetSetupTest, the_password_goes_where_it_is_told_to_and_is_kept_otherwise) {
  EXPECT_THAT(set_up({}).err, AllOf(HasSubstr("-name"), HasSubstr("-password-file")));
  EXPECT_EQ(superuser_.value("SELECT count(*) FROM pg_roles WHERE rolname = 'curfew_broker'"), "0");
  const std::string file = server_.path("password");
  const Outcome done = set_up({"-password-file=" + file});
  ASSERT_EQ(done.exit, 0) << done.err;
  const std::string password = read_file(file);
  EXPECT_THAT(done.out + done.err, Not(HasSubstr(password)));
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(test::can_log_in(database_.url("curfew_broker", password)));
  EXPECT_THAT(cluster_.log(), Not(HasSubstr(password)));

  ASSERT_EQ(set_up({"-group=readers:select:public"}).exit, 0);
  EXPECT_TRUE(test::can_log_in(database_.url("curfew_broker", password)));
}

TEST_F(TargetSetupTest, what_cannot_be_done_is_told_and_changes_nothing) {
  EXPECT_THAT(set_up({"-name=app"}, "wrong").err, HasSubstr("password authentication failed"));
  EXPECT_THAT(set_up({"-name=app", "-login=postgres"}).err, HasSubstr("choose another -login"));
  EXPECT_THAT(set_up({"-name=app", "-group=readers:select:no_such_schema"}).err,
              HasSubstr("no_such_schema"));
  EXPECT_EQ(superuser_.value("SELECT count(*) FROM pg_roles WHERE rolname IN ('curfew_broker', "
                             "'readers')"),
            "0");
  EXPECT_EQ(server_.cli({"read", "database/config/app"}).exit, 2);
}

TEST_F(TargetSetupTest, functions_that_others_planted_are_not_run) {
  superuser_.run(
      "CREATE ROLE planter LOGIN PASSWORD 'p'; GRANT CREATE ON SCHEMA public TO planter;"
      "GRANT CONNECT ON DATABASE " +
      database_.name() + " TO planter");
  // It fits better than the catalog's own does.
  test::PgSession planter(database_.url("planter", "p"));
  planter.run(
      "CREATE FUNCTION public.format(text, name, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
      "EXECUTE 'ALTER ROLE planter SUPERUSER'; "
      "RETURN pg_catalog.format($1, $2, $3); END $$");
  const Outcome done = set_up({"-name=app", "-group=readers:select:public"});
  ASSERT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(superuser_.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'planter'"), "f");
  EXPECT_EQ(superuser_.value("SELECT has_database_privilege('curfew_broker', '" + database_.name() +
                             "', 'CONNECT')"),
            "t");
}

TEST_F(TargetSetupTest, the_printed_script_does_the_same) {
  std::string script = must({"target", "setup", "-database=" + database_.name(),
                             "-group=readers:select:public", "-quarantine=public"})
                           .out;
  // What psql does itself.
  for (std::size_t i = 0; (i = script.find("\n\\", i)) != std::string::npos;)
    script.erase(i + 1, script.find('\n', i + 1) - i);
  superuser_.run(script);
  superuser_.run(script);
  EXPECT_EQ(superuser_.value("SELECT has_table_privilege('readers', 'customers', 'SELECT') AND "
                             "pg_has_role('curfew_broker', 'pg_signal_backend', 'USAGE')"),
            "t");
}

}  // namespace
}  // namespace curfew::e2e
