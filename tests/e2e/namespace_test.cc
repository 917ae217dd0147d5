#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Two tenants of one server with roles in one real database, set up with the command line.
class NamespaceTest : public ::testing::Test {
 protected:
  NamespaceTest() : login_(database_.login("CREATEROLE")) {
    server_.start_initialized();
    test::PgSession superuser = database_.superuser();
    superuser.run("GRANT pg_signal_backend TO " + login_.user);
    superuser.run("CREATE TABLE customers (id int PRIMARY KEY); GRANT SELECT ON customers TO " +
                  login_.user + " WITH GRANT OPTION");
    for (const std::string tenant : {"team-a", "team-b"}) furnish(tenant);
  }

  // What the tenant's operator does, whose token cannot leave the namespace.
  void furnish(const std::string& tenant) {
    const Outcome made = server_.cli({"namespace", "create", tenant});
    ASSERT_EQ(made.exit, 0) << made.err;
    admin_[tenant] = server_
                         .must("POST", tenant + "/auth/token/create",
                               {{"policies", {"root"}}, {"display_name", "admin"}})
                         .at("auth")
                         .at("client_token");
    const auto run = [&](const std::vector<std::string>& words) {
      std::vector<std::string> all = {"-namespace=" + tenant};
      all.insert(all.end(), words.begin(), words.end());
      const Outcome done = server_.cli(all, admin_[tenant]);
      ASSERT_EQ(done.exit, 0) << done.err;
    };
    const test::PgAddress& where = database_.server();
    run({"secrets", "enable", "database"});
    run({"write", "database/config/app", "plugin_name=postgresql-database-plugin",
         "connection_url=postgresql://{{username}}:{{password}}@" + where.host + ":" + where.port +
             "/" + database_.name(),
         "username=" + login_.user, "password=" + login_.password, "allowed_roles=*"});
    run({"write", "database/roles/ro", "db_name=app",
         R"(creation_statements=CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL )"
         R"('{{expiration}}'; GRANT SELECT ON customers TO "{{name}}";)",
         "default_ttl=15m"});
  }

  Credential issue(const std::string& tenant) {
    const Answer answer =
        server_.call("GET", tenant + "/database/creds/ro", nullptr, admin_[tenant]);
    return credential_of(answer);
  }

  ServerProcess server_;
  test::TestDatabase database_;
  const test::TestDatabase::Login login_;
  std::map<std::string, std::string> admin_;
};

TEST_F(NamespaceTest, one_tenant_is_deleted_and_the_other_is_untouched) {
  const Credential gone = issue("team-a"), stays = issue("team-b");
  ASSERT_EQ(gone.status, 200) << gone.error;
  ASSERT_EQ(stays.status, 200) << stays.error;
  test::PgSession of_a(database_.url(gone.user, gone.password));
  test::PgSession of_b(database_.url(stays.user, stays.password));
  EXPECT_EQ(of_b.value("SELECT count(*) FROM customers"), "0");

  // Neither sees the other.
  EXPECT_EQ(server_.call("GET", "team-b/sys/mounts", nullptr, admin_["team-a"]).status, 403);
  EXPECT_EQ(server_.call("GET", "sys/mounts", nullptr, admin_["team-a"]).status, 403);
  const Answer leases =
      server_.call("GET", "team-a/sys/leases?type=active", nullptr, admin_["team-a"]);
  EXPECT_THAT(leases.text, HasSubstr(gone.lease));
  EXPECT_THAT(leases.text, Not(HasSubstr(stays.lease)));

  const Outcome deleted = server_.cli({"namespace", "delete", "team-a"});
  EXPECT_EQ(deleted.exit, 0) << deleted.err;
  EXPECT_THAT(deleted.out, HasSubstr("Success! Deleted the namespace"));
  EXPECT_EQ(database_.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname = '" +
                                        gone.user + "'"),
            "0");
  EXPECT_THROW(of_a.value("SELECT 1"), std::exception) << "its session has ended";
  EXPECT_EQ(of_b.value("SELECT count(*) FROM customers"), "0");
  EXPECT_EQ(server_.call("GET", "team-a/sys/mounts", nullptr, admin_["team-a"]).status, 403);
  EXPECT_EQ(server_.call("GET", "sys/namespaces/team-a").status, 404);
  EXPECT_EQ(issue("team-b").status, 200);

  server_.kill();
  server_.start();
  EXPECT_EQ(server_.call("GET", "sys/namespaces/team-a").status, 404);
  EXPECT_EQ(issue("team-b").status, 200);
}

TEST_F(NamespaceTest, a_deletion_goes_on_after_a_crash) {
  const Credential made = issue("team-a");
  ASSERT_EQ(made.status, 200) << made.error;
  // The login cannot be used for a while: nothing can be revoked.
  database_.superuser().run("ALTER ROLE " + login_.user + " NOLOGIN");
  server_.kill();
  server_.start();
  const Answer answer = server_.call("DELETE", "sys/namespaces/team-a");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.data().at("status"), "in-progress");
  server_.kill();
  server_.start();
  EXPECT_EQ(server_.must("GET", "sys/namespaces/team-a").at("data").at("tainted"), true);
  EXPECT_EQ(issue("team-a").status, 403);
  database_.superuser().run("ALTER ROLE " + login_.user + " LOGIN");
  EXPECT_TRUE(
      eventually([&] { return server_.call("GET", "sys/namespaces/team-a").status == 404; }));
  EXPECT_EQ(database_.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname = '" +
                                        made.user + "'"),
            "0");
}

}  // namespace
}  // namespace curfew::e2e
