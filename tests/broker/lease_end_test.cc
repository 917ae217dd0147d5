#include <sys/stat.h>

#include <fstream>

#include "base/duration.h"
#include "broker/lease/lease_archive.h"
#include "tests/broker/broker_world.h"

// What happens to a lease once it is over: its receipt is audited, it stays readable for its
// retention, and goes to the archive.
namespace curfew::broker {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::HasSubstr;

std::vector<Json> lines_of(const std::filesystem::path& file) {
  std::vector<Json> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) out.push_back(Json::parse(line));
  return out;
}

class LeaseEndTest : public BrokerWorld {
 protected:
  LeaseEndTest() {
    archive_ = directory_ / "ended.jsonl";
    options_.lease_ends = {.retention = hours{24}, .archive_file = archive_};
    restart();
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = minutes{15};
  }
  void audit_to(const std::string& name, const std::string& file) {
    must_write("sys/audit/" + name, {{"type", "file"}, {"options", {{"file_path", file}}}});
  }
  std::string issue(const std::string& role = "ro") {
    const auto response = read("db/creds/" + role);
    EXPECT_TRUE(response.has_value());
    return response ? response->lease_id : "";
  }
  // The lines about ends of leases.
  std::vector<Json> ends() {
    std::vector<Json> out;
    for (Json& line : lines_of(directory_ / "audit.log"))
      if (line.at("type") == "revocation") out.push_back(std::move(line));
    return out;
  }
  Result<Response> show(const std::string& id) {
    return write("sys/leases/receipt", {{"lease_id", id}});
  }

  std::filesystem::path archive_;
};

TEST_F(LeaseEndTest, every_end_is_audited_with_its_receipt_and_who_was_behind_it) {
  audit_to("file", directory_ / "audit.log");
  extra_.purpose = "report";
  extra_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string expired = issue();
  const std::string asked = issue();
  outside_.batches = true;
  const std::string batched = issue();
  must_write("sys/leases/revoke", {{"lease_id", asked}});
  clock_.advance(minutes{15});
  run_due();
  const auto all = ends();
  ASSERT_EQ(all.size(), 3u);
  std::set<std::string> ids;
  for (const Json& line : all) {
    const Json& lease = line.at("lease");
    ids.insert(lease.at("lease_id").get<std::string>());
    EXPECT_EQ(lease.at("state"), "revoked");
    EXPECT_EQ(lease.at("receipt").at("proven"), true);
    EXPECT_EQ(lease.at("attribution").at("purpose"), "report");
    EXPECT_EQ(lease.at("attribution").at("trace_id"), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_THAT(lease.at("attribution").at("token_accessor").get<std::string>(),
                HasSubstr("hmac-sha256:"));
  }
  EXPECT_EQ(ids, (std::set<std::string>{expired, asked, batched}));
}

TEST_F(LeaseEndTest, pain_18_an_audit_that_fails_stops_no_revocation_and_is_made_up_for) {
  const std::string id = issue();
  clock_.advance(minutes{15});
  audit_to("full", "/dev/full");
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  restart();
  audit_to("file", directory_ / "audit.log");
  EXPECT_TRUE(ends().empty());
  clock_.advance(Seconds{31});
  run_due();
  ASSERT_EQ(ends().size(), 1u);
  EXPECT_EQ(ends()[0].at("lease").at("lease_id"), id);
  clock_.advance(minutes{10});
  run_due();
  EXPECT_EQ(ends().size(), 1u);
  EXPECT_EQ(show(id)->data.at("state"), "revoked");
}

TEST_F(LeaseEndTest, after_its_retention_a_lease_is_in_the_archive_and_nowhere_else) {
  const std::string id = issue();
  clock_.advance(minutes{15});
  run_due();
  clock_.advance(hours{24} - Seconds{1});
  run_due();
  EXPECT_TRUE(show(id).has_value());
  EXPECT_FALSE(std::filesystem::exists(archive_));
  clock_.advance(Seconds{1});
  run_due();
  EXPECT_FALSE(show(id).has_value());
  const auto lines = lines_of(archive_);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("lease_id"), id);
  EXPECT_EQ(lines[0].at("receipt").at("proven"), true);
  struct stat info {};
  ASSERT_EQ(::stat(archive_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LeaseEndTest, no_failure_of_the_store_and_no_crash_loses_a_line_of_the_archive) {
  for (int n = 1; n <= 2; ++n) {
    const std::string id = issue();
    clock_.advance(minutes{15});
    run_due();
    clock_.advance(hours{24});
    database_->fail_write(n);
    (void)broker_->run_due().has_value();
    database_->fail_write(0);
    restart();
    clock_.advance(minutes{2});
    run_due();
    EXPECT_FALSE(show(id).has_value());
    const auto lines = lines_of(archive_);
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.back().at("lease_id"), id);
  }
}

TEST_F(LeaseEndTest, an_archive_that_cannot_be_written_keeps_the_leases_in_the_store) {
  const std::string id = issue();
  clock_.advance(minutes{15});
  run_due();
  std::filesystem::create_symlink("/dev/full", archive_);
  clock_.advance(hours{24});
  run_due();
  EXPECT_TRUE(show(id).has_value());
  std::filesystem::remove(archive_);
  clock_.advance(minutes{2});
  run_due();
  EXPECT_FALSE(show(id).has_value());
  EXPECT_EQ(lines_of(archive_).size(), 1u);
}

TEST_F(LeaseEndTest, half_a_line_that_a_crash_left_spoils_no_other) {
  std::ofstream(archive_) << R"({"lease_id":"ha)";
  LeaseArchive archive(archive_);
  ASSERT_TRUE(archive.append({{{"lease_id", "whole"}}}).has_value());
  std::ifstream in(archive_);
  std::string first, second;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_EQ(second, R"({"lease_id":"whole"})");
}

