#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

TEST(QuotaTest, pain_8_no_more_database_roles_than_the_quota_allows) {
  ServerProcess server;
  server.start_initialized();
  test::TestDatabase database;
  const AgentWorld world(server, database);
  const std::string agent = world.agent_token();
  const Outcome written =
      server.cli({"write", "sys/quotas/lease-count/agents", "path=database/creds/agent-readonly",
                  "max_leases=2", "group_by=entity_id"});
  ASSERT_EQ(written.exit, 0) << written.err;
  const Credential first = world.issue("1h", agent);
  ASSERT_EQ(world.issue("1h", agent).status, 200);
  const Credential refused = world.issue("1h", agent);
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.error, HasSubstr("lease count quota exceeded"));
  EXPECT_EQ(world.marked_roles(), 2);
  EXPECT_EQ(world.issue("1h").status, 200);  // another token has its own
  EXPECT_EQ(server.must("GET", "sys/quotas/lease-count/agents").at("data").at("counter"), 2);

  server.kill();
  server.start();
  EXPECT_EQ(world.issue("1h", agent).status, 429);
  server.must("PUT", "sys/leases/revoke", {{"lease_id", first.lease}});
  EXPECT_EQ(world.issue("1h", agent).status, 200);
}

TEST(QuotaTest, a_rate_limit_answers_429_with_the_time_to_wait) {
  ServerProcess server;
  server.start_initialized();
  server.must("POST", "sys/quotas/config", {{"enable_rate_limit_response_headers", true}});
  server.must("POST", "sys/quotas/rate-limit/slow",
              {{"path", "sys/mounts"}, {"rate", 1}, {"interval", "1h"}});
  EXPECT_EQ(server.call("GET", "sys/mounts").status, 200);
  const Outcome refused = server.cli({"read", "sys/mounts"});
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("rate limit quota exceeded"));
  EXPECT_THAT(refused.err, HasSubstr("A quota is used up"));
}

}  // namespace
}  // namespace curfew::e2e
