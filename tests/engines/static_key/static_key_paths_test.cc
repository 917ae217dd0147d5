#include "tests/engines/static_key/static_key_fixture.h"

namespace curfew::engines::static_key {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(StaticKeyTest, reading_a_key_never_tells_the_secret) {
  EXPECT_EQ(must(Operation::kUpdate, "keys/k",
                 {{"value", "hunter2"},
                  {"type", "api_key"},
                  {"description", "billing"},
                  {"metadata", {{"owner", "ada"}}},
                  {"default_ttl", "5m"},
                  {"max_ttl", 3600}}),
            Json({{"current_version", 1}}));
  lease("k", "l1");
  const Json key = must(Operation::kRead, "keys/k");
  EXPECT_EQ(key, Json({{"name", "k"},
                       {"type", "api_key"},
                       {"description", "billing"},
                       {"metadata", {{"owner", "ada"}}},
                       {"default_ttl", 300},
                       {"max_ttl", 3600},
                       {"keep_versions", 1},
                       {"current_version", 1},
                       {"versions",
                        {{"1",
                          {{"created_time", "2027-01-15T08:00:00Z"},
                           {"superseded_time", ""},
                           {"leases", 1}}}}}}));
  EXPECT_EQ(fails(Operation::kRead, "keys/nope").code, Errc::kNotFound);
}

TEST_F(StaticKeyTest, a_new_key_needs_a_secret_and_an_old_one_does_not) {
  const Error error = fails(Operation::kUpdate, "keys/k", {{"type", "api_key"}});
  EXPECT_EQ(error.code, Errc::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("\"value\""));
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  EXPECT_EQ(must(Operation::kUpdate, "keys/k", {{"description", "d"}})["current_version"], 1);
  const Json key = must(Operation::kRead, "keys/k");
  EXPECT_EQ(key["description"], "d");
  EXPECT_EQ(key["type"], "generic");
  EXPECT_EQ(lease("k", "l1")["value"], "v");
}

TEST_F(StaticKeyTest, the_same_secret_again_is_no_new_version) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  EXPECT_EQ(must(Operation::kUpdate, "keys/k", {{"value", "v"}})["current_version"], 1);
  const auto same = call(Operation::kUpdate, "keys/k/rotate", {{"value", "v"}});
  EXPECT_EQ(same->data["current_version"], 1);
  EXPECT_THAT(same->warnings, ::testing::ElementsAre(HasSubstr("no version was added")));
  EXPECT_EQ(must(Operation::kUpdate, "keys/k", {{"value", "w"}})["current_version"], 2);
}

TEST_F(StaticKeyTest, the_newest_versions_are_kept_as_told) {
  must(Operation::kUpdate, "keys/k", {{"value", "1"}, {"keep_versions", 2}});
  for (const char* value : {"2", "3", "4"})
    must(Operation::kUpdate, "keys/k/rotate", {{"value", value}});
  EXPECT_FALSE(stored("k", 1));
  EXPECT_FALSE(stored("k", 2));
  EXPECT_TRUE(stored("k", 3));
  EXPECT_TRUE(stored("k", 4));
  must(Operation::kUpdate, "keys/k", {{"keep_versions", 1}});
  EXPECT_FALSE(stored("k", 3));
}

TEST_F(StaticKeyTest, rotating_ends_the_leases_of_old_versions_when_told) {
  must(Operation::kUpdate, "keys/k", {{"value", "1"}});
  lease("k", "l1");
  must(Operation::kUpdate, "keys/k/rotate", {{"value", "2"}});
  lease("k", "l2");
  EXPECT_TRUE(world_.leases.ended().empty());
  const Json answer =
      must(Operation::kUpdate, "keys/k/rotate", {{"value", "3"}, {"end_leases", true}});
  EXPECT_EQ(answer, Json({{"current_version", 3}, {"ended_leases", 2}}));
  EXPECT_THAT(world_.leases.ended(), ::testing::ElementsAre("keys/creds/k/l1", "keys/creds/k/l2"));
  EXPECT_EQ(fails(Operation::kRead, "leases/keys/creds/k/l1").code, Errc::kNotFound);
  lease("k", "l3");
  // The same request again is harmless: the leases of the current version live on.
  must(Operation::kUpdate, "keys/k/rotate", {{"value", "3"}, {"end_leases", true}});
  EXPECT_EQ(world_.leases.ended().size(), 2u);
}