TEST_F(LeaseEndTest, after_the_set_number_of_attempts_it_goes_on_at_the_longest_interval) {
  options_.revoker.max_attempts = 2;
  restart();
  const std::string id = issue("locked");
  for (int i = 0; i < 2; ++i) (void)write("sys/leases/revoke", {{"lease_id", id}}).has_value();
  const Json lease = show(id)->data;
  EXPECT_EQ(lease.at("state"), "quarantined");
  EXPECT_EQ(*parse_rfc3339(lease.at("next_attempt").get<std::string>()),
            clock_.wall() + minutes{5});
}

TEST_F(LeaseEndTest, the_figures_tell_how_late_access_ended) {
  outside_.batches = true;
  issue();
  clock_.advance(minutes{15} + Seconds{2});
  run_due();
  const auto text = call(Operation::kRead, "sys/metrics", {{"format", "prometheus"}});
  ASSERT_TRUE(text.has_value());
  const auto figures = text->data.get<std::string>();
  EXPECT_THAT(figures, HasSubstr("# TYPE curfew_lock_out_lag_seconds histogram"));
  EXPECT_THAT(figures, HasSubstr("curfew_lock_out_lag_seconds_bucket{le=\"1\"} 0\n"));
  EXPECT_THAT(figures, HasSubstr("curfew_lock_out_lag_seconds_bucket{le=\"2.5\"} 1\n"));
  EXPECT_THAT(figures, HasSubstr("curfew_gone_lag_seconds_sum 2\n"));
  EXPECT_THAT(figures, HasSubstr("curfew_leases_ended_total 1\n"));
}

TEST_F(LeaseEndTest, targets_that_do_not_answer_are_listed) {
  for (int i = 0; i < 6; ++i) issue();
  EXPECT_TRUE(must_read("sys/targets").at("unreachable").empty());
  outside_.fail_revokes(-1);
  clock_.advance(minutes{15});
  run_due();
  const Json targets = must_read("sys/targets").at("unreachable");
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0].at("mount"), "db/");
  EXPECT_EQ(targets[0].at("target"), "target");
  EXPECT_EQ(targets[0].at("leases_waiting"), 6);
  EXPECT_THAT(targets[0].at("error").get<std::string>(), HasSubstr("the target is down"));
}

}  // namespace
}  // namespace curfew::broker
