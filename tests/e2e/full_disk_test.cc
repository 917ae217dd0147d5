#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

// A limit on the size of the server's files stands for the full disk: writes beyond it fail, in the
// middle of a page too.
class FullDiskTest : public ::testing::Test {
 protected:
  FullDiskTest() { server_.start_initialized(); }

  void limit_files(rlim_t bytes) {
    const rlimit limit{bytes, RLIM_INFINITY};
    ASSERT_EQ(::prlimit(server_.pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  }
  // `spare` bytes fit yet.
  void fill_disk(rlim_t spare) {
    limit_files(std::filesystem::file_size(server_.database_path() + "-wal") + spare);
  }
  void free_disk() { limit_files(RLIM_INFINITY); }

  ServerProcess server_;
  test::TestDatabase database_;
};

TEST_F(FullDiskTest, writes_are_refused_with_the_reason_and_reads_go_on) {
  server_.must("POST", "sys/mounts/secret", {{"type", "kv"}, {"options", {{"version", "2"}}}});
  server_.must("POST", "secret/data/a", {{"data", {{"k", "old"}}}});
  fill_disk(100);
  for (int i = 0; i < 5; ++i) {
    const Answer refused = server_.call("POST", "secret/data/a", {{"data", {{"k", "new"}}}});
    EXPECT_EQ(refused.status, 503) << refused.text;
    EXPECT_THAT(refused.error(), HasSubstr("nothing was written"));
    EXPECT_THAT(refused.error(), HasSubstr("free space"));
    EXPECT_EQ(server_.must("GET", "secret/data/a").at("data").at("data").at("k"), "old");
  }
  EXPECT_EQ(server_.call("POST", "auth/token/create", {{"ttl", "1h"}}).status, 503);
  EXPECT_EQ(server_.call("GET", "sys/health").status, 200);
  free_disk();
  server_.must("POST", "secret/data/a", {{"data", {{"k", "newer"}}}});
  server_.kill();
  server_.start();
  EXPECT_EQ(server_.must("GET", "secret/data/a").at("data").at("data").at("k"), "newer");
  EXPECT_EQ(server_.must("GET", "secret/metadata/a").at("data").at("current_version"), 2)
      << "no refused version came true";
}

TEST_F(FullDiskTest, nothing_is_issued_that_nobody_would_take_back) {
  const AgentWorld world(server_, database_);
  ASSERT_EQ(world.issue("1h").status, 200);
  // Where the disk fills up: before the intent, between it and the activation, and later.
  int refusals = 0;
  for (const rlim_t spare : {0, 4096, 8192, 12288, 16384, 24576, 32768, 49152}) {
    fill_disk(spare);
    for (int i = 0; i < 4; ++i) {
      const Credential made = world.issue("1h");
      if (made.status == 200) continue;
      ++refusals;
      EXPECT_THAT(made.status, ::testing::AnyOf(500, 503)) << made.error;
      EXPECT_THAT(made.error, HasSubstr("free space"));
    }
    free_disk();
  }
  EXPECT_GT(refusals, 8);
  server_.must("PUT", "sys/leases/revoke-prefix/database/creds");
  // An intent whose outcome could not be written down falls due when its creation must have ended.
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 0; }, 60)) << world.live_leases();
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST_F(FullDiskTest, a_lease_that_runs_out_meanwhile_ends_when_there_is_space_again) {
  const AgentWorld world(server_, database_);
  const Credential made = world.issue("1s");
  ASSERT_EQ(made.status, 200) << made.error;
  fill_disk(0);
  EXPECT_TRUE(eventually([&] { return !world.can_log_in(made); }));
  EXPECT_EQ(world.issue("1h").status, 503);
  free_disk();
  EXPECT_TRUE(eventually([&] { return world.state_of(made.lease) == "revoked"; }))
      << world.lease(made.lease);
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST_F(FullDiskTest, without_an_audit_line_there_is_no_answer_and_no_credential_left) {
  const AgentWorld world(server_, database_);
  const std::string log = server_.path("audit.log");
  server_.must("PUT", "sys/audit/file", {{"type", "file"}, {"options", {{"file_path", log}}}});
  // The file is larger than anything that the store writes to, so only its lines do not fit.
  std::filesystem::resize_file(log, 64 << 20);
  limit_files((64 << 20) + 100);
  const Credential none = world.issue("1h");
  EXPECT_NE(none.status, 200);
  EXPECT_THAT(none.error, HasSubstr("audit"));
  EXPECT_NE(server_.call("GET", "sys/mounts").status, 200);
  EXPECT_EQ(server_.call("GET", "sys/health").status, 200);
  free_disk();
  EXPECT_TRUE(eventually([&] { return world.live_leases() == 0; }));
  EXPECT_EQ(world.marked_roles(), 0);
  EXPECT_EQ(world.issue("1h").status, 200);
}

}  // namespace
}  // namespace curfew::e2e
