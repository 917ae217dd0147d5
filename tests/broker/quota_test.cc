#include "broker/quota/quota.h"

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class QuotaTest : public BrokerWorld {
 protected:
  QuotaTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = Seconds{900};
    write_policy("agent", R"(path "*" { capabilities = ["read", "update"] })");
  }

  Result<Response> issue(const std::string& role = "ro", const std::string& token = "root") {
    return read("db/creds/" + role, token);
  }
  // How many of so many requests are served.
  int served(int times, const std::string& path = "sys/mounts", const std::string& token = "root") {
    int count = 0;
    for (int i = 0; i < times; ++i) count += read(path, token).has_value() ? 1 : 0;
    return count;
  }
  void limit_leases(const std::string& name, Json data) {
    must_write("sys/quotas/lease-count/" + name, std::move(data));
  }
  void limit_rate(const std::string& name, Json data) {
    must_write("sys/quotas/rate-limit/" + name, std::move(data));
  }
  std::int64_t counted(const std::string& name) {
    return must_read("sys/quotas/lease-count/" + name).value("counter", std::int64_t{-1});
  }
};

// ---- lease counts ------------------------------------------------------------------------------

TEST_F(QuotaTest, pain_8_no_more_leases_than_the_quota_says) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 2}});
  const auto first = issue();
  ASSERT_TRUE(first && issue());
  const auto refused = issue();
  ASSERT_EQ(code_of(refused), Errc::kQuotaExceeded);
  EXPECT_THAT(refused.error().message,
              HasSubstr("request path \"db/creds/ro\": lease count quota exceeded"));
  EXPECT_EQ(outside_.names().size(), 2u);
  EXPECT_EQ(counted("few"), 2);
  must_write("sys/leases/revoke", {{"lease_id", first->lease_id}});
  EXPECT_EQ(counted("few"), 1);
  EXPECT_TRUE(issue());
}

TEST_F(QuotaTest, pain_8_the_count_is_exact_however_many_ask_at_once) {
  limit_leases("few", {{"path", "db/"}, {"max_leases", 7}});
  std::atomic<int> issued = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 4; ++n) issued += issue().has_value() ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(issued, 7);
  EXPECT_EQ(outside_.names().size(), 7u);
}

TEST_F(QuotaTest, pain_8_the_count_survives_a_restart_and_does_not_drift) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 2}});
  ASSERT_TRUE(issue());
  // Died between the intent and the answer: the credential may exist, so it counts until it is
  // proven gone.
  outside_.during_apply = [&](const std::string&) { database_->set_down(true); };
  EXPECT_FALSE(issue());
  outside_.during_apply = nullptr;
  restart();
  EXPECT_EQ(counted("few"), 2);
  EXPECT_EQ(code_of(issue()), Errc::kQuotaExceeded);
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_EQ(counted("few"), 1);
  EXPECT_TRUE(issue());
}

TEST_F(QuotaTest, a_credential_that_could_not_be_made_takes_no_place) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 1}});
  outside_.fail_apply(ScriptedWorld::Fault::kBefore);
  EXPECT_EQ(code_of(issue()), Errc::kUnavailable);
  outside_.fail_apply(ScriptedWorld::Fault::kNone);
  EXPECT_TRUE(issue());
}

TEST_F(QuotaTest, a_lease_that_is_locked_out_and_not_clean_still_counts) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 1}});
  const auto lease = issue("locked");
  ASSERT_TRUE(lease);
  EXPECT_FALSE(write("sys/leases/revoke", {{"lease_id", lease->lease_id}, {"sync", true}}));
  EXPECT_EQ(counted("few"), 1);
  EXPECT_EQ(code_of(issue()), Errc::kQuotaExceeded);
}

