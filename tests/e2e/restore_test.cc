// A store that is put back from an older copy, and a copy that runs beside its original: neither
// may take the roles of live leases away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

constexpr const char* kShort = "reconcile {\n  interval = \"1h\"\n  marker_interval = \"1s\"\n}\n";

// The storage and seal of a server's folder, with markers that are renewed every second.
std::string storage_of(const std::string& folder) {
  return "storage \"sqlite\" {\n  path = \"" + folder + "/curfew.db\"\n}\n" + kShort;
}

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    server_.set_storage(storage_of(server_.folder()));
    server_.start_initialized();
  }

  // The database files of a server that does not run.
  static void copy_store(const std::string& from, const std::string& to) {
    for (const char* end : {"", "-wal", "-shm"}) {
      const std::string name = "/curfew.db" + std::string(end);
      std::filesystem::remove(to + name);
      if (std::filesystem::exists(from + name)) std::filesystem::copy_file(from + name, to + name);
    }
  }
  static Json observed(const ServerProcess& server) {
    return server.must("GET", "sys/observe").at("data").at("targets");
  }
  bool exists(const std::string& role) {
    return database_.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname = '" + role +
                                       "'") == "1";
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(RestoreTest, pain_17_a_store_put_back_from_an_older_copy_revokes_nobody) {
  const AgentWorld world(server_, database_);
  const Credential early = world.issue("1h");
  ASSERT_EQ(server_.stop(), 0);
  const std::string backup = server_.folder() + "/backup";
  std::filesystem::create_directory(backup);
  copy_store(server_.folder(), backup);
  server_.start();
  const Credential later = world.issue("1h");
  ASSERT_EQ(later.status, 200) << later.error;
  ASSERT_EQ(server_.stop(), 0);

  copy_store(backup, server_.folder());
  server_.start();
  ASSERT_TRUE(test::eventually([&] { return !observed(server_).empty(); }));
  // What falls due waits, with the reason.
  const Answer waits = server_.call("PUT", "sys/leases/revoke", {{"lease_id", early.lease}});
  EXPECT_EQ(waits.status, 400);
  EXPECT_THAT(waits.error(), HasSubstr("observed"));
  EXPECT_EQ(world.state_of(early.lease), "revoking");
  EXPECT_TRUE(world.can_log_in(early));
  EXPECT_TRUE(world.can_log_in(later));
  const Credential refused = world.issue();
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.error, HasSubstr("older copy"));

  const Json target = observed(server_)[0];
  EXPECT_EQ(target.at("target"), "app");
  EXPECT_EQ(target.at("due_leases"), 1);
  EXPECT_EQ(target.at("would_revoke")[0], early.lease);
  EXPECT_EQ(target.at("differences").at("counts").at("unknown_role"), 1);
  const Outcome status = server_.cli({"observe", "status"});
  EXPECT_EQ(status.exit, 2);
  EXPECT_THAT(status.out, HasSubstr("app"));
  EXPECT_THAT(server_.call("GET", "sys/metrics?format=prometheus").text,
              HasSubstr("curfew_targets_observed 1"));
  // A repair is a change too.
  server_.must("POST", "sys/reconcile", {{"repair", true}});
  EXPECT_TRUE(exists(later.user));

  EXPECT_EQ(server_.cli({"observe", "accept", "-mount=database", "-target=app"}).exit, 1);
  const Outcome accepted = server_.cli({"observe", "accept", "-mount=database", "-target=app",
                                        "-reason=restored after the disk failed"});
  EXPECT_EQ(accepted.exit, 0) << accepted.err;
  EXPECT_TRUE(test::eventually([&] { return world.state_of(early.lease) == "revoked"; }));
  EXPECT_TRUE(world.can_log_in(later)) << "not known, and nobody asked for a repair";
  server_.must("POST", "sys/reconcile", {{"repair", true}});
  EXPECT_TRUE(test::eventually([&] { return world.state_of(later.lease) == "revoked"; }));
  EXPECT_FALSE(exists(later.user));
  EXPECT_EQ(world.issue().status, 200);
  EXPECT_EQ(server_.cli({"observe", "status"}).exit, 0);
}

TEST_F(RestoreTest, pain_17_of_a_store_and_its_copy_one_is_in_charge_and_the_other_observes) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("1h");
  ASSERT_EQ(server_.stop(), 0);
  ServerProcess copy;
  copy_store(server_.folder(), copy.folder());
  std::filesystem::copy_file(server_.path("seal.key"), copy.path("seal.key"));
  copy.set_storage(storage_of(copy.folder()));
  copy.set_root_token(server_.root_token());
  server_.start();  // and moves on
  ASSERT_EQ(world.issue("1h").status, 200);

  copy.start();
  ASSERT_TRUE(test::eventually([&] { return !observed(copy).empty(); }));
  EXPECT_EQ(copy.call("PUT", "sys/leases/revoke", {{"lease_id", made.lease}}).status, 400);
  EXPECT_TRUE(world.can_log_in(made));
  EXPECT_EQ(copy.call("GET", "database/creds/agent-readonly").status, 503);
  EXPECT_TRUE(observed(server_).empty());
  EXPECT_EQ(world.issue("1h").status, 200) << "the original goes on";

  copy.must("POST", "sys/observe/accept",
            {{"mount", "database"}, {"target", "app"}, {"reason", "the original is gone"}});
  ASSERT_TRUE(test::eventually([&] { return !observed(server_).empty(); }));
  EXPECT_EQ(world.issue("1h").status, 503);
  EXPECT_EQ(copy.call("GET", "database/creds/agent-readonly").status, 200);
  copy.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  EXPECT_FALSE(exists(made.user));
}

}  // namespace
}  // namespace curfew::e2e
