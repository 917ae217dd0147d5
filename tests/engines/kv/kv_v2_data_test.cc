#include "base/duration.h"
#include "tests/engines/kv/kv_fixture.h"

namespace curfew::engines::kv {
namespace {

TEST_F(KvV2Test, a_write_answers_with_the_version) {
  EXPECT_EQ(
      must(Operation::kUpdate, "data/app", {{"data", {{"k", "v"}}}, {"options", {{"cas", 0}}}}),
      Json({{"version", 1},
            {"created_time", "2027-01-15T08:00:00Z"},
            {"deletion_time", ""},
            {"destroyed", false},
            {"custom_metadata", nullptr}}));
}

TEST_F(KvV2Test, reads_the_latest_or_the_version_asked_for) {
  put("app", {{"k", "1"}});
  world_.clock.advance(Seconds{1});
  put("app", {{"k", "2"}});
  const Json latest = must(Operation::kRead, "data/app");
  EXPECT_EQ(latest["data"], Json({{"k", "2"}}));
  EXPECT_EQ(latest["metadata"], Json({{"version", 2},
                                      {"created_time", "2027-01-15T08:00:01Z"},
                                      {"deletion_time", ""},
                                      {"destroyed", false},
                                      {"custom_metadata", nullptr}}));
  EXPECT_EQ(must(Operation::kRead, "data/app", {{"version", "1"}})["data"], Json({{"k", "1"}}));
  EXPECT_EQ(must(Operation::kRead, "data/app", {{"version", "0"}})["data"], Json({{"k", "2"}}));
  EXPECT_EQ(must(Operation::kRead, "data/app", {{"version", -3}})["data"], Json({{"k", "2"}}));
}

TEST_F(KvV2Test, a_missing_secret_or_version_is_not_found_without_a_message) {
  put("app", {{"k", "1"}});
  for (const auto& [path, version] : {std::pair{"data/nope", 0}, std::pair{"data/app", 9}}) {
    const Error error = fails(Operation::kRead, path, {{"version", version}});
    EXPECT_EQ(error.code, Errc::kNotFound);
    EXPECT_EQ(error.message, "");
  }
  EXPECT_EQ(fails(Operation::kRead, "data/app", {{"version", "x"}}).code, Errc::kInvalidArgument);
}

TEST_F(KvV2Test, check_and_set) {
  const auto write = [&](Json options) {
    return call(Operation::kUpdate, "data/app",
                {{"data", {{"k", "v"}}}, {"options", std::move(options)}});
  };
  EXPECT_EQ(write({{"cas", 1}}).error().message,
            "check-and-set parameter did not match the current version");
  EXPECT_TRUE(write({{"cas", 0}}).has_value());
  EXPECT_EQ(write({{"cas", 0}}).error().message,
            "check-and-set parameter did not match the current version");
  EXPECT_TRUE(write({{"cas", "1"}}).has_value());
  EXPECT_EQ(write({{"cas", -1}}).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(write({{"cas", "two"}}).error().message, "error parsing check-and-set parameter");
  EXPECT_TRUE(write(Json::object()).has_value());
  EXPECT_EQ(must(Operation::kRead, "data/app")["metadata"]["version"], 3);
}

TEST_F(KvV2Test, check_and_set_may_be_required_by_mount_or_secret) {
  put("own", {{"k", 1}});
  must(Operation::kUpdate, "metadata/own", {{"cas_required", true}});
  EXPECT_EQ(fails(Operation::kUpdate, "data/own", {{"data", {{"k", 2}}}}).message,
            "check-and-set parameter required for this call");
  EXPECT_EQ(fails(Operation::kPatch, "data/own", {{"data", {{"k", 2}}}}).message,
            "check-and-set parameter required for this call");
  put("other", {{"k", 1}});
  must(Operation::kUpdate, "config", {{"cas_required", "true"}});
  EXPECT_EQ(fails(Operation::kUpdate, "data/other", {{"data", {{"k", 2}}}}).message,
            "check-and-set parameter required for this call");
  must(Operation::kUpdate, "data/other", {{"data", {{"k", 2}}}, {"options", {{"cas", 1}}}});
}

TEST_F(KvV2Test, a_write_needs_data_that_is_a_map) {
  EXPECT_EQ(fails(Operation::kUpdate, "data/app").message, "no data provided");
  EXPECT_EQ(fails(Operation::kUpdate, "data/app", {{"data", nullptr}}).message, "no data provided");
  EXPECT_EQ(fails(Operation::kUpdate, "data/app", {{"data", "text"}}).code, Errc::kInvalidArgument);
  EXPECT_EQ(fails(Operation::kUpdate, "data/app", {{"data", {1, 2}}}).code, Errc::kInvalidArgument);
  EXPECT_EQ(fails(Operation::kUpdate, "data/app", {{"data", {{"k", 1}}}, {"options", 7}}).code,
            Errc::kInvalidArgument);
  EXPECT_EQ(fails(Operation::kUpdate, "data/", {{"data", {{"k", 1}}}}).message, "missing path");
  EXPECT_EQ(
      fails(Operation::kUpdate, "data/a", {{"data", {{"k", std::string(1024 * 1024, 'x')}}}}).code,
      Errc::kTooLarge);
  EXPECT_TRUE(call(Operation::kUpdate, "data/empty", {{"data", Json::object()}}).has_value());
  EXPECT_EQ(must(Operation::kRead, "data/empty")["data"], Json::object());
}

TEST_F(KvV2Test, a_deleted_version_is_404_with_a_body_until_undeleted) {
  put("app", {{"k", "v"}});
  world_.clock.advance(Seconds{5});
  EXPECT_TRUE(call(Operation::kDelete, "data/app").value().data.is_null());
  const auto deleted = call(Operation::kRead, "data/app");
  ASSERT_TRUE(deleted.has_value());
  EXPECT_EQ(deleted->status, 404);
  EXPECT_EQ(deleted->data, Json({{"data", nullptr},
                                 {"metadata",
                                  {{"version", 1},
                                   {"created_time", "2027-01-15T08:00:00Z"},
                                   {"deletion_time", "2027-01-15T08:00:05Z"},
                                   {"destroyed", false},
                                   {"custom_metadata", nullptr}}}}));
  // A second deletion does not move the time.
  world_.clock.advance(Seconds{5});
  must(Operation::kDelete, "data/app");
  EXPECT_EQ(must(Operation::kRead, "data/app")["metadata"]["deletion_time"],
            "2027-01-15T08:00:05Z");
  must(Operation::kUpdate, "undelete/app", {{"versions", {1}}});
  const auto back = call(Operation::kRead, "data/app");
  EXPECT_EQ(back->status, 0);
  EXPECT_EQ(back->data["data"], Json({{"k", "v"}}));
  EXPECT_EQ(back->data["metadata"]["deletion_time"], "");
}

TEST_F(KvV2Test, destroyed_versions_do_not_come_back) {
  put("app", {{"k", "1"}});
  put("app", {{"k", "2"}});
  must(Operation::kUpdate, "destroy/app", {{"versions", {"1", 2}}});
  must(Operation::kUpdate, "undelete/app", {{"versions", {1, 2}}});
  for (const int version : {1, 2}) {
    const auto reply = call(Operation::kRead, "data/app", {{"version", version}});
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 404);
    EXPECT_TRUE(reply->data["data"].is_null());
    EXPECT_EQ(reply->data["metadata"]["destroyed"], true);
    EXPECT_EQ(reply->data["metadata"]["deletion_time"], "");
    EXPECT_FALSE(world_.storage.get("v2/value/app/" + std::to_string(version)).value().has_value());
  }
}

TEST_F(KvV2Test, versions_are_chosen_by_numbers_strings_or_commas) {
  for (int i = 1; i <= 4; ++i) put("app", {{"k", i}});
  must(Operation::kUpdate, "delete/app", {{"versions", {1, "2"}}});
  must(Operation::kUpdate, "delete/app", {{"versions", "3, 99"}});
  const Json versions = must(Operation::kRead, "metadata/app")["versions"];
  EXPECT_NE(versions["1"]["deletion_time"], "");
  EXPECT_NE(versions["2"]["deletion_time"], "");
  EXPECT_NE(versions["3"]["deletion_time"], "");
  EXPECT_EQ(versions["4"]["deletion_time"], "");
  for (const char* path : {"delete/app", "undelete/app", "destroy/app"}) {
    EXPECT_EQ(fails(Operation::kUpdate, path).message, "No version number provided");
    EXPECT_EQ(fails(Operation::kUpdate, path, {{"versions", Json::array()}}).message,
              "No version number provided");
    EXPECT_EQ(fails(Operation::kUpdate, path, {{"versions", {"one"}}}).code,
              Errc::kInvalidArgument);
    EXPECT_TRUE(call(Operation::kUpdate, "delete/absent", {{"versions", {1}}}).has_value());
  }
  EXPECT_EQ(fails(Operation::kRead, "metadata/absent").code, Errc::kNotFound);
}

TEST_F(KvV2Test, old_versions_go_with_their_values) {
  must(Operation::kUpdate, "config", {{"max_versions", 2}});
  for (int i = 1; i <= 3; ++i) put("app", {{"k", i}});
  EXPECT_EQ(fails(Operation::kRead, "data/app", {{"version", 1}}).code, Errc::kNotFound);
  EXPECT_FALSE(world_.storage.get("v2/value/app/1").value().has_value());
  EXPECT_TRUE(world_.storage.get("v2/value/app/2").value().has_value());
  EXPECT_EQ(must(Operation::kRead, "metadata/app")["oldest_version"], 2);
}

TEST_F(KvV2Test, patch_merges_and_null_removes) {
  put("app", {{"a", 1}, {"b", {{"x", 1}, {"y", 2}}}, {"c", 3}});
  const Json answer = must(Operation::kPatch, "data/app",
                           {{"data", {{"a", nullptr}, {"b", {{"x", 9}, {"y", nullptr}}}, {"d", 4}}},
                            {"options", {{"cas", 1}}}});
  EXPECT_EQ(answer["version"], 2);
  EXPECT_EQ(must(Operation::kRead, "data/app")["data"],
            Json({{"b", {{"x", 9}}}, {"c", 3}, {"d", 4}}));
  EXPECT_EQ(must(Operation::kRead, "data/app", {{"version", 1}})["data"]["a"], 1);
}

TEST_F(KvV2Test, patch_needs_a_living_version) {
  EXPECT_EQ(fails(Operation::kPatch, "data/app", {{"data", {{"a", 1}}}}).code, Errc::kNotFound);
  EXPECT_EQ(fails(Operation::kPatch, "data/app").message, "no data provided");
  must(Operation::kUpdate, "metadata/app", {{"max_versions", 3}});
  EXPECT_EQ(fails(Operation::kPatch, "data/app", {{"data", {{"a", 1}}}}).code, Errc::kNotFound);
  put("app", {{"a", 1}});
  must(Operation::kDelete, "data/app");
  const auto deleted = call(Operation::kPatch, "data/app", {{"data", {{"a", 2}}}});
  ASSERT_TRUE(deleted.has_value());
  EXPECT_EQ(deleted->status, 404);
  EXPECT_EQ(deleted->data["version"], 1);
  must(Operation::kUpdate, "undelete/app", {{"versions", {1}}});
  EXPECT_EQ(
      fails(Operation::kPatch, "data/app", {{"data", {{"a", std::string(1024 * 1024, 'x')}}}}).code,
      Errc::kTooLarge);
  EXPECT_EQ(must(Operation::kRead, "data/app")["data"], Json({{"a", 1}}));
}

TEST_F(KvV2Test, versions_are_deleted_when_their_time_is_up) {
  must(Operation::kUpdate, "config", {{"delete_version_after", "1h"}});
  const Json written = must(Operation::kUpdate, "data/app", {{"data", {{"k", 1}}}});
  EXPECT_EQ(written["deletion_time"], "2027-01-15T09:00:00Z");
  world_.clock.advance(Seconds{3599});
  EXPECT_EQ(call(Operation::kRead, "data/app")->status, 0);
  world_.clock.advance(Seconds{1});
  EXPECT_EQ(call(Operation::kRead, "data/app")->status, 404);
  // Brought back, it gets its time anew.
  must(Operation::kUpdate, "undelete/app", {{"versions", {1}}});
  EXPECT_EQ(must(Operation::kRead, "data/app")["metadata"]["deletion_time"],
            "2027-01-15T10:00:00Z");
  must(Operation::kUpdate, "config", {{"delete_version_after", "-1s"}});
  EXPECT_EQ(put("app", {{"k", 2}}), 2);
  EXPECT_EQ(must(Operation::kRead, "data/app")["metadata"]["deletion_time"], "");
}

TEST_F(KvV2Test, a_deletion_that_lies_ahead_can_be_brought_forward) {
  must(Operation::kUpdate, "config", {{"delete_version_after", 3600}});
  put("app", {{"k", 1}});
  must(Operation::kDelete, "data/app");
  EXPECT_EQ(must(Operation::kRead, "data/app")["metadata"]["deletion_time"],
            "2027-01-15T08:00:00Z");
}

TEST_F(KvV2Test, subkeys_show_names_and_no_values) {
  put("app",
      {{"a", "secret"}, {"b", {{"c", {{"d", "secret"}}}, {"e", Json::object()}, {"f", {1, 2}}}}});
  const Json all = must(Operation::kRead, "subkeys/app");
  EXPECT_EQ(
      all["subkeys"],
      Json({{"a", nullptr}, {"b", {{"c", {{"d", nullptr}}}, {"e", nullptr}, {"f", nullptr}}}}));
  EXPECT_EQ(all["metadata"]["version"], 1);
  EXPECT_FALSE(all.contains("data"));
  EXPECT_EQ(must(Operation::kRead, "subkeys/app", {{"depth", "1"}})["subkeys"],
            Json({{"a", nullptr}, {"b", nullptr}}));
  EXPECT_EQ(must(Operation::kRead, "subkeys/app", {{"depth", 2}})["subkeys"],
            Json({{"a", nullptr}, {"b", {{"c", nullptr}, {"e", nullptr}, {"f", nullptr}}}}));
  EXPECT_EQ(fails(Operation::kRead, "subkeys/app", {{"depth", -1}}).code, Errc::kInvalidArgument);
  EXPECT_EQ(fails(Operation::kRead, "subkeys/nope").code, Errc::kNotFound);
  put("app", Json::object());
  EXPECT_EQ(must(Operation::kRead, "subkeys/app")["subkeys"], Json::object());
  must(Operation::kDelete, "data/app");
  const auto deleted = call(Operation::kRead, "subkeys/app");
  EXPECT_EQ(deleted->status, 404);
  EXPECT_TRUE(deleted->data["subkeys"].is_null());
}

TEST_F(KvV2Test, secrets_whose_paths_end_in_numbers_do_not_mix) {
  put("a", {{"k", "a"}});
  put("a/1", {{"k", "a/1"}});
  put("a/1/1", {{"k", "a/1/1"}});
  must(Operation::kDelete, "metadata/a");
  EXPECT_EQ(must(Operation::kRead, "data/a/1")["data"]["k"], "a/1");
  EXPECT_EQ(must(Operation::kRead, "data/a/1/1")["data"]["k"], "a/1/1");
}

TEST_F(KvV2Test, a_failing_store_leaves_no_half_written_version) {
  put("app", {{"k", 1}});
  world_.storage.fail_write(1);
  EXPECT_EQ(fails(Operation::kUpdate, "data/app", {{"data", {{"k", 2}}}}).code, Errc::kUnavailable);
  const Json read = must(Operation::kRead, "data/app");
  EXPECT_EQ(read["metadata"]["version"], 1);
  EXPECT_EQ(read["data"]["k"], 1);
}

TEST_F(KvV2Test, tells_create_from_update) {
  EXPECT_EQ(exists("data/app"), false);
  EXPECT_EQ(exists("metadata/app"), false);
  put("app", {{"k", 1}});
  EXPECT_EQ(exists("data/app"), true);
  EXPECT_EQ(exists("metadata/app"), true);
  EXPECT_EQ(exists("config"), std::nullopt);
  EXPECT_EQ(exists("delete/app"), std::nullopt);
}

TEST_F(KvV2Test, a_value_lost_from_the_store_is_an_error_and_not_an_empty_secret) {
  put("app", {{"k", 1}});
  ASSERT_TRUE(world_.storage.remove("v2/value/app/1").has_value());
  EXPECT_EQ(fails(Operation::kRead, "data/app").code, Errc::kCorrupt);
  EXPECT_EQ(fails(Operation::kPatch, "data/app", {{"data", {{"a", 1}}}}).code, Errc::kCorrupt);
}

}  // namespace
}  // namespace curfew::engines::kv
