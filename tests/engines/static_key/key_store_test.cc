#include "engines/static_key/key_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/memory_storage.h"

namespace curfew::engines::static_key {
namespace {

const WallTime kNow = from_unix_millis(1'800'000'000'000);

class KeyStoreTest : public ::testing::Test {
 protected:
  template <class Body>
  void write(Body body) {
    const Status status = storage_.write([&](StorageWriter& writer) -> Status {
      body(writer);
      return ok();
    });
    EXPECT_TRUE(status.has_value());
  }

  fakes::MemoryStorage storage_;
};

TEST_F(KeyStoreTest, grants_are_counted_exactly) {
  write([](StorageWriter& writer) {
    const Grant one{"m/creds/k/1", "k", 4}, two{"m/creds/k/2", "k", 4};
    EXPECT_TRUE(*add_grant(writer, one));
    EXPECT_TRUE(*add_grant(writer, two));
    EXPECT_TRUE(*add_grant(writer, two));
    EXPECT_EQ(*live_grants(writer, "k", 4), 2);
    EXPECT_EQ(*live_grants(writer, "k", 5), 0);
    EXPECT_TRUE(end_grant(writer, one, kNow).has_value());
    EXPECT_TRUE(end_grant(writer, one, kNow).has_value());
    EXPECT_EQ(*live_grants(writer, "k", 4), 1);
    EXPECT_TRUE(end_grant(writer, two, kNow).has_value());
    EXPECT_EQ(*live_grants(writer, "k", 4), 0);
  });
  EXPECT_TRUE(storage_.list("live/").value().empty());
  EXPECT_TRUE(storage_.list("grant/").value().empty());
}

TEST_F(KeyStoreTest, a_grant_that_was_ended_first_is_never_made) {
  write([](StorageWriter& writer) {
    const Grant grant{"m/creds/k/1", "k", 1};
    EXPECT_TRUE(end_grant(writer, grant, kNow).has_value());
    EXPECT_FALSE(*add_grant(writer, grant));
    EXPECT_FALSE(*has_grant(writer, grant.lease_id));
    EXPECT_EQ(*live_grants(writer, "k", 1), 0);
  });
}

TEST_F(KeyStoreTest, ends_are_forgotten_after_a_day) {
  write([](StorageWriter& writer) {
    EXPECT_TRUE(end_grant(writer, {"m/1", "k", 1}, kNow).has_value());
    EXPECT_TRUE(end_grant(writer, {"m/2", "k", 1}, kNow + std::chrono::hours{1}).has_value());
    EXPECT_TRUE(forget_old_ends(writer, kNow + std::chrono::hours{24}).has_value());
    EXPECT_TRUE(*add_grant(writer, {"m/1", "k", 1}));
    EXPECT_FALSE(*add_grant(writer, {"m/2", "k", 1}));
  });
}

TEST_F(KeyStoreTest, lease_ids_with_slashes_are_listed_whole) {
  write([](StorageWriter& writer) {
    EXPECT_TRUE(*add_grant(writer, {"a/b/creds/k/1", "k", 1}));
    EXPECT_TRUE(*add_grant(writer, {"a/b/creds/k/1/2", "k", 2}));
    const auto grants = all_grants(writer);
    ASSERT_TRUE(grants.has_value());
    ASSERT_EQ(grants->size(), 2u);
    EXPECT_EQ((*grants)[0].lease_id, "a/b/creds/k/1");
    EXPECT_EQ((*grants)[1].lease_id, "a/b/creds/k/1/2");
    EXPECT_EQ((*grants)[1].version, 2);
  });
}

TEST_F(KeyStoreTest, versions_pinned_by_leases_are_bounded) {
  write([](StorageWriter& writer) {
    KeyRecord record;
    for (std::size_t i = 1; i <= kVersionsMax; ++i) {
      const auto added = add_version(writer, "k", record, {{"value", std::to_string(i)}}, kNow);
      ASSERT_TRUE(added.has_value());
      const std::int64_t version = record.current_version;
      EXPECT_TRUE(*add_grant(writer, {"m/" + std::to_string(i), "k", version}));
    }
    const auto more = add_version(writer, "k", record, {{"value", "more"}}, kNow);
    ASSERT_FALSE(more.has_value());
    EXPECT_EQ(more.error().code, Errc::kOverloaded);
    EXPECT_THAT(more.error().message, ::testing::HasSubstr("end_leases=true"));
  });
}

TEST_F(KeyStoreTest, handles_are_read_back) {
  const Grant grant{"m/creds/k/1", "k", 3};
  const Handle handle = handle_of(grant);
  EXPECT_EQ(handle.resource, "k@3");
  const auto back = grant_of(handle);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->lease_id, grant.lease_id);
  EXPECT_EQ(back->name, "k");
  EXPECT_EQ(back->version, 3);
  EXPECT_EQ(grant_of({"k@3", Json::object()}).error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace curfew::engines::static_key
