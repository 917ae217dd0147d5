#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(RoleWriteTest, statements_are_judged_and_rehearsed_before_they_are_stored) {
  ServerProcess server;
  server.start_initialized();
  test::TestDatabase database;
  const AgentWorld world(server, database);
  server.must("PUT", "sys/audit/file",
              {{"type", "file"}, {"options", {{"file_path", server.path("audit.log")}}}});
  const std::string group = database.role_prefix() + "_readers";
  world.superuser().run("CREATE ROLE " + group);
  const auto write = [&](const std::string& name, const std::string& more, Json fields = {}) {
    Json body{{"db_name", "app"},
              {"creation_statements",
               {R"(CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL )"
                R"('{{expiration}}')",
                more}}};
    if (fields.is_object()) body.update(fields);
    return server.call("POST", "database/roles/" + name, body);
  };

  const Answer good = write("agent-good", "GRANT " + group + " TO \"{{name}}\"");
  EXPECT_EQ(good.status, 200) << good.text;  // allowed_roles does not name it
  ASSERT_EQ(good.body.at("warnings").size(), 1u) << good.text;
  EXPECT_TRUE(good.body.at("data").is_null());
  EXPECT_THAT(good.text, HasSubstr("allowed_roles"));
  server.must("POST", "database/config/app", {{"allowed_roles", "*"}});
  EXPECT_EQ(write("agent-good", "GRANT " + group + " TO \"{{name}}\"").status, 204);

  const Answer grants = write("agent-tables", "GRANT SELECT ON customers TO \"{{name}}\"");
  EXPECT_EQ(grants.status, 200);
  EXPECT_THAT(grants.text, HasSubstr("row is too big"));

  const Answer fails = write("agent-bad", "SELECT 1;\nGRANT SELECT ON custmers TO \"{{name}}\"");
  EXPECT_EQ(fails.status, 400);
  EXPECT_THAT(fails.error(), AllOf(HasSubstr("creation_statements[1], line 2"),
                                   HasSubstr("relation \"custmers\" does not exist")));
  EXPECT_EQ(server.call("GET", "database/roles/agent-bad").status, 404);

  const std::string hidden =
      "DO $$ BEGIN EXECUTE 'ALTER ROLE \"{{name}}\" ' || reverse('ELORETAERC'); END $$";
  const Answer dangerous = write("agent-boss", hidden);
  EXPECT_EQ(dangerous.status, 400);
  EXPECT_THAT(dangerous.error(), HasSubstr("CREATEROLE"));
  EXPECT_EQ(server.call("GET", "database/roles/agent-boss").status, 404);
  EXPECT_EQ(write("agent-boss", hidden, {{"allow_dangerous", true}}).status, 200);
  EXPECT_EQ(server.must("GET", "database/roles/agent-boss").at("data").at("allow_dangerous"), true);
  EXPECT_THAT(read_file(server.path("audit.log")), HasSubstr("taken because of allow_dangerous"));

  EXPECT_EQ(world.marked_roles(), 0);
}

TEST(RoleWriteTest, a_configuration_says_which_rights_its_login_lacks) {
  ServerProcess server;
  server.start_initialized();
  test::TestDatabase database;
  const AgentWorld world(server, database);
  const auto poor = database.login("");
  const Answer written = server.call("POST", "database/config/app",
                                     {{"username", poor.user}, {"password", poor.password}});
  EXPECT_EQ(written.status, 200) << written.text;
  EXPECT_THAT(written.body.at("warnings").dump(),
              AllOf(HasSubstr("ALTER ROLE \\\"" + poor.user + "\\\" CREATEROLE"),
                    HasSubstr("GRANT pg_signal_backend TO \\\"" + poor.user)));
}

}  // namespace
}  // namespace curfew::e2e
