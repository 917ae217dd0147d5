#include <atomic>
#include <thread>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class MountTest : public BrokerWorld {
 protected:
  bool is_mounted(const std::string& path) { return must_read("sys/mounts").contains(path); }
  // Nothing revokes while the unmount waits, so that it is told in the end that the time is over.
  void unmount_until_it_gives_up() {
    std::atomic<bool> answered{false};
    std::thread waiting([&] {
      const auto result = remove("sys/mounts/db");
      EXPECT_THAT(result ? "" : result.error().message, HasSubstr("goes by itself"));
      answered = true;
    });
    while (!answered) {
      clock_.advance(Seconds{1});
      std::this_thread::sleep_for(Millis{1});
    }
    waiting.join();
  }
  std::string refused(const Result<Response>& result) {
    EXPECT_FALSE(result.has_value());
    return result ? "" : result.error().message;
  }
};

TEST_F(MountTest, an_engine_is_served_where_it_is_mounted) {
  must_write("sys/mounts/team/kv",
             {{"type", "kv"}, {"options", {{"version", "2"}}}, {"description", "ours"}});
  must_write("team/kv/data/app", {{"data", {{"k", "v"}}}});
  EXPECT_EQ(must_read("team/kv/data/app").at("data").at("k"), "v");
  const Json entry = must_read("sys/mounts").at("team/kv/");
  EXPECT_EQ(entry.at("type"), "kv");
  EXPECT_EQ(entry.at("options").at("version"), "2");
  EXPECT_EQ(entry.at("description"), "ours");
  EXPECT_EQ(code_of(read("team/other/x")), Errc::kUnsupportedPath);
}

TEST_F(MountTest, the_older_type_names_of_kv_are_understood) {
  must_write("sys/mounts/two", {{"type", "kv-v2"}});
  EXPECT_EQ(must_read("sys/mounts").at("two/").at("options").at("version"), "2");
}

TEST_F(MountTest, mounts_and_their_contents_survive_a_restart) {
  must_write("sys/mounts/a", {{"type", "kv"}});
  must_write("sys/mounts/b", {{"type", "kv"}});
  must_write("a/x", {{"k", "1"}});
  restart();
  EXPECT_EQ(must_read("a/x").at("k"), "1");
  EXPECT_EQ(code_of(read("b/x")), Errc::kNotFound) << "mounts share nothing";
}

TEST_F(MountTest, what_cannot_be_mounted_is_refused) {
  must_write("sys/mounts/a", {{"type", "kv"}});
  EXPECT_THAT(refused(write("sys/mounts/a", {{"type", "kv"}})), HasSubstr("already in use"));
  EXPECT_THAT(refused(write("sys/mounts/a/b", {{"type", "kv"}})), HasSubstr("already in use"));
  EXPECT_THAT(refused(write("sys/mounts/x", {{"type", "nope"}})),
              HasSubstr("unknown secrets engine"));
  EXPECT_THAT(refused(write("sys/mounts/x")), HasSubstr("missing type"));
  EXPECT_THAT(refused(write("sys/mounts/sys/x", {{"type", "kv"}})), HasSubstr("reserved"));
  EXPECT_THAT(refused(write("sys/mounts/auth/x", {{"type", "kv"}})), HasSubstr("reserved"));
  EXPECT_THAT(refused(write("sys/mounts/a b", {{"type", "kv"}})), HasSubstr("spaces"));
  EXPECT_THAT(refused(write("sys/mounts/x/../y", {{"type", "kv"}})), HasSubstr(".."));
  EXPECT_THAT(refused(write("sys/mounts/k", {{"type", "kv"}, {"options", {{"version", "3"}}}})),
              HasSubstr("version"));
  EXPECT_THAT(refused(write("sys/mounts/k",
                            {{"type", "kv"},
                             {"config", {{"default_lease_ttl", "2h"}, {"max_lease_ttl", "1h"}}}})),
              HasSubstr("longer"));
  EXPECT_FALSE(is_mounted("k/"));
}

TEST_F(MountTest, tuning_changes_what_was_named_and_counts_at_once) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  EXPECT_EQ(must_read("sys/mounts/db/tune").at("default_lease_ttl"), 2764800);
  must_write("sys/mounts/db/tune", {{"default_lease_ttl", "10m"}, {"max_lease_ttl", "1h"}});
  must_write("sys/mounts/db/tune", {{"max_lease_ttl", ""}, {"description", "d"}});
  EXPECT_EQ(must_read("sys/mounts/db/tune").at("max_lease_ttl"), 3600);
  EXPECT_EQ(read("db/creds/ro")->lease_duration, std::chrono::minutes{10});
  restart();
  EXPECT_EQ(read("db/creds/ro")->lease_duration, std::chrono::minutes{10});
}

TEST_F(MountTest, the_token_mount_can_be_tuned_by_both_paths) {
  must_write("sys/mounts/auth/token/tune", {{"default_lease_ttl", "30m"}});
  EXPECT_EQ(must_read("sys/auth/token/tune").at("default_lease_ttl"), 1800);
  EXPECT_EQ(must_write("auth/token/create", {{"policies", {"default"}}}).auth->lease_duration,
            std::chrono::minutes{30});
  EXPECT_TRUE(must_read("sys/auth").contains("token/"));
  EXPECT_THAT(refused(remove("sys/auth/token")), HasSubstr("cannot be disabled"));
  EXPECT_THAT(refused(write("sys/auth/other", {{"type", "nosuch"}})),
              HasSubstr("unknown auth method"));
}