TEST_F(StaticKeyTest, rotating_needs_a_key_and_a_value) {
  EXPECT_EQ(fails(Operation::kUpdate, "keys/k/rotate", {{"value", "v"}}).code, Errc::kNotFound);
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  EXPECT_EQ(fails(Operation::kUpdate, "keys/k/rotate").code, Errc::kInvalidArgument);
  EXPECT_EQ(
      fails(Operation::kUpdate, "keys/k/rotate", {{"value", "w"}, {"end_leases", "maybe"}}).code,
      Errc::kInvalidArgument);
  EXPECT_EQ(must(Operation::kRead, "keys/k")["current_version"], 1);
}

TEST_F(StaticKeyTest, a_key_in_use_is_not_deleted_unless_forced) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  lease("k", "l1");
  const Error refused = fails(Operation::kDelete, "keys/k");
  EXPECT_EQ(refused.code, Errc::kInvalidArgument);
  EXPECT_THAT(refused.message, HasSubstr("force=true"));
  EXPECT_TRUE(stored("k", 1));
  EXPECT_TRUE(call(Operation::kDelete, "keys/k", {{"force", "true"}}).has_value());
  EXPECT_FALSE(stored("k", 1));
  EXPECT_EQ(fails(Operation::kRead, "keys/k").code, Errc::kNotFound);
  EXPECT_THAT(world_.leases.ended(), ::testing::ElementsAre("keys/creds/k/l1"));
  EXPECT_EQ(fails(Operation::kRead, "leases/keys/creds/k/l1").code, Errc::kNotFound);
  end("k", "l1", 1);
  EXPECT_TRUE(engine_->list_owned(in_time())->empty());
}

TEST_F(StaticKeyTest, a_lease_that_is_still_being_made_protects_the_key_as_well) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  // Granted, but the broker has not counted it yet.
  const auto made = plan("k", "l1");
  ASSERT_TRUE(apply("l1", *made).has_value());
  EXPECT_THAT(fails(Operation::kDelete, "keys/k").message, HasSubstr("live leases"));
}

TEST_F(StaticKeyTest, deleting_is_done_once_and_forgets_everything_but_the_number) {
  EXPECT_TRUE(call(Operation::kDelete, "keys/k").has_value());
  must(Operation::kUpdate, "keys/k", {{"value", "1"}});
  must(Operation::kUpdate, "keys/k", {{"value", "2"}});
  EXPECT_TRUE(call(Operation::kDelete, "keys/k").has_value());
  EXPECT_TRUE(world_.storage.list("value/").value().empty());
  // A lease of the old key must not fit the new one.
  EXPECT_EQ(must(Operation::kUpdate, "keys/k", {{"value", "3"}})["current_version"], 3);
}

TEST_F(StaticKeyTest, an_old_lease_does_not_read_a_key_made_anew) {
  must(Operation::kUpdate, "keys/k", {{"value", "old"}});
  const auto made = plan("k", "l1");
  ASSERT_TRUE(apply("l1", *made).has_value());
  must(Operation::kDelete, "keys/k", {{"force", true}});
  must(Operation::kUpdate, "keys/k", {{"value", "new"}});
  world_.leases.add({"keys/creds/k/l1", "k", made->handle, world_.clock.wall() + Seconds{60}});
  EXPECT_EQ(fails(Operation::kRead, "leases/keys/creds/k/l1").code, Errc::kNotFound);
}

TEST_F(StaticKeyTest, lists_names) {
  EXPECT_EQ(fails(Operation::kList, "keys/").code, Errc::kNotFound);
  must(Operation::kUpdate, "keys/b", {{"value", "v"}});
  must(Operation::kUpdate, "keys/a.b-c", {{"value", "v"}});
  EXPECT_EQ(must(Operation::kList, "keys/"), Json({{"keys", {"a.b-c", "b"}}}));
  EXPECT_EQ(must(Operation::kList, "keys"), Json({{"keys", {"a.b-c", "b"}}}));
}

TEST_F(StaticKeyTest, tells_create_from_update) {
  const auto exists = [&](const std::string& path) {
    const auto match = engine_->routes().match(path, Operation::kUpdate);
    return *engine_->exists({Operation::kUpdate, path, match->params, Json::object(), {}});
  };
  EXPECT_EQ(exists("keys/k"), false);
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  EXPECT_EQ(exists("keys/k"), true);
  EXPECT_EQ(exists("keys/k/rotate"), std::nullopt);
}

TEST_F(StaticKeyTest, creds_are_read_under_a_lease_only) {
  const auto match = engine_->routes().match("creds/k", Operation::kRead);
  ASSERT_TRUE(match.has_value());
  EXPECT_TRUE(match->route->issues_lease);
  EXPECT_TRUE(match->route->handlers.empty());
  EXPECT_FALSE(engine_->routes().match("creds/k@1", Operation::kRead).has_value());
}

}  // namespace
}  // namespace curfew::engines::static_key
