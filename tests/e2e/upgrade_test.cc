#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/server_process.h"
#include "tests/support/postgres.h"
#include "tests/support/sqlite_file.h"

namespace curfew::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kStores = "tests/data";

// The program on a copy of a store that an older program left behind after kill -9. The stores are
// made by tests/data/make_store.py; one for each version of the schema, and parameters are those.
class UpgradeTest : public ::testing::TestWithParam<int> {
 protected:
  UpgradeTest() {
    const fs::path made = kStores / ("store_schema_" + std::to_string(GetParam()));
    for (const char* name : {"curfew.db", "seal.key"}) {
      fs::copy_file(made / name, server_.path(name));
      fs::permissions(server_.path(name), fs::perms::owner_read | fs::perms::owner_write);
    }
    story_ = Json::parse(read_file(made / "story.json"));
    server_.set_root_token(story_.at("root_token"));
  }
  ~UpgradeTest() override {
    for (const std::string& role : made_)
      target_.superuser().try_run("DROP ROLE IF EXISTS \"" + role + "\"");
  }

  std::string lease_of(const char* name) const { return story_.at(name).at("lease"); }
  std::string role_of(const char* name) const {
    const std::string lease = lease_of(name);
    return "cf-ro-" + lease.substr(lease.rfind('/') + 1);
  }
  std::string state_of(const char* name) const {
    return server_.call("PUT", "sys/leases/receipt", {{"lease_id", lease_of(name)}})
        .data()
        .value("state", "");
  }
  // As the older program made it.
  void make_role(const char* name) {
    const Json mark = {
        {"curfew", story_.at("accessor")}, {"lease", lease_of(name)}, {"target", "app"}};
    made_.push_back(role_of(name));
    target_.superuser().run("CREATE ROLE \"" + role_of(name) + "\" LOGIN PASSWORD 'known';" +
                            "COMMENT ON ROLE \"" + role_of(name) + "\" IS '" + mark.dump() + "'");
  }
  // The configuration in the store names a server that is gone.
  void point_at_target() {
    const test::PgAddress& where = target_.server();
    server_.must("POST", "database/config/app",
                 {{"plugin_name", "postgresql-database-plugin"},
                  {"connection_url", "postgresql://{{username}}:{{password}}@" + where.host + ":" +
                                         where.port + "/" + target_.name()},
                  {"username", where.user},
                  {"password", where.password},
                  {"allowed_roles", "*"}});
  }

  ServerProcess server_;
  test::TestDatabase target_;
  Json story_;
  std::vector<std::string> made_;  // roles
};

TEST_P(UpgradeTest, everything_in_an_older_store_is_there_and_works) {
  ASSERT_EQ(story_.at("schema"), GetParam());
  server_.start();
  const Json mounts = server_.must("GET", "sys/mounts").at("data");
  for (const char* path : {"database/", "secret/", "keys/"}) EXPECT_TRUE(mounts.contains(path));
  EXPECT_EQ(mounts.at("database/").at("accessor"), story_.at("accessor"));
  EXPECT_EQ(server_.must("GET", "secret/data/app").at("data").at("data").at("colour"), "blue");
  EXPECT_EQ(server_.must("GET", "secret/data/app?version=1").at("data").at("data").at("colour"),
            "green");
  EXPECT_THAT(server_.call("GET", "sys/policies/acl/agent").text, HasSubstr("database/creds/ro"));
  EXPECT_EQ(server_.call("GET", "database/roles/ro").data().at("db_name"), "app");
  const Json agent = server_.must("GET", "auth/token/lookup-self", nullptr,
                                  story_.at("agent_token").get<std::string>());
  EXPECT_EQ(agent.at("data").at("display_name"), "token-report-bot");
  EXPECT_THAT(agent.at("data").at("policies").dump(), HasSubstr("agent"));
  const Answer found = server_.call("PUT", "sys/leases/lookup", {{"lease_id", lease_of("active")}});
  EXPECT_EQ(found.data().at("state"), "active") << found.text;
  // Rows of schema 1 have no columns for whom they belong to: the first search fills them in.
  const Json owned =
      server_
          .must("GET", "sys/leases?agent=" +
                           found.data().at("attribution").at("display_name").get<std::string>())
          .at("data")
          .at("leases");
  EXPECT_THAT(owned.dump(), HasSubstr(lease_of("active")));
  EXPECT_TRUE(server_.must("GET", "sys/leases?agent=nobody").at("data").at("leases").empty());
}

TEST_P(UpgradeTest, leases_of_an_older_store_are_revoked_in_whatever_state_they_were) {
  const std::vector<const char*> all = {"active", "failing", "pending"};
  for (const char* name : all) make_role(name);
  server_.start();
  point_at_target();
  EXPECT_EQ(server_.call("PUT", "sys/leases/revoke", {{"lease_id", lease_of("active")}}).status,
            204);
  for (const char* name : all) {
    EXPECT_TRUE(eventually([&] { return state_of(name) == "revoked"; })) << state_of(name);
    EXPECT_FALSE(test::can_log_in(target_.url(role_of(name), "known"))) << name;
  }
  const std::string token = story_.at("agent_token");
  const Answer issued = server_.call("GET", "database/creds/ro?ttl=5m", nullptr, token);
  ASSERT_EQ(issued.status, 200) << issued.text;
  EXPECT_EQ(server_.call("PUT", "auth/token/revoke", {{"token", token}}).status, 204);
  EXPECT_TRUE(eventually([&] {
    return server_.must("GET", "sys/leases/count").at("data").at("lease_count") == 0;
  })) << "what the older token was given ends with it";
  EXPECT_EQ(target_.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname IN ('" +
                                      role_of("active") + "', '" + role_of("failing") + "', '" +
                                      role_of("pending") + "')"),
            "0");
}

INSTANTIATE_TEST_SUITE_P(schema, UpgradeTest, ::testing::Values(1, 4));

TEST(DowngradeTest, a_store_of_a_newer_program_is_refused_and_left_as_it_is) {
  ServerProcess server;
  server.start_initialized();
  server.stop();
  const std::string path = server.database_path();
  test::run_sqlite(path, "INSERT INTO schema_version (version) VALUES (999)");
  const std::string before = read_file(path);
  const Outcome refused = server.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("the database was written by a newer Curfew (schema 999"));
  EXPECT_THAT(refused.err, HasSubstr("Start the newer version, or restore a backup that fits"));
  EXPECT_EQ(read_file(path), before);

  test::run_sqlite(path, "DELETE FROM schema_version WHERE version = 999");
  server.start();
  EXPECT_EQ(server.call("GET", "auth/token/lookup-self").status, 200);
}

}  // namespace
}  // namespace curfew::e2e
