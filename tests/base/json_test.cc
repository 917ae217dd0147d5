#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ParseJson, reads_values) {
  EXPECT_EQ(parse_json("null").value(), Json(nullptr));
  EXPECT_EQ(parse_json(R"( {"a": [1, -2, 1.5, true, "x\u00e4\ud834\udd1e", {}, []]} )").value(),
            Json({{"a", {1, -2, 1.5, true, "xä𝄞", Json::object(), Json::array()}}}));
  EXPECT_EQ(parse_json(R"({"a":1,"a":{"b":2},"a":{"c":3}})").value(), Json({{"a", {{"c", 3}}}}));
  EXPECT_EQ(parse_json("18446744073709551615").value().get<std::uint64_t>(), UINT64_MAX);
  EXPECT_EQ(parse_json("-9223372036854775808").value().get<std::int64_t>(), INT64_MIN);
}

TEST(ParseJson, siblings_of_nested_values_land_where_they_belong) {
  EXPECT_EQ(parse_json(R"({"a":{"b":[{"c":1},{"d":2}],"e":3},"f":[[1],[2,[3]]],"g":4})").value(),
            Json::parse(R"({"a":{"b":[{"c":1},{"d":2}],"e":3},"f":[[1],[2,[3]]],"g":4})"));
}

TEST(ParseJson, errors_name_the_place_and_never_the_text) {
  struct Case {
    const char* text;
    const char* place;
  };
  const Case cases[] = {{"", "line 1, column 1"},
                        {"{", "line 1, column 2"},
                        {"{\"hunter2\" 1}", "line 1, column 12"},
                        {"{\"a\": hunter2}", "line 1, column 7"},
                        {"{\n  \"a\": 1,\n  hunter2\n}", "line 3, column 3"},
                        {"{\"a\": \"hunter2\n\"}", "line 1, column 15"},
                        {"[1,]", "line 1, column 4"},
                        {"[1] [2]", "line 1, column 5"},
                        {"\"\xff\"", "line 1, column 2"}};
  for (const Case& item : cases) {
    const auto parsed = parse_json(item.text);
    ASSERT_FALSE(parsed.has_value()) << item.text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr(item.place)) << item.text;
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("hunter2")));
  }
}

TEST(ParseJson, refuses_what_only_looks_like_json) {
  for (const char* text :
       {"{'a':1}", "{a:1}", "[1,2", "01", "+1", ".5", "1.", "1e999", "nul", "True", "NaN",
        "// x\n1", "\"\\x41\"", "\"\\ud834\"", "\"\t\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\""})
    EXPECT_FALSE(parse_json(text).has_value()) << text;
  EXPECT_FALSE(parse_json(std::string_view("1\0", 2)).has_value());
}

TEST(ParseJson, depth_is_bounded) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(64)).has_value());
  EXPECT_THAT(parse_json(nested(65)).error().message, HasSubstr("deeper than 64"));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')).has_value());
  EXPECT_TRUE(parse_json(nested(3), {.depth_max = 3}).has_value());
  EXPECT_FALSE(parse_json(R"({"a":{"b":{"c":{}}}})", {.depth_max = 3}).has_value());
}

TEST(ParseJson, the_number_of_values_is_bounded) {
  const JsonLimits limits{.values_max = 4};
  EXPECT_TRUE(parse_json("[1,2,3]", limits).has_value());
  EXPECT_FALSE(parse_json("[1,2,3,4]", limits).has_value());
  EXPECT_FALSE(parse_json("[[],[],[],[]]", limits).has_value());
  EXPECT_FALSE(parse_json(R"({"a":1,"b":2})", limits).has_value());
  EXPECT_THAT(parse_json(R"({"a":1,"a":2})", limits).error().message, HasSubstr("more than 4"));
}

TEST(DumpJson, never_fails) {
  EXPECT_EQ(dump_json({{"b", 1}, {"a", "ä"}}), R"({"a":"ä","b":1})");
  EXPECT_EQ(dump_json(Json("a\xff"
                           "b")),
            "\"a\xef\xbf\xbd"
            "b\"");
}

}  // namespace
}  // namespace curfew
