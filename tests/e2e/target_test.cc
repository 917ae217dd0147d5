#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

TEST(TargetTest, connections_that_are_cut_in_mid_work_leave_no_role_behind) {
  ServerProcess server;
  server.start_initialized();
  test::TestDatabase database;
  const AgentWorld world(server, database);
  std::atomic<bool> stop{false};
  std::atomic<int> good{0}, bad{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        const Credential made = world.issue("1h");
        ++(made.status == 200 ? good : bad);
        if (made.status != 200) {
          EXPECT_NE(made.error, "");
          EXPECT_NE(made.status, 0);
          continue;
        }
        const Answer ended = server.call("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
        if (ended.status != 204) {
          EXPECT_THAT(ended.error(), HasSubstr("Curfew goes on trying"));
        }
      }
    });
  }
  test::PgSession superuser = database.superuser();
  for (int i = 0; i < 40; ++i) {
    superuser.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" +
                  world.broker_login().user + "'");
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_GT(good.load(), 0);
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 0; })) << world.live_leases();
  EXPECT_EQ(world.marked_roles(), 0);
  EXPECT_EQ(world.issue("1h").status, 200) << "it works again";
}

TEST(TargetTest, its_connections_are_shown) {
  ServerProcess server;
  server.start_initialized();
  test::TestDatabase database;
  const AgentWorld world(server, database);
  ASSERT_EQ(world.issue().status, 200);
  const Json shown = server.must("GET", "sys/targets").at("data").at("connections");
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].at("mount"), "database/");
  EXPECT_EQ(shown[0].at("target"), "app");
  EXPECT_EQ(shown[0].at("waiting"), 0);
  EXPECT_GE(shown[0].at("open"), 1);
  EXPECT_LE(shown[0].at("open"), shown[0].at("max"));
  EXPECT_EQ(shown[0].at("open"), world.broker_connections());
}

TEST(TargetTest, a_target_that_is_down_gives_a_clear_error_and_is_caught_up_with_when_it_returns) {
  ServerProcess server;
  server.start_initialized();
  test::OwnServer target;
  test::TestDatabase database(target.address());
  const AgentWorld world(server, database);
  const Credential before = world.issue("1h");
  const Credential running_out = world.issue("2s");
  ASSERT_EQ(before.status, 200) << before.error;

  target.stop_immediately();
  const Credential none = world.issue("1h");
  EXPECT_THAT(none.status, ::testing::AnyOf(500, 503));
  EXPECT_THAT(none.error, HasSubstr(target.address().port)) << "says which server";
  EXPECT_EQ(none.error.find(world.broker_login().password), std::string::npos);
  const Answer revoked = server.call("PUT", "sys/leases/revoke", {{"lease_id", before.lease}});
  EXPECT_NE(revoked.status, 204);
  EXPECT_THAT(revoked.error(), HasSubstr("Curfew goes on trying"));
  EXPECT_THAT(revoked.error(), HasSubstr("it may still give access"));
  EXPECT_TRUE(
      eventually([&] { return world.lease(running_out.lease).value("revoke_error", "") != ""; }));
  EXPECT_EQ(server.call("GET", "sys/mounts").status, 200) << "the rest works";

  target.start();
  EXPECT_TRUE(eventually([&] { return world.issue("1h").status == 200; }));
  for (const Credential& made : {before, running_out})
    EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }));
  server.must("PUT", "sys/leases/revoke-prefix/database/creds");
  EXPECT_EQ(world.live_leases(), 0);
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST(TargetTest, a_target_that_hangs_does_not_hold_up_the_rest) {
  ServerProcess server;
  server.start_initialized();
  test::OwnServer hanging;
  test::TestDatabase database(hanging.address());
  const AgentWorld world(server, database);
  ASSERT_EQ(world.issue("1h").status, 200);
  hanging.freeze();
  std::vector<std::thread> clients;
  std::atomic<int> refused{0};
  for (int i = 0; i < 6; ++i)
    clients.emplace_back([&] {
      const Credential made = world.issue("1h");
      if (made.status >= 500) ++refused;
    });
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) server.must("GET", "sys/mounts");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(refused.load(), 6) << "each got an answer within its time";
  hanging.thaw();
  EXPECT_TRUE(eventually([&] { return world.issue("1h").status == 200; }));
  server.call("PUT", "sys/leases/revoke-prefix/database/creds", {{"sync", false}});
  EXPECT_TRUE(eventually([&] { return world.marked_roles() == 0; }, 60)) << world.marked_roles();
}

}  // namespace
}  // namespace curfew::e2e