TEST_F(QuotaTest, the_most_specific_quota_counts_and_no_other) {
  must_write("sys/mounts/other", {{"type", "scripted"}});
  limit_leases("all", {{"max_leases", 1}});
  limit_leases("mount", {{"path", "db"}, {"max_leases", 2}});
  limit_leases("prefix", {{"path", "db/creds/agent-*"}, {"max_leases", 3}});
  limit_leases("path", {{"path", "db/creds/agent-b"}, {"max_leases", 4}});
  limit_leases("role", {{"path", "db"}, {"role", "rw"}, {"max_leases", 5}});
  const auto most = [&](const std::string& path) {
    int count = 0;
    while (read(path)) ++count;
    return count;
  };
  EXPECT_EQ(most("other/creds/x"), 1);
  EXPECT_EQ(most("db/creds/agent-b"), 4);
  EXPECT_EQ(most("db/creds/agent-a"), 0);  // four begin so already
  EXPECT_EQ(most("db/creds/rw"), 5);
  EXPECT_EQ(most("db/creds/ro"), 0);  // nine in the mount already
  EXPECT_EQ(counted("path"), 4);
  EXPECT_EQ(counted("prefix"), 4);
  EXPECT_EQ(counted("role"), 5);
  EXPECT_EQ(counted("mount"), 9);
  EXPECT_EQ(counted("all"), 10);
}

TEST_F(QuotaTest, a_path_does_not_limit_its_neighbour_with_a_longer_name) {
  limit_leases("path", {{"path", "db/creds/ro"}, {"max_leases", 1}});
  EXPECT_TRUE(issue("ro-more") && issue("ro-more") && issue("ro"));
  EXPECT_EQ(code_of(issue("ro")), Errc::kQuotaExceeded);
}

TEST_F(QuotaTest, counted_by_entity_each_token_without_one_has_the_limit_by_itself) {
  limit_leases("each", {{"path", "db"}, {"max_leases", 2}, {"group_by", "entity_id"}});
  const std::string a = make_token({"agent"}), b = make_token({"agent"});
  EXPECT_EQ(served(3, "db/creds/ro", a), 2);
  EXPECT_EQ(served(1, "db/creds/ro", b), 1);
  EXPECT_EQ(counted("each"), 2);
}

TEST_F(QuotaTest, a_quota_follows_its_mount_to_another_path) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 1}});
  ASSERT_TRUE(issue());
  must_write("sys/remount", {{"from", "db"}, {"to", "pg"}});
  EXPECT_EQ(must_read("sys/quotas/lease-count/few").at("path"), "pg/");
  EXPECT_EQ(counted("few"), 1);
  EXPECT_EQ(code_of(read("pg/creds/ro")), Errc::kQuotaExceeded);
  restart();
  EXPECT_EQ(code_of(read("pg/creds/ro")), Errc::kQuotaExceeded);
}

TEST_F(QuotaTest, a_quota_that_was_altered_in_the_store_stops_issuing_until_it_is_written_again) {
  limit_leases("few", {{"path", "db"}, {"max_leases", 1}});
  limit_leases("other", {{"path", "db/creds/x"}, {"max_leases", 9}});
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE name = 'other') "
      "WHERE name = 'few'");
  restart();
  const auto refused = issue();
  ASSERT_EQ(code_of(refused), Errc::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("sys/quotas/lease-count/few"));
  EXPECT_TRUE(outside_.names().empty());
  limit_leases("few", {{"path", "db"}, {"max_leases", 1}});
  EXPECT_TRUE(issue());
}

// ---- rate limits -------------------------------------------------------------------------------

TEST_F(QuotaTest, a_rate_limit_refuses_and_says_when_to_come_back) {
  limit_rate("slow", {{"path", "db"}, {"rate", 2}, {"interval", "60s"}});
  must_write("sys/quotas/config", {{"enable_rate_limit_response_headers", true}});
  std::vector<AnswerHeader> headers;
  extra_.answer_headers = &headers;
  EXPECT_TRUE(issue());
  const auto value = [&](const std::string& name) {
    for (const AnswerHeader& header : headers)
      if (header.name == name) return header.value;
    return std::string("none");
  };
  EXPECT_EQ(value("X-Ratelimit-Limit"), "2");
  EXPECT_EQ(value("X-Ratelimit-Remaining"), "1");
  EXPECT_EQ(value("Retry-After"), "none");
  EXPECT_TRUE(issue());
  headers.clear();
  const auto refused = issue();
  ASSERT_EQ(code_of(refused), Errc::kQuotaExceeded);
  EXPECT_EQ(refused.error().message, "request path \"db/creds/ro\": rate limit quota exceeded");
  EXPECT_EQ(value("Retry-After"), "30");
  EXPECT_EQ(value("X-Ratelimit-Remaining"), "0");
  EXPECT_EQ(outside_.names().size(), 2u);
  clock_.advance(Seconds{30});
  EXPECT_TRUE(issue());
  must_write("sys/quotas/config", {{"enable_rate_limit_response_headers", false}});
  headers.clear();
  EXPECT_FALSE(issue());
  EXPECT_EQ(headers.size(), 1u);
}

