#include "engines/kv/key_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew::engines::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const WallTime kNow = from_unix_millis(1'800'000'000'123);

TEST(KeyMetadata, drops_the_oldest_beyond_ten_by_default) {
  KeyMetadata meta;
  for (int i = 1; i <= 10; ++i) EXPECT_THAT(meta.add_version(kNow, {}), IsEmpty());
  EXPECT_EQ(meta.oldest_version, 0);
  EXPECT_THAT(meta.add_version(kNow, {}), ElementsAre(1));
  EXPECT_EQ(meta.current_version, 11);
  EXPECT_EQ(meta.oldest_version, 2);
  EXPECT_EQ(meta.find(1), nullptr);
  EXPECT_NE(meta.find(2), nullptr);
}

TEST(KeyMetadata, its_own_bound_wins_over_the_mounts) {
  KeyMetadata meta;
  MountConfig config;
  config.max_versions = 3;
  for (int i = 1; i <= 3; ++i) EXPECT_THAT(meta.add_version(kNow, config), IsEmpty());
  EXPECT_THAT(meta.add_version(kNow, config), ElementsAre(1));
  meta.max_versions = 1;
  EXPECT_THAT(meta.add_version(kNow, config), ElementsAre(2, 3, 4));
  EXPECT_EQ(meta.oldest_version, 5);
}

TEST(KeyMetadata, a_raised_bound_keeps_more_from_then_on) {
  KeyMetadata meta;
  meta.max_versions = 1;
  (void)meta.add_version(kNow, {});
  (void)meta.add_version(kNow, {});
  meta.max_versions = 3;
  EXPECT_THAT(meta.add_version(kNow, {}), IsEmpty());
  EXPECT_EQ(meta.versions.size(), 2u);
  EXPECT_EQ(meta.oldest_version, 2);
}

TEST(KeyMetadata, the_shorter_deletion_setting_counts) {
  struct Case {
    Seconds mount, own;
    std::optional<Seconds> expected;
  };
  const Case cases[] = {
      {Seconds{0}, Seconds{0}, std::nullopt},  {Seconds{60}, Seconds{0}, Seconds{60}},
      {Seconds{0}, Seconds{30}, Seconds{30}},  {Seconds{60}, Seconds{30}, Seconds{30}},
      {Seconds{30}, Seconds{60}, Seconds{30}}, {Seconds{-1}, Seconds{60}, std::nullopt},
      {Seconds{-1}, Seconds{0}, std::nullopt}};
  for (const Case& item : cases) {
    KeyMetadata meta;
    meta.delete_version_after = item.own;
    MountConfig config;
    config.delete_version_after = item.mount;
    const auto found = meta.deletion_from(kNow, config);
    ASSERT_EQ(found.has_value(), item.expected.has_value());
    if (found) {
      EXPECT_EQ(*found, kNow + *item.expected);
    }
  }
}

TEST(KeyMetadata, survives_storing) {
  KeyMetadata meta;
  meta.max_versions = 2;
  meta.cas_required = true;
  meta.delete_version_after = Seconds{90};
  meta.custom = {{"owner", "ada"}};
  for (int i = 0; i < 4; ++i) (void)meta.add_version(kNow + Seconds{i}, {});
  meta.versions[3].destroyed = true;
  const auto read = KeyMetadata::from_json(Json::parse(meta.to_json().dump()));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->to_json(), meta.to_json());
  EXPECT_EQ(read->describe(), meta.describe());
  EXPECT_EQ(read->created, kNow);
  EXPECT_EQ(read->versions.at(4).deletion, kNow + Seconds{93});
}

TEST(KeyMetadata, damaged_records_are_errors) {
  for (const char* text :
       {"null", "{}", R"({"versions":[]})", R"({"versions":{"x":{"created":1}}})",
        R"({"versions":{"1":{}}})", R"({"versions":{"1x":{"created":1}}})",
        R"({"versions":{},"current_version":"one"})", R"({"versions":{},"custom":"x"})"})
    EXPECT_FALSE(KeyMetadata::from_json(Json::parse(text)).has_value()) << text;
}

TEST(CustomMetadata, keeps_strings_and_turns_scalars_into_them) {
  EXPECT_EQ(check_custom_metadata({{"a", "b"}, {"n", 3}, {"t", true}}, false).value(),
            Json({{"a", "b"}, {"n", "3"}, {"t", "true"}}));
  EXPECT_EQ(check_custom_metadata({{"a", nullptr}}, true).value(), Json({{"a", nullptr}}));
}

TEST(CustomMetadata, is_bounded) {
  Json many = Json::object();
  for (int i = 0; i < 64; ++i) many["key-" + std::to_string(i)] = "v";
  EXPECT_TRUE(check_custom_metadata(many, false).has_value());
  many["one more"] = "v";
  EXPECT_THAT(check_custom_metadata(many, false).error().message, HasSubstr("at most 64 keys"));

  const Json bad[] = {Json("text"),
                      Json::array({"a=b"}),
                      {{"", "v"}},
                      {{std::string(129, 'k'), "v"}},
                      {{"k", ""}},
                      {{"k", nullptr}},
                      {{"k", std::string(513, 'v')}},
                      {{"k", {{"nested", 1}}}},
                      {{"k\n", "v"}},
                      {{"k", "v\x1b"}}};
  for (const Json& value : bad) {
    const auto checked = check_custom_metadata(value, false);
    ASSERT_FALSE(checked.has_value()) << value.dump();
    EXPECT_EQ(checked.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(checked.error().message, HasSubstr("custom_metadata validation failed"));
  }
  EXPECT_TRUE(
      check_custom_metadata({{std::string(128, 'k'), std::string(512, 'v')}}, false).has_value());
}

}  // namespace
}  // namespace curfew::engines::kv
