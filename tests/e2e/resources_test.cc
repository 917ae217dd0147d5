#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

constexpr int kClients = 4;

class ResourcesTest : public ::testing::Test {
 protected:
  ResourcesTest() { server_.start_initialized(); }

  // Issues and revokes `count` credentials from four clients at once.
  void issue_and_revoke(const AgentWorld& world, int count) const {
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&, count] {
        for (int n = 0; n < count / kClients; ++n) {
          const Credential made = world.issue("1h");
          ASSERT_EQ(made.status, 200) << made.error;
          server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
        }
      });
    }
    for (std::thread& client : clients) client.join();
  }
  int descriptors() const {
    const auto folder = "/proc/" + std::to_string(server_.pid()) + "/fd";
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
    return count;
  }
  // A number of kB or threads from /proc/PID/status.
  int status(const std::string& name) const {
    const std::string text = read_file("/proc/" + std::to_string(server_.pid()) + "/status");
    return std::stoi(text.substr(text.find("\n" + name + ":") + name.size() + 2));
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(ResourcesTest, hundreds_of_leases_leave_descriptors_connections_and_threads_flat) {
  const AgentWorld world(server_, database_);
  issue_and_revoke(world, 40);
  // Connections of clients linger for a moment.
  int before = descriptors();
  eventually([&] { return (before = std::min(before, descriptors())) < 0; }, 1);
  const int threads = status("Threads");
  [[maybe_unused]] const int memory_kb = status("VmRSS");
  issue_and_revoke(world, 300);
  EXPECT_TRUE(eventually([&] { return descriptors() <= before + 4; }))
      << before << " became " << descriptors();
  EXPECT_LE(world.broker_connections(), 4);
  EXPECT_EQ(status("Threads"), threads);
#ifndef CURFEW_SANITIZED  // sanitizers keep what was freed
  EXPECT_LT(status("VmRSS"), memory_kb + 32 * 1024);
#endif
  EXPECT_EQ(world.live_leases(), 0);
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST_F(ResourcesTest, a_wave_of_leases_that_run_out_together_ends_while_others_are_issued) {
  const AgentWorld world(server_, database_);
  for (int i = 0; i < 60; ++i) ASSERT_EQ(world.issue("3s").status, 200);
  const Credential kept = world.issue("1h");
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 1; })) << world.live_leases();
  EXPECT_EQ(world.marked_roles(), 1);
  EXPECT_TRUE(world.can_log_in(kept));
}

}  // namespace
}  // namespace curfew::e2e