TEST_F(QuotaTest, addresses_are_counted_apart_unless_told_otherwise) {
  limit_rate("by-address", {{"path", "db"}, {"rate", 1}, {"interval", "1h"}});
  EXPECT_EQ(served(2, "db/creds/ro"), 1);
  extra_.remote_address = "192.0.2.7";
  EXPECT_EQ(served(2, "db/creds/ro"), 1);
  limit_rate("by-address", {{"path", "db"}, {"rate", 1}, {"interval", "1h"}, {"group_by", "none"}});
  EXPECT_EQ(served(2, "db/creds/ro"), 1);
  extra_.remote_address = "192.0.2.8";
  EXPECT_EQ(served(1, "db/creds/ro"), 0);
}

TEST_F(QuotaTest, a_token_can_have_a_rate_of_its_own) {
  limit_rate("each", {{"rate", 1}, {"interval", "1h"}, {"group_by", "entity_id"}});
  const std::string a = make_token({"agent"});
  EXPECT_EQ(served(2, "db/creds/ro", a), 1);
  must_write("sys/quotas/config", {{"rate_limit_exempt_paths", "auth/token/*"}});
  const std::string b = make_token({"agent"});
  EXPECT_EQ(served(2, "db/creds/ro", b), 1);
}

TEST_F(QuotaTest, what_policy_denies_uses_nothing_up) {
  write_policy("none", R"(path "db/creds/other" { capabilities = ["read"] })");
  const std::string stranger = make_token({"none"});
  limit_rate("slow", {{"path", "db"}, {"rate", 1}, {"interval", "1h"}, {"group_by", "none"}});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(code_of(issue("ro", stranger)), Errc::kPermissionDenied);
  EXPECT_TRUE(issue());
}

TEST_F(QuotaTest, exempt_paths_are_not_counted) {
  limit_rate("all", {{"rate", 1}, {"interval", "1h"}});
  EXPECT_EQ(served(3, "sys/internal/ui/mounts"), 3);
  EXPECT_EQ(served(3), 1);
}

TEST_F(QuotaTest, a_refusal_is_audited_unless_told_otherwise) {
  must_write("sys/audit/file",
             {{"type", "file"}, {"options", {{"file_path", directory_ / "audit.log"}}}});
  const auto lines = [&] {
    std::ifstream file(directory_ / "audit.log");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    int count = 0;
    for (auto at = text.find("quota exceeded"); at != std::string::npos;
         at = text.find("quota exceeded", at + 1))
      ++count;
    return count;
  };
  limit_rate("slow", {{"path", "db/creds/slow"}, {"rate", 1}, {"interval", "1h"}});
  EXPECT_EQ(served(2, "db/creds/slow"), 1);
  const int first = lines();
  EXPECT_GE(first, 1);
  must_write("sys/quotas/config", {{"enable_rate_limit_audit_logging", false}});
  EXPECT_EQ(served(1, "db/creds/slow"), 0);
  EXPECT_EQ(lines(), first);
  limit_leases("few", {{"path", "db/creds/few"}, {"max_leases", 1}});
  EXPECT_EQ(served(2, "db/creds/few"), 1);
  EXPECT_GT(lines(), first);
}

// ---- the paths ---------------------------------------------------------------------------------

