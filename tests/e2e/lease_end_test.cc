#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/agent_world.h"

// The end of leases as an operator sees it: audited, archived, measured; and the clock.
namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

TEST(LeaseEnd, an_ended_lease_is_audited_and_goes_to_the_archive_after_its_retention) {
  ServerProcess server;
  test::TestDatabase database;
  const std::string archive = server.path("ended.jsonl");
  server.set_seal("seal \"file\" { path = \"" + server.path("seal.key") +
                  "\" }\nlease {\n  retention = \"1s\"\n  archive_file = \"" + archive + "\"\n}\n");
  server.start_initialized();
  AgentWorld world(server, database);
  server.must("PUT", "sys/audit/file",
              {{"type", "file"}, {"options", {{"file_path", server.path("audit.log")}}}});
  const Credential credential = world.issue();
  ASSERT_EQ(credential.status, 200) << credential.error;
  ASSERT_EQ(server.cli({"lease", "revoke", "-sync", credential.lease}).exit, 0);
  EXPECT_FALSE(world.can_log_in(credential));
  EXPECT_THAT(read_file(server.path("audit.log")), HasSubstr("\"type\":\"revocation\""));
  ASSERT_TRUE(eventually([&] {
    return std::filesystem::exists(archive) &&
           read_file(archive).find(credential.lease) != std::string::npos;
  }));
  ASSERT_TRUE(eventually([&] {
    return server.call("PUT", "sys/leases/receipt", {{"lease_id", credential.lease}}).status == 400;
  }));
  EXPECT_THAT(read_file(archive), HasSubstr("\"role_absent\":true"));
  const Answer figures = server.call("GET", "sys/metrics?format=prometheus");
  EXPECT_THAT(figures.text, HasSubstr("curfew_leases_ended_total 1\n"));
}

TEST(LeaseEnd, many_leases_that_end_together_are_gone_from_the_target_each_with_a_receipt) {
  ServerProcess server;
  test::TestDatabase database;
  server.start_initialized();
  AgentWorld world(server, database);
  std::vector<Credential> credentials;
  for (int i = 0; i < 40; ++i) credentials.push_back(world.issue());
  ASSERT_EQ(world.marked_roles(), 40);
  ASSERT_EQ(
      server.cli({"lease", "revoke", "-sync", "-prefix", "database/creds/agent-readonly"}).exit, 0);
  EXPECT_EQ(world.marked_roles(), 0);
  for (const Credential& credential : credentials) {
    const Json receipt = world.lease(credential.lease).at("receipt");
    EXPECT_EQ(receipt.at("proven"), true);
    EXPECT_EQ(receipt.at("checked").at("role"), credential.user);
    EXPECT_EQ(receipt.at("phases").size(), 4u);
  }
}

TEST(LeaseEnd, the_clock_is_shown_and_confirmed_and_needs_sudo) {
  ServerProcess server;
  server.start_initialized();
  const Outcome status = server.cli({"clock", "status"});
  EXPECT_EQ(status.exit, 0) << status.err;
  EXPECT_THAT(status.out, HasSubstr("difference_seconds"));
  EXPECT_EQ(server.cli({"clock", "confirm"}).exit, 0);
  server.must("PUT", "sys/policies/acl/reader",
              {{"policy", "path \"sys/clock\" { capabilities = [\"read\", \"update\"] }"}});
  const std::string token = server.call("POST", "auth/token/create", {{"policies", {"reader"}}})
                                .body.at("auth")
                                .at("client_token");
  EXPECT_EQ(server.call("GET", "sys/clock", nullptr, token).status, 403);
  EXPECT_EQ(server.call("PUT", "sys/clock", {{"confirm", true}}, token).status, 403);
}

TEST(LeaseEnd, settings_that_contradict_each_other_are_refused) {
  ServerProcess server;
  const std::string rest =
      "listener \"tcp\" {\n  tls_disable = true\n}\nstorage \"sqlite\" { path = \"" +
      server.database_path() + "\" }\n";
  EXPECT_THAT(server.start_refused_with(rest + "lease { ended = \"archive\" }\n").err,
              HasSubstr("archive_file"));
  EXPECT_THAT(server.start_refused_with(rest + "lease { retention = \"soon\" }\n").err,
              HasSubstr("retention"));
  EXPECT_THAT(server.start_refused_with(rest + "clock { jump_max = \"far\" }\n").err,
              HasSubstr("jump_max"));
}

}  // namespace
}  // namespace curfew::e2e
