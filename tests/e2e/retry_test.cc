#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/api/raw_client.h"
#include "tests/e2e/agent_world.h"
#include "tests/e2e/flaky_proxy.h"

namespace curfew::e2e {
namespace {

using api::testing::RawAnswer;
using api::testing::RawClient;

class RetryTest : public ::testing::Test {
 protected:
  RetryTest() {
    server_.set_more("retry {\n  window = \"2s\"\n}");
    server_.start_initialized();
  }

  std::string headers(const std::string& key = "") const {
    return "X-Vault-Token: " + server_.root_token() + "\r\n" +
           (key.empty() ? "" : "Idempotency-Key: " + key + "\r\n");
  }
  static RawAnswer ask(std::uint16_t port, const std::string& more_headers) {
    RawClient client(port);
    return client.exchange(api::testing::get("/v1/database/creds/agent-readonly", more_headers));
  }
  // As node-vault and hvac do where they are told to try again: the same request, on 5xx.
  RawAnswer ask_as_libraries_do(const FlakyProxy& proxy) const {
    RawAnswer answer;
    for (int attempt = 0; attempt < 3; ++attempt) {
      answer = ask(proxy.port(), headers());
      if (answer.status < 500 && answer.status != 0) break;
    }
    return answer;
  }
  void expect_one_that_works(const AgentWorld& world, const Json& data) {
    EXPECT_TRUE(eventually([&] { return world.live_leases() == 1; }));
    EXPECT_TRUE(eventually([&] { return world.marked_roles() == 1; }));
    EXPECT_TRUE(test::can_log_in(database_.url(data.at("username"), data.at("password"))));
  }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(RetryTest, pain_retries_mint_nothing_behind_a_gateway_that_drops_connections) {
  const AgentWorld world(server_, database_);
  for (const auto drop : {FlakyProxy::Drop::kBeforeAnswer, FlakyProxy::Drop::kReset}) {
    const FlakyProxy proxy(server_.port(), 2, drop);
    const RawAnswer answer = ask_as_libraries_do(proxy);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(proxy.requests(), 3);
    expect_one_that_works(world, answer.json().at("data"));
    server_.must("PUT", "sys/leases/revoke", {{"lease_id", answer.json().at("lease_id")}});
  }
}

// The gateway took the answer, so the server cannot know that nobody got it. The key can.
TEST_F(RetryTest, pain_retries_mint_nothing_with_the_command_line_whatever_the_gateway_does) {
  const AgentWorld world(server_, database_);
  for (const auto drop : {FlakyProxy::Drop::kBeforeAnswer, FlakyProxy::Drop::kAfterAnswer}) {
    const FlakyProxy proxy(server_.port(), 2, drop);
    const Outcome outcome =
        server_.cli({"read", "-format=json", "database/creds/agent-readonly"}, "root", "",
                    {{"CURFEW_ADDR", proxy.address()}, {"CURFEW_MAX_RETRIES", "4"}});
    ASSERT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_GE(proxy.requests(), 3);
    const Json answer = Json::parse(outcome.out);
    EXPECT_EQ(world.live_leases(), 1);
    expect_one_that_works(world, answer.at("data"));
    server_.must("PUT", "sys/leases/revoke", {{"lease_id", answer.at("lease_id")}});
  }
}

TEST_F(RetryTest, a_key_gives_the_same_role_again_and_after_a_crash_a_new_one_in_its_place) {
  const AgentWorld world(server_, database_);
  const RawAnswer first = ask(server_.port(), headers("report-2741"));
  const RawAnswer again = ask(server_.port(), headers("report-2741"));
  ASSERT_EQ(first.status, 200) << first.body;
  ASSERT_EQ(again.status, 200) << again.body;
  EXPECT_FALSE(first.headers.contains("idempotency-replayed"));
  EXPECT_EQ(again.headers.at("idempotency-replayed"), "true");
  EXPECT_EQ(again.json().at("data"), first.json().at("data"));
  EXPECT_EQ(again.json().at("lease_id"), first.json().at("lease_id"));
  EXPECT_EQ(world.marked_roles(), 1);

  server_.kill();
  server_.start();
  const RawAnswer later = ask(server_.port(), headers("report-2741"));
  ASSERT_EQ(later.status, 200) << later.body;
  EXPECT_NE(later.json().at("lease_id"), first.json().at("lease_id"));
  EXPECT_EQ(world.state_of(first.json().at("lease_id")), "revoked");
  EXPECT_EQ(world.marked_roles(), 1);
  EXPECT_EQ(ask(server_.port(), headers("short")).status, 400);
}

TEST_F(RetryTest, a_client_that_hangs_up_and_never_asks_again_leaves_nothing) {
  const AgentWorld world(server_, database_);
  for (const bool reset : {false, true}) {
    RawClient client(server_.port());
    ASSERT_TRUE(client.send(api::testing::get("/v1/database/creds/agent-readonly", headers())));
    if (reset)
      client.reset();
    else
      client.close();
  }
  EXPECT_TRUE(eventually([&] {
    return server_.log().find("answer not delivered") != std::string::npos &&
           world.live_leases() == 0 && world.marked_roles() == 0;
  }));
}

}  // namespace
}  // namespace curfew::e2e