TEST_F(QuotaTest, quotas_are_written_read_listed_and_deleted_as_vaults_are) {
  limit_rate("q1", {{"path", "db/"}, {"rate", "12.5"}, {"interval", "2m"}, {"block_interval", 9}});
  const Json rate = must_read("sys/quotas/rate-limit/q1");
  EXPECT_EQ(rate, (Json{{"type", "rate-limit"},
                        {"name", "q1"},
                        {"path", "db/"},
                        {"rate", 12.5},
                        {"interval", 120},
                        {"block_interval", 9},
                        {"role", ""},
                        {"entity", ""},
                        {"group_by", "ip"},
                        {"inheritable", false}}));
  limit_leases("q2", {{"path", "root"}, {"max_leases", "10"}});
  const Json count = must_read("sys/quotas/lease-count/q2");
  EXPECT_EQ(count.at("path"), "");
  EXPECT_EQ(count.at("max_leases"), 10);
  EXPECT_EQ(count.at("counter"), 0);
  EXPECT_EQ(count.at("inheritable"), true);
  restart();
  EXPECT_THAT(list("sys/quotas/rate-limit/")->data.at("keys"), ElementsAre("q1"));
  EXPECT_THAT(list("sys/quotas/lease-count/")->data.at("keys"), ElementsAre("q2"));
  ASSERT_TRUE(remove("sys/quotas/rate-limit/q1") && remove("sys/quotas/lease-count/q2"));
  EXPECT_EQ(code_of(read("sys/quotas/rate-limit/q1")), Errc::kNotFound);
  EXPECT_EQ(code_of(read("sys/quotas/lease-count/q2")), Errc::kNotFound);
  const Json config = must_read("sys/quotas/config");
  EXPECT_EQ(config.at("enable_rate_limit_audit_logging"), true);
  EXPECT_EQ(config.at("enable_rate_limit_response_headers"), false);
  EXPECT_THAT(config.at("rate_limit_exempt_paths"), ::testing::Contains("sys/health"));
}

TEST_F(QuotaTest, what_makes_no_sense_is_refused_with_the_reason) {
  const auto refusal = [&](const std::string& path, Json data) {
    const auto result = write("sys/quotas/" + path, std::move(data));
    EXPECT_EQ(code_of(result), Errc::kInvalidArgument);
    return result ? std::string() : result.error().message;
  };
  EXPECT_THAT(refusal("rate-limit/q", {{"path", "db"}}), HasSubstr("rate"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", -1}}), HasSubstr("rate"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", "fast"}}), HasSubstr("rate"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", 1e300}}), HasSubstr("at most 1000000000"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", 1}, {"interval", "soon"}}), HasSubstr("interval"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", 1}, {"path", "nowhere/"}}),
              HasSubstr("invalid mount path \"nowhere\""));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", 1}, {"role", "ro"}}), HasSubstr("role"));
  EXPECT_THAT(refusal("rate-limit/q", {{"rate", 1}, {"group_by", "moon"}}), HasSubstr("group_by"));
  EXPECT_THAT(refusal("lease-count/q", {{"path", "db"}}), HasSubstr("max_leases"));
  EXPECT_THAT(refusal("lease-count/q", {{"max_leases", 0}}), HasSubstr("max_leases"));
  EXPECT_THAT(refusal("lease-count/q", {{"max_leases", 1}, {"group_by", "ip"}}),
              HasSubstr("group_by"));
  limit_leases("first", {{"path", "db"}, {"max_leases", 1}});
  EXPECT_THAT(refusal("lease-count/second", {{"path", "/db/"}, {"max_leases", 2}}),
              HasSubstr("exists under the name \"first\""));
}

TEST_F(QuotaTest, without_a_policy_that_allows_it_nobody_sees_or_changes_quotas) {
  write_policy("little", R"(path "db/*" { capabilities = ["read"] })");
  const std::string token = make_token({"little"});
  EXPECT_EQ(code_of(list("sys/quotas/lease-count/", token)), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(write("sys/quotas/lease-count/q", {{"max_leases", 1}}, token)),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(write("sys/quotas/config", Json::object(), token)), Errc::kPermissionDenied);
}

}  // namespace
}  // namespace curfew::broker
