#include "tests/engines/kv/kv_fixture.h"

namespace curfew::engines::kv {
namespace {

TEST_F(KvV2Test, metadata_describes_all_versions) {
  put("app", {{"k", "v"}});
  EXPECT_EQ(must(Operation::kRead, "metadata/app"),
            Json({{"cas_required", false},
                  {"created_time", "2027-01-15T08:00:00Z"},
                  {"current_version", 1},
                  {"custom_metadata", nullptr},
                  {"delete_version_after", "0s"},
                  {"max_versions", 0},
                  {"oldest_version", 0},
                  {"updated_time", "2027-01-15T08:00:00Z"},
                  {"versions",
                   {{"1",
                     {{"created_time", "2027-01-15T08:00:00Z"},
                      {"deletion_time", ""},
                      {"destroyed", false}}}}}}));
}

TEST_F(KvV2Test, metadata_may_be_written_before_the_first_version) {
  EXPECT_TRUE(must(Operation::kUpdate, "metadata/app",
                   {{"max_versions", "3"},
                    {"cas_required", true},
                    {"delete_version_after", "10m"},
                    {"custom_metadata", {{"owner", "ada"}}}})
                  .is_null());
  const Json meta = must(Operation::kRead, "metadata/app");
  EXPECT_EQ(meta["max_versions"], 3);
  EXPECT_EQ(meta["cas_required"], true);
  EXPECT_EQ(meta["delete_version_after"], "10m0s");
  EXPECT_EQ(meta["custom_metadata"], Json({{"owner", "ada"}}));
  EXPECT_EQ(meta["current_version"], 0);
  EXPECT_EQ(meta["versions"], Json::object());
  EXPECT_EQ(fails(Operation::kRead, "data/app").code, Errc::kNotFound);
  world_.clock.advance(Seconds{1});
  const Json written =
      must(Operation::kUpdate, "data/app", {{"data", {{"k", 1}}}, {"options", {{"cas", 0}}}});
  EXPECT_EQ(written["custom_metadata"], Json({{"owner", "ada"}}));
  EXPECT_EQ(must(Operation::kRead, "metadata/app")["created_time"], "2027-01-15T08:00:00Z");
}

TEST_F(KvV2Test, a_write_of_metadata_changes_only_what_it_names) {
  must(Operation::kUpdate, "metadata/app",
       {{"max_versions", 3}, {"custom_metadata", {{"a", "1"}, {"b", "2"}}}});
  must(Operation::kUpdate, "metadata/app", {{"custom_metadata", {{"c", "3"}}}});
  const Json meta = must(Operation::kRead, "metadata/app");
  EXPECT_EQ(meta["max_versions"], 3);
  EXPECT_EQ(meta["custom_metadata"], Json({{"c", "3"}}));
  must(Operation::kUpdate, "metadata/other", {{"unrelated", 1}});
  EXPECT_EQ(fails(Operation::kRead, "metadata/other").code, Errc::kNotFound);
}

TEST_F(KvV2Test, a_patch_of_metadata_merges_and_null_resets) {
  EXPECT_EQ(fails(Operation::kPatch, "metadata/app", {{"max_versions", 1}}).code, Errc::kNotFound);
  must(Operation::kUpdate, "metadata/app",
       {{"max_versions", 3},
        {"cas_required", true},
        {"delete_version_after", "1m"},
        {"custom_metadata", {{"a", "1"}, {"b", "2"}}}});
  must(Operation::kPatch, "metadata/app", {{"custom_metadata", {{"a", nullptr}, {"c", "3"}}}});
  Json meta = must(Operation::kRead, "metadata/app");
  EXPECT_EQ(meta["custom_metadata"], Json({{"b", "2"}, {"c", "3"}}));
  EXPECT_EQ(meta["max_versions"], 3);
  must(Operation::kPatch, "metadata/app",
       {{"max_versions", nullptr},
        {"cas_required", nullptr},
        {"delete_version_after", nullptr},
        {"custom_metadata", nullptr}});
  meta = must(Operation::kRead, "metadata/app");
  EXPECT_EQ(meta["custom_metadata"], nullptr);
  EXPECT_EQ(meta["max_versions"], 0);
  EXPECT_EQ(meta["cas_required"], false);
  EXPECT_EQ(meta["delete_version_after"], "0s");
}

TEST_F(KvV2Test, a_patch_cannot_grow_custom_metadata_beyond_its_bound) {
  Json many = Json::object();
  for (int i = 0; i < 64; ++i) many["key-" + std::to_string(i)] = "v";
  must(Operation::kUpdate, "metadata/app", {{"custom_metadata", many}});
  EXPECT_EQ(fails(Operation::kPatch, "metadata/app", {{"custom_metadata", {{"more", "v"}}}}).code,
            Errc::kInvalidArgument);
  EXPECT_EQ(must(Operation::kRead, "metadata/app")["custom_metadata"].size(), 64u);
}

TEST_F(KvV2Test, bad_settings_are_refused_and_named) {
  struct Case {
    Json data;
    const char* named;
  };
  const Case cases[] = {{{{"max_versions", -1}}, "max_versions"},
                        {{{"max_versions", 1001}}, "max_versions"},
                        {{{"max_versions", "many"}}, "max_versions"},
                        {{{"cas_required", "maybe"}}, "cas_required"},
                        {{{"delete_version_after", "soon"}}, "duration"}};
  for (const Case& item : cases) {
    for (const char* path : {"config", "metadata/app"}) {
      const Error error = fails(Operation::kUpdate, path, item.data);
      EXPECT_EQ(error.code, Errc::kInvalidArgument);
      EXPECT_THAT(error.message, ::testing::HasSubstr(item.named));
    }
  }
  EXPECT_EQ(fails(Operation::kUpdate, "metadata/app", {{"delete_version_after", "-1s"}}).code,
            Errc::kInvalidArgument);
  EXPECT_EQ(fails(Operation::kUpdate, "metadata/app", {{"custom_metadata", "x"}}).code,
            Errc::kInvalidArgument);
}

TEST_F(KvV2Test, a_mandate_of_the_mount_is_warned_of) {
  must(Operation::kUpdate, "config", {{"cas_required", true}});
  const auto reply = call(Operation::kUpdate, "metadata/app", {{"cas_required", false}});
  ASSERT_TRUE(reply.has_value());
  ASSERT_EQ(reply->warnings.size(), 1u);
  EXPECT_THAT(reply->warnings[0], ::testing::HasSubstr("mandated by backend config"));
}

TEST_F(KvV2Test, deleting_metadata_deletes_everything) {
  for (int i = 1; i <= 3; ++i) put("app", {{"k", i}});
  EXPECT_TRUE(call(Operation::kDelete, "metadata/app").has_value());
  EXPECT_TRUE(call(Operation::kDelete, "metadata/app").has_value());
  EXPECT_EQ(fails(Operation::kRead, "data/app").code, Errc::kNotFound);
  EXPECT_TRUE(world_.storage.list("v2/").value().empty());
  EXPECT_EQ(put("app", {{"k", 1}}), 1);
}

TEST_F(KvV2Test, lists_secrets_and_folders) {
  EXPECT_EQ(fails(Operation::kList, "metadata/").code, Errc::kNotFound);
  for (const char* path : {"app", "team/a", "team/b/c"}) put(path, {{"k", 1}});
  EXPECT_EQ(must(Operation::kList, "metadata"), Json({{"keys", {"app", "team/"}}}));
  EXPECT_EQ(must(Operation::kList, "metadata/"), Json({{"keys", {"app", "team/"}}}));
  EXPECT_EQ(must(Operation::kList, "metadata/team/"), Json({{"keys", {"a", "b/"}}}));
  EXPECT_EQ(must(Operation::kList, "metadata/team"), Json({{"keys", {"a", "b/"}}}));
  EXPECT_EQ(must(Operation::kList, "metadata/", {{"limit", 1}, {"after", "app"}}),
            Json({{"keys", {"team/"}}}));
}

TEST_F(KvV2Test, config_has_defaults_and_keeps_what_is_not_named) {
  EXPECT_EQ(must(Operation::kRead, "config"),
            Json({{"cas_required", false}, {"delete_version_after", "0s"}, {"max_versions", 0}}));
  must(Operation::kUpdate, "config", {{"max_versions", 5}, {"delete_version_after", "90s"}});
  must(Operation::kUpdate, "config", {{"cas_required", true}});
  EXPECT_EQ(must(Operation::kRead, "config"),
            Json({{"cas_required", true}, {"delete_version_after", "1m30s"}, {"max_versions", 5}}));
}

TEST_F(KvV2Test, the_old_flat_paths_are_not_served) {
  EXPECT_EQ(fails(Operation::kRead, "app").code, Errc::kUnsupportedPath);
  EXPECT_EQ(fails(Operation::kList, "data/").code, Errc::kUnsupportedOperation);
  EXPECT_EQ(fails(Operation::kRead, "delete/app").code, Errc::kUnsupportedOperation);
}

}  // namespace
}  // namespace curfew::engines::kv
