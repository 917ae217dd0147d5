#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class SealPathsTest : public BrokerWorld {};

TEST_F(SealPathsTest, sealing_zeroes_the_keys_and_start_opens_again) {
  must_write("sys/mounts/kv", {{"type", "kv"}});
  must_write("kv/a", {{"k", "v"}});
  must_write("sys/seal");
  const auto refused = read("kv/a");
  EXPECT_EQ(code_of(refused), Errc::kSealed);
  EXPECT_EQ(refused.error().message, "Vault is sealed");
  EXPECT_EQ(must_read("sys/seal-status", "").at("sealed"), true);
  EXPECT_EQ(read("sys/health", "")->status, 503);
  ASSERT_TRUE(broker_->lifecycle().start().has_value());
  EXPECT_EQ(must_read("kv/a").at("k"), "v");
}

TEST_F(SealPathsTest, sealing_needs_sudo) {
  write_policy("almost", R"(path "sys/seal" { capabilities = ["update"] })");
  EXPECT_EQ(code_of(write("sys/seal", {}, make_token({"almost"}))), Errc::kPermissionDenied);
  write_policy("enough", R"(path "sys/seal" { capabilities = ["update", "sudo"] })");
  EXPECT_TRUE(write("sys/seal", {}, make_token({"enough"})).has_value());
}

TEST_F(SealPathsTest, a_second_initialisation_is_refused) {
  EXPECT_EQ(must_read("sys/init", "").at("initialized"), true);
  const auto again = write("sys/init", {{"secret_shares", 1}, {"secret_threshold", 1}}, "");
  EXPECT_EQ(code_of(again), Errc::kInvalidArgument);
  EXPECT_THAT(again.error().message, HasSubstr("already initialized"));
}

TEST_F(SealPathsTest, health_answers_with_the_codes_asked_for) {
  EXPECT_EQ(read("sys/health", "")->status, 200);
  EXPECT_EQ(call(Operation::kRead, "sys/health", {{"activecode", "299"}}, "")->status, 299);
  EXPECT_EQ(code_of(call(Operation::kRead, "sys/health", {{"activecode", "7"}}, "")),
            Errc::kInvalidArgument);
  must_write("sys/seal");
  EXPECT_EQ(call(Operation::kRead, "sys/health", {{"sealedcode", "204"}}, "")->status, 204);
  const Json body = read("sys/health", "")->data;
  EXPECT_EQ(body.at("sealed"), true);
  EXPECT_EQ(body.at("initialized"), true);
}

TEST_F(SealPathsTest, rotating_makes_a_new_data_key_and_the_old_rows_stay_readable) {
  must_write("sys/mounts/kv", {{"type", "kv"}});
  must_write("kv/a", {{"k", "v"}});
  const std::int64_t term = must_read("sys/key-status").at("term");
  must_write("sys/rotate");
  EXPECT_EQ(must_read("sys/key-status").at("term"), term + 1);
  restart();
  EXPECT_EQ(must_read("kv/a").at("k"), "v");
}

TEST_F(SealPathsTest, the_leader_is_this_node) {
  EXPECT_EQ(must_read("sys/leader", "").at("ha_enabled"), false);
}

TEST_F(SealPathsTest, leases_that_fall_due_while_sealed_end_after_unsealing) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  ASSERT_TRUE(call(Operation::kRead, "db/creds/ro", {{"ttl", "60s"}})->lease_id.size() > 0);
  must_write("sys/seal");
  clock_.advance(std::chrono::hours{1});
  restart();
  EXPECT_EQ(outside_.names().size(), 1u);
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(SealPathsTest, metrics_count_leases_and_the_overdue) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  ASSERT_TRUE(call(Operation::kRead, "db/creds/ro", {{"ttl", "60s"}}).has_value());
  clock_.advance(Seconds{70});
  const auto text = call(Operation::kRead, "sys/metrics", {{"format", "prometheus"}});
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->layout, Layout::kText);
  EXPECT_THAT(text->data.get<std::string>(), HasSubstr("curfew_leases{state=\"active\"} 1\n"));
  EXPECT_THAT(text->data.get<std::string>(), HasSubstr("curfew_revocation_lag_seconds 10\n"));
  EXPECT_TRUE(must_read("sys/metrics").contains("Gauges"));
  EXPECT_EQ(code_of(call(Operation::kRead, "sys/metrics", {{"format", "x"}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(read("sys/metrics", "")), Errc::kUnauthenticated);
}

}  // namespace
}  // namespace curfew::broker
