#include "tests/engines/kv/kv_fixture.h"

namespace curfew::engines::kv {
namespace {

TEST_F(KvV1Test, keeps_a_map_as_it_was_written) {
  const Json written{{"x", "1"}, {"n", 7}, {"nested", {{"a", nullptr}}}, {"ttl", "30s"}};
  const auto reply = call(Operation::kUpdate, "a/b", written);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->data.is_null());  // 204
  EXPECT_EQ(must(Operation::kRead, "a/b"), written);
}

TEST_F(KvV1Test, a_write_replaces_the_whole_map) {
  must(Operation::kUpdate, "a", {{"x", "1"}, {"y", "2"}});
  must(Operation::kUpdate, "a", {{"y", "3"}});
  EXPECT_EQ(must(Operation::kRead, "a"), Json({{"y", "3"}}));
}

TEST_F(KvV1Test, ttl_and_lease_only_advise) {
  struct Case {
    Json data;
    Millis ttl;
  };
  const Case cases[] = {{{{"ttl", "30s"}}, Seconds{30}},
                        {{{"lease", 60}}, Seconds{60}},
                        {{{"ttl", "1h"}, {"lease", "5s"}}, Seconds{3600}},
                        {{{"ttl", "whenever"}}, Millis{0}},
                        {{{"ttl", {{"a", 1}}}}, Millis{0}},
                        {{{"x", 1}}, Millis{0}}};
  for (const Case& item : cases) {
    must(Operation::kUpdate, "a", item.data);
    const auto reply = call(Operation::kRead, "a");
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->advisory_ttl, item.ttl) << item.data.dump();
  }
}

TEST_F(KvV1Test, a_miss_is_not_found_without_a_message) {
  const Error error = fails(Operation::kRead, "nope");
  EXPECT_EQ(error.code, Errc::kNotFound);
  EXPECT_EQ(error.message, "");
}

TEST_F(KvV1Test, delete_removes_and_may_be_repeated) {
  must(Operation::kUpdate, "a", {{"x", 1}});
  EXPECT_TRUE(call(Operation::kDelete, "a").has_value());
  EXPECT_TRUE(call(Operation::kDelete, "a").has_value());
  EXPECT_EQ(fails(Operation::kRead, "a").code, Errc::kNotFound);
}

TEST_F(KvV1Test, lists_names_and_folders) {
  for (const char* path : {"a", "b/c", "b/d/e", "z"}) must(Operation::kUpdate, path, {{"x", 1}});
  EXPECT_EQ(must(Operation::kList, ""), Json({{"keys", {"a", "b/", "z"}}}));
  EXPECT_EQ(must(Operation::kList, "b"), Json({{"keys", {"c", "d/"}}}));
  EXPECT_EQ(must(Operation::kList, "b/"), Json({{"keys", {"c", "d/"}}}));
  EXPECT_EQ(fails(Operation::kList, "nothing").code, Errc::kNotFound);
}

TEST_F(KvV1Test, refuses_an_empty_map_and_an_empty_path) {
  EXPECT_EQ(fails(Operation::kUpdate, "a").message, "missing data fields");
  EXPECT_EQ(fails(Operation::kUpdate, "", {{"x", 1}}).message, "missing path");
}

TEST_F(KvV1Test, refuses_a_map_beyond_the_bound) {
  const Error error = fails(Operation::kUpdate, "a", {{"x", std::string(1024 * 1024, 'x')}});
  EXPECT_EQ(error.code, Errc::kTooLarge);
  EXPECT_EQ(fails(Operation::kRead, "a").code, Errc::kNotFound);
}

TEST_F(KvV1Test, tells_create_from_update) {
  EXPECT_EQ(exists("a"), false);
  must(Operation::kUpdate, "a", {{"x", 1}});
  EXPECT_EQ(exists("a"), true);
}

TEST_F(KvV1Test, a_failing_store_is_an_error_and_keeps_the_old_value) {
  must(Operation::kUpdate, "a", {{"x", 1}});
  world_.storage.fail_write(1);
  EXPECT_EQ(fails(Operation::kUpdate, "a", {{"x", 2}}).code, Errc::kUnavailable);
  EXPECT_EQ(must(Operation::kRead, "a"), Json({{"x", 1}}));
}

TEST(MakeKv, knows_versions_one_and_two) {
  EngineWorld world;
  EXPECT_TRUE(make_kv(world.services()).has_value());
  EXPECT_TRUE(make_kv(world.services({{"version", "1"}})).has_value());
  EXPECT_TRUE(make_kv(world.services({{"version", 2}})).has_value());
  EXPECT_EQ(make_kv(world.services({{"version", "3"}})).error().code, Errc::kInvalidArgument);
}

TEST(MakeKv, does_not_open_the_secrets_of_the_other_version) {
  struct Case {
    const char* from;
    const char* path;
    const char* to;
  };
  for (const Case& item : {Case{"1", "a", "2"}, Case{"2", "data/a", "1"}}) {
    EngineWorld world;
    {
      const auto engine = make_kv(world.services({{"version", item.from}}));
      ASSERT_TRUE(engine.has_value());
      ASSERT_TRUE(
          world.call(**engine, Operation::kUpdate, item.path, {{"data", {{"x", 1}}}}).has_value());
    }
    const auto other = make_kv(world.services({{"version", item.to}}));
    ASSERT_FALSE(other.has_value());
    EXPECT_EQ(other.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(other.error().message, ::testing::HasSubstr("copy the secrets"));
    EXPECT_TRUE(make_kv(world.services({{"version", item.from}})).has_value());
  }
}

TEST(MakeKv, an_empty_mount_may_change_its_version) {
  EngineWorld world;
  const auto engine = make_kv(world.services({{"version", "1"}}));
  ASSERT_TRUE(world.call(**engine, Operation::kUpdate, "a", {{"x", 1}}).has_value());
  ASSERT_TRUE(world.call(**engine, Operation::kDelete, "a").has_value());
  EXPECT_TRUE(make_kv(world.services({{"version", "2"}})).has_value());
}

}  // namespace
}  // namespace curfew::engines::kv
