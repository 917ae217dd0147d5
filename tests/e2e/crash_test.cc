#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

constexpr int kClients = 8;

class CrashTest : public ::testing::Test {
 protected:
  CrashTest() { server_.start_initialized(); }

  // `clients` threads that issue until the server is gone. What was delivered.
  std::vector<Credential> issue_until_killed(const AgentWorld& world,
                                             std::chrono::milliseconds after,
                                             const std::string& ttl) {
    std::mutex mutex;
    std::vector<Credential> delivered;
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&] {
        for (;;) {
          const Credential made = world.issue(ttl);
          if (made.status == 0) return;
          const std::scoped_lock lock(mutex);
          EXPECT_EQ(made.status, 200) << made.error;
          delivered.push_back(made);
        }
      });
    }
    std::this_thread::sleep_for(after);
    server_.kill();
    for (std::thread& client : clients) client.join();
    return delivered;
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(CrashTest, kill_9_while_credentials_are_issued_leaves_no_role_and_no_unknown_lease) {
  const AgentWorld world(server_, database_);
  std::vector<Credential> delivered;
  // Different moments of the same work; the first kills come in the middle of the first requests.
  for (const int milliseconds : {15, 40, 90, 180, 300}) {
    const auto some = issue_until_killed(world, std::chrono::milliseconds(milliseconds), "3s");
    delivered.insert(delivered.end(), some.begin(), some.end());
    server_.start();
  }
  EXPECT_FALSE(delivered.empty());
  ASSERT_EQ(server_.call("GET", "sys/health").status, 200);
  for (const Credential& made : delivered)
    EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }))
        << made.lease << " is " << world.state_of(made.lease);
  // What nobody was given ends when its creation can no longer be under way: 30 s after the intent.
  EXPECT_TRUE(eventually([&] { return world.marked_roles() == 0 && world.live_leases() == 0; }, 60))
      << world.marked_roles() << " roles, " << world.live_leases() << " leases";
  for (const Credential& made : delivered) EXPECT_FALSE(world.can_log_in(made)) << made.lease;
}

TEST_F(CrashTest, kill_9_while_leases_are_revoked_delays_their_end_by_seconds_only) {
  const AgentWorld world(server_, database_);
  std::vector<Credential> made;
  for (int i = 0; i < 40; ++i) {
    made.push_back(world.issue("1h"));
    ASSERT_EQ(made.back().status, 200) << made.back().error;
  }
  for (const int milliseconds : {5, 15, 30, 45}) {
    EXPECT_EQ(
        server_.call("PUT", "sys/leases/revoke-prefix/database/creds", {{"sync", false}}).status,
        202);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    server_.kill();
    server_.start();
  }
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 0; })) << world.live_leases();
  EXPECT_EQ(world.marked_roles(), 0);
  for (const Credential& one : made) {
    EXPECT_EQ(world.state_of(one.lease), "revoked");
    EXPECT_EQ(world.lease(one.lease).at("receipt").at("proven"), true);
  }
}

TEST_F(CrashTest, a_revocation_that_kill_9_interrupts_goes_on_after_the_restart) {
  const AgentWorld world(server_, database_);
  std::vector<Credential> made;
  for (int i = 0; i < 3; ++i) made.push_back(world.issue("1h"));
  // Cleaning takes the rights on tables away, and has to wait.
  test::PgSession blocker = database_.superuser();
  blocker.run("BEGIN; LOCK TABLE pg_catalog.pg_class IN SHARE MODE");
  server_.call("PUT", "sys/leases/revoke-prefix/database/creds", {{"sync", false}});
  ASSERT_TRUE(eventually([&] {
    return database_.superuser().value(
               "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL AND "
               "database = (SELECT oid FROM pg_database WHERE datname = current_database())") !=
           "0";
  }));
  server_.kill();
  blocker.run("COMMIT");
  server_.start();
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 0; })) << world.live_leases();
  EXPECT_EQ(world.marked_roles(), 0);
  for (const Credential& one : made)
    EXPECT_EQ(world.lease(one.lease).at("receipt").at("proven"), true);
}

TEST_F(CrashTest, leases_that_run_out_while_the_server_is_down_end_when_it_is_back) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("1s");
  ASSERT_EQ(made.status, 200) << made.error;
  test::PgSession session(database_.url(made.user, made.password));
  server_.kill();
  EXPECT_TRUE(eventually([&] { return !world.can_log_in(made); })) << "VALID UNTIL";
  EXPECT_EQ(session.try_run("SELECT 1"), "") << "PostgreSQL does not end the session by itself";
  server_.start();
  EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }));
  EXPECT_NE(session.try_run("SELECT 1"), "");
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST_F(CrashTest, what_was_answered_before_kill_9_is_there_afterwards) {
  server_.must("POST", "sys/mounts/secret", {{"type", "kv"}, {"options", {{"version", "2"}}}});
  for (int round = 0; round < 5; ++round) {
    const std::string path = "secret/data/k" + std::to_string(round);
    server_.must("POST", path, {{"data", {{"round", std::to_string(round)}}}});
    server_.kill();
    server_.start();
    EXPECT_EQ(server_.must("GET", path).at("data").at("data").at("round"), std::to_string(round));
  }
}

}  // namespace
}  // namespace curfew::e2e
