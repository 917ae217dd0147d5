#include "engines/static_key/key_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew::engines::static_key {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(KeyChanges, a_secret_is_a_text_or_a_map_of_texts) {
  EXPECT_EQ(read_changes({{"value", "abc"}})->secret, Json({{"value", "abc"}}));
  EXPECT_EQ(read_changes({{"value", 42}})->secret, Json({{"value", "42"}}));
  EXPECT_EQ(read_changes({{"value", {{"id", "a"}, {"n", 1}}}})->secret,
            Json({{"fields", {{"id", "a"}, {"n", "1"}}}}));
  EXPECT_FALSE(read_changes(Json::object())->secret.has_value());
  EXPECT_FALSE(read_changes({{"value", nullptr}})->secret.has_value());
}

TEST(KeyChanges, what_is_no_secret_is_refused_without_repeating_it) {
  Json many = Json::object();
  for (int i = 0; i < 65; ++i) many["f" + std::to_string(i)] = "hunter2";
  const Json bad[] = {{{"value", ""}},
                      {{"value", Json::object()}},
                      {{"value", {"hunter2", "hunter2"}}},
                      {{"value", {{"a", {{"hunter2", "hunter2"}}}}}},
                      {{"value", {{"a", nullptr}}}},
                      {{"value", {{"", "hunter2"}}}},
                      {{"value", {{"a\n", "hunter2"}}}},
                      {{"value", many}},
                      {{"value", "hunter2" + std::string(64 * 1024, 'x')}}};
  for (const Json& request : bad) {
    const auto changes = read_changes(request);
    ASSERT_FALSE(changes.has_value()) << request.dump().substr(0, 80);
    EXPECT_EQ(changes.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(changes.error().message, HasSubstr("\"value\""));
    EXPECT_THAT(changes.error().message, Not(HasSubstr("hunter2")));
  }
}

TEST(KeyChanges, settings_are_bounded_and_named) {
  struct Case {
    Json request;
    const char* named;
  };
  Json many = Json::object();
  for (int i = 0; i < 65; ++i) many["f" + std::to_string(i)] = "v";
  const Case cases[] = {{{{"type", std::string(65, 't')}}, "\"type\""},
                        {{{"type", "a\nb"}}, "\"type\""},
                        {{{"description", std::string(1025, 'd')}}, "\"description\""},
                        {{{"metadata", many}}, "\"metadata\""},
                        {{{"metadata", {{"k", std::string(513, 'v')}}}}, "\"metadata\""},
                        {{{"metadata", 7}}, "\"metadata\""},
                        {{{"default_ttl", "-1s"}}, "\"default_ttl\""},
                        {{{"max_ttl", "soon"}}, "\"max_ttl\""},
                        {{{"keep_versions", 0}}, "\"keep_versions\""},
                        {{{"keep_versions", 21}}, "\"keep_versions\""}};
  for (const Case& item : cases) {
    const auto changes = read_changes(item.request);
    ASSERT_FALSE(changes.has_value()) << item.named;
    EXPECT_THAT(changes.error().message, HasSubstr(item.named));
  }
}

TEST(KeyChanges, the_default_may_not_outlive_the_maximum) {
  KeyRecord record;
  EXPECT_TRUE(apply_settings(*read_changes({{"default_ttl", "1h"}, {"max_ttl", "1h"}}), record));
  const Status longer = apply_settings(*read_changes({{"default_ttl", "61m"}}), record);
  ASSERT_FALSE(longer.has_value());
  EXPECT_THAT(longer.error().message, HasSubstr("1h1m0s is longer than max_ttl, which is 1h0m0s"));
  EXPECT_TRUE(apply_settings(*read_changes({{"max_ttl", 0}, {"default_ttl", "61m"}}), record));
}

TEST(KeyRecord, survives_storing) {
  KeyRecord record;
  record.type = "api_key";
  record.description = "billing";
  record.metadata = {{"owner", "ada"}};
  record.default_ttl = Seconds{60};
  record.max_ttl = Seconds{600};
  record.keep_versions = 3;
  record.current_version = 2;
  record.versions[1] = {from_unix_millis(1'800'000'000'001), from_unix_millis(1'800'000'000'002)};
  record.versions[2] = {from_unix_millis(1'800'000'000'002), std::nullopt};
  const auto read = KeyRecord::from_json(Json::parse(record.to_json().dump()));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->to_json(), record.to_json());
  EXPECT_EQ(read->max_ttl, Seconds{600});
}

TEST(KeyRecord, damaged_records_are_errors) {
  for (const char* text : {"{}", "[]", R"({"versions":[]})", R"({"versions":{"a":{"created":1}}})",
                           R"({"versions":{"1":{}}})", R"({"versions":{},"keep_versions":"x"})"})
    EXPECT_FALSE(KeyRecord::from_json(Json::parse(text)).has_value()) << text;
}

}  // namespace
}  // namespace curfew::engines::static_key
