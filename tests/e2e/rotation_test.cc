#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using test::can_log_in;
using test::eventually;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RotationTest : public ::testing::Test {
 protected:
  RotationTest() {
    server_.start_initialized();
    world_.emplace(server_, database_);
    test::PgSession superuser = database_.superuser();
    user_ = database_.login("");
    // What a login needs to change somebody else's password from version 16 on.
    superuser.try_run("GRANT " + user_.user + " TO " + world_->broker_login().user +
                      " WITH ADMIN OPTION");
    server_.must("POST", "database/config/app", {{"allowed_roles", "*"}});
  }

  std::string served() const {
    return server_.call("GET", "database/static-creds/billing").data().value("password", "");
  }
  bool logs_in(const std::string& password) const {
    return can_log_in(database_.url(user_.user, password));
  }

  ServerProcess server_;
  test::TestDatabase database_;
  std::optional<AgentWorld> world_;
  test::TestDatabase::Login user_;
};

TEST_F(RotationTest, a_static_role_lives_by_the_command_line) {
  const Outcome written = server_.cli({"write", "database/static-roles/billing", "db_name=app",
                                       "username=" + user_.user, "rotation_period=5s"});
  ASSERT_EQ(written.exit, 0) << written.err;
  EXPECT_FALSE(logs_in(user_.password));
  const Outcome shown = server_.cli({"read", "-field=password", "database/static-creds/billing"});
  ASSERT_EQ(shown.exit, 0) << shown.err;
  EXPECT_TRUE(logs_in(shown.out));

  // By the clock of the server, and also after it was killed.
  const std::string first = served();
  server_.kill();
  server_.start();
  EXPECT_TRUE(eventually([&] { return !served().empty() && served() != first; }));
  EXPECT_EQ(server_.cli({"write", "-f", "database/rotate-role/billing"}).exit, 0);

  server_.must("POST", "database/static-roles/billing",
               {{"username", user_.user}, {"rotation_period", 0}});
  EXPECT_TRUE(logs_in(served()));
  database_.superuser().run("ALTER ROLE " + user_.user + " NOLOGIN");
  const Answer refused = server_.call("PUT", "database/rotate-role/billing");
  EXPECT_EQ(refused.status, 500);
  EXPECT_THAT(refused.error(), HasSubstr("may not log in; ALTER ROLE"));
  database_.superuser().run("ALTER ROLE " + user_.user + " LOGIN");
  EXPECT_EQ(server_.call("PUT", "database/rotate-role/billing").status, 204);
  const std::string last = served();
  EXPECT_TRUE(logs_in(last));
  EXPECT_THAT(server_.log(), Not(HasSubstr(last)));
  EXPECT_EQ(server_.call("DELETE", "database/static-roles/billing").status, 204);
  EXPECT_TRUE(logs_in(last));
}

TEST_F(RotationTest, a_rotated_root_password_survives_a_crash_and_a_configuration_manager) {
  const test::TestDatabase::Login& broker = world_->broker_login();
  ASSERT_EQ(server_.cli({"write", "-f", "database/rotate-root/app"}).exit, 0);
  EXPECT_FALSE(can_log_in(database_.url(broker.user, broker.password)));
  EXPECT_EQ(world_->issue().status, 200);
  server_.kill();
  server_.start();
  EXPECT_EQ(world_->issue().status, 200);
  const Answer written = server_.call("POST", "database/config/app",
                                      {{"username", broker.user}, {"password", broker.password}});
  EXPECT_EQ(written.status, 200) << written.error();
  EXPECT_THAT(written.text, HasSubstr("from before a rotation"));
  EXPECT_EQ(world_->issue().status, 200);
}

}  // namespace
}  // namespace curfew::e2e