TEST_F(MountTest, a_mount_moves_with_its_contents_and_its_leases_live_on) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  const auto lease = read("db/creds/ro");
  ASSERT_TRUE(lease.has_value());
  must_write("sys/remount", {{"from", "db"}, {"to", "data/base"}});
  EXPECT_EQ(code_of(read("db/creds/ro")), Errc::kUnsupportedPath);
  EXPECT_TRUE(read("data/base/creds/ro").has_value());
  must_write("sys/leases/revoke", {{"lease_id", lease->lease_id}});
  EXPECT_FALSE(outside_.has(lease->data.at("username")));
  EXPECT_THAT(refused(write("sys/remount", {{"from", "gone"}, {"to", "x"}})),
              HasSubstr("no mount"));
}

TEST_F(MountTest, unmounting_removes_contents_for_good) {
  must_write("sys/mounts/a", {{"type", "kv"}});
  must_write("a/x", {{"k", "1"}});
  EXPECT_TRUE(remove("sys/mounts/a").has_value());
  EXPECT_FALSE(is_mounted("a/"));
  must_write("sys/mounts/a", {{"type", "kv"}});
  EXPECT_EQ(code_of(read("a/x")), Errc::kNotFound);
  EXPECT_TRUE(remove("sys/mounts/never").has_value());
}

// Pain 5: a mount that cannot be removed and is neither there nor gone.
TEST_F(MountTest, pain_5_an_unmount_that_cannot_finish_goes_on_by_itself) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  const auto lease = read("db/creds/ro");
  ASSERT_TRUE(lease.has_value());
  outside_.fail_revokes(2);
  unmount_until_it_gives_up();
  EXPECT_EQ(must_read("sys/mounts").at("db/").at("state"), "unmounting");
  EXPECT_THAT(refused(read("db/creds/ro")), HasSubstr("being removed"));
  restart();
  EXPECT_THAT(refused(read("db/creds/ro")), HasSubstr("being removed"));
  for (int i = 0; i < 4; ++i) {
    run_due();
    clock_.advance(std::chrono::minutes{5});
  }
  EXPECT_FALSE(is_mounted("db/"));
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(MountTest, an_issue_under_way_during_the_unmount_leaves_nothing) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  outside_.during_apply = [&](const std::string&) {
    outside_.during_apply = nullptr;
    unmount_until_it_gives_up();
  };
  EXPECT_FALSE(read("db/creds/ro").has_value());
  clock_.advance(std::chrono::minutes{1});
  run_due();
  EXPECT_FALSE(is_mounted("db/"));
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(MountTest, clients_are_told_the_mount_of_a_path) {
  must_write("sys/mounts/secret", {{"type", "kv"}, {"options", {{"version", "2"}}}});
  const Json found = must_read("sys/internal/ui/mounts/secret/foo/bar");
  EXPECT_EQ(found.at("path"), "secret/");
  EXPECT_EQ(found.at("options").at("version"), "2");
  write_policy("none", R"(path "other/*" { capabilities = ["read"] })");
  const std::string token = make_token({"none"});
  const std::string hidden = refused(read("sys/internal/ui/mounts/secret/foo", token));
  const std::string absent = refused(read("sys/internal/ui/mounts/nothere/foo", token));
  EXPECT_THAT(hidden, HasSubstr("preflight capability check returned 403"));
  EXPECT_EQ(hidden.substr(0, 60), absent.substr(0, 60)) << "what exists is not told";
  EXPECT_EQ(code_of(read("sys/internal/ui/mounts/secret/foo", "")), Errc::kPermissionDenied);
  EXPECT_TRUE(must_read("sys/internal/ui/mounts").at("secret").contains("secret/"));
  EXPECT_FALSE(must_read("sys/internal/ui/mounts", token).at("secret").contains("secret/"));
}

TEST_F(MountTest, an_edited_mount_is_not_believed) {
  must_write("sys/mounts/a", {{"type", "kv"}});
  must_write("sys/mounts/b", {{"type", "kv"}});
  must_write("a/x", {{"k", "1"}});
  tamper(
      "UPDATE records SET scope = (SELECT scope FROM records WHERE scope LIKE 'mount/%' LIMIT 1) "
      "|| 'x' "
      "WHERE scope LIKE 'mount/%'");
  EXPECT_FALSE(read("a/x").has_value());
}

TEST_F(MountTest, a_mount_whose_path_has_several_parts_can_be_tuned) {
  must_write("sys/mounts/team/db", {{"type", "scripted"}});
  must_write("sys/mounts/team/db/tune", {{"default_lease_ttl", "10m"}});
  EXPECT_EQ(must_read("sys/mounts/team/db/tune").at("default_lease_ttl"), 600);
}

TEST_F(MountTest, a_mount_that_follows_a_removed_one_is_never_removed_with_it) {
  std::atomic<bool> stop{false};
  std::thread sweeping([&] {
    while (!stop) (void)broker_->run_due().has_value();
  });
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    must_write("sys/mounts/m", {{"type", "kv"}});
    must_write("m/x", {{"k", "1"}});
    EXPECT_EQ(must_read("m/x").at("k"), "1");
    EXPECT_TRUE(remove("sys/mounts/m").has_value());
  }
  stop = true;
  sweeping.join();
}

TEST_F(MountTest, a_damaged_mount_is_left_out_and_the_others_are_served) {
  must_write("sys/mounts/a", {{"type", "kv"}});
  must_write("sys/mounts/b", {{"type", "kv"}});
  must_write("b/x", {{"k", "1"}});
  tamper("UPDATE records SET sealed = zeroblob(64) WHERE scope = 'sys/mounts' AND name = 'a/'");
  restart();
  EXPECT_EQ(must_read("b/x").at("k"), "1");
  EXPECT_FALSE(read("a/x").has_value());
}

}  // namespace
}  // namespace curfew::broker
