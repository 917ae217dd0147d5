#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace curfew {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;

// Runs `get` on {"f": value} for values that it must take, and for those that it must not.
template <class T, class Get>
void expect_reads(Get get, const std::vector<std::pair<const char*, T>>& taken,
                  const std::vector<const char*>& refused) {
  for (const auto& [text, expected] : taken) {
    const Json object{{"f", Json::parse(text)}};
    const auto found = get(Fields(object));
    ASSERT_TRUE(found.has_value()) << text << ": " << found.error().message;
    ASSERT_TRUE(found->has_value()) << text;
    EXPECT_EQ(**found, expected) << text;
  }
  for (const char* text : refused) {
    const Json object{{"f", Json::parse(text)}};
    const auto found = get(Fields(object));
    ASSERT_FALSE(found.has_value()) << text;
    EXPECT_EQ(found.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(found.error().message, HasSubstr("field \"f\": expected")) << text;
  }
  for (const Json& object : {Json::object(), Json({{"f", nullptr}}), Json({{"g", 1}}), Json(),
                             Json("text"), Json::array({1})}) {
    const auto found = get(Fields(object));
    ASSERT_TRUE(found.has_value()) << object.dump();
    EXPECT_FALSE(found->has_value()) << object.dump();
  }
}

TEST(Fields, text) {
  expect_reads<std::string>([](const Fields& fields) { return fields.text("f"); },
                            {{R"("a")", "a"},
                             {R"("")", ""},
                             {"7", "7"},
                             {"-1.5", "-1.5"},
                             {"18446744073709551615", "18446744073709551615"},
                             {"true", "true"},
                             {"false", "false"}},
                            {"[]", R"(["a"])", "{}"});
}

TEST(Fields, integer) {
  expect_reads<std::int64_t>(
      [](const Fields& fields) { return fields.integer("f"); },
      {{"0", 0},
       {"-7", -7},
       {R"("42")", 42},
       {R"("-42")", -42},
       {"3.0", 3},
       {"1e3", 1000},
       {"9223372036854775807", INT64_MAX},
       {R"("9223372036854775807")", INT64_MAX}},
      {"1.5", "9223372036854775808", R"("9223372036854775808")", "1e300", R"("1.5")", R"("seven")",
       R"("7 ")", R"(" 7")", R"("0x7")", "true", "[]", "[7]", "{}"});
  const Json empty{{"f", ""}};
  EXPECT_FALSE(Fields(empty).integer("f").value().has_value());
}

TEST(Fields, boolean) {
  expect_reads<bool>([](const Fields& fields) { return fields.boolean("f"); },
                     {{"true", true},
                      {"false", false},
                      {R"("true")", true},
                      {R"("False")", false},
                      {R"("1")", true},
                      {"1", true},
                      {"0", false},
                      {R"("t")", true},
                      {R"("F")", false}},
                     {R"("yes")", R"("maybe")", "2", "-1", "1.5", "[]", "{}"});
  const Json empty{{"f", ""}};
  EXPECT_FALSE(Fields(empty).boolean("f").value().has_value());
}

TEST(Fields, duration) {
  expect_reads<Millis>([](const Fields& fields) { return fields.duration("f"); },
                       {{"0", Millis{0}},
                        {"90", Seconds{90}},
                        {R"("90")", Seconds{90}},
                        {R"("15m")", Seconds{900}},
                        {R"("1h0m0s")", Seconds{3600}},
                        {"1.5", Millis{1500}},
                        {R"("5d")", Seconds{432'000}}},
                       {"-1", R"("-1s")", R"("soon")", "true", "1e300", "[]", "{}"});
  const Json empty{{"f", ""}};
  EXPECT_FALSE(Fields(empty).duration("f").value().has_value());
}

TEST(Fields, comma_list) {
  expect_reads<Texts>([](const Fields& fields) { return fields.comma_list("f"); },
                      {{R"("a,b")", {"a", "b"}},
                       {R"(" a , b ,, ")", {"a", "b"}},
                       {R"("")", {}},
                       {R"(",")", {}},
                       {R"("a")", {"a"}},
                       {"7", {"7"}},
                       {R"(["a","b,c"," d ",1,true,""])", {"a", "b,c", "d", "1", "true"}},
                       {"[]", {}}},
                      {"{}", R"([["a"]])", R"([{"a":1}])", "[null]"});
}

TEST(Fields, string_list) {
  expect_reads<Texts>([](const Fields& fields) { return fields.string_list("f"); },
                      {{R"("a,b; c")", {"a,b; c"}},
                       {R"("")", {}},
                       {R"(["a","b"])", {"a", "b"}},
                       {R"("[\"a\",\"b\"]")", {"a", "b"}},
                       {R"("[not json")", {"[not json"}},
                       {R"([" a ",""])", {" a ", ""}},
                       {"7", {"7"}}},
                      {"{}", R"([["a"]])", R"("[[1]]")"});
}

TEST(Fields, text_map) {
  expect_reads<TextMap>([](const Fields& fields) { return fields.text_map("f"); },
                        {{R"({"a":"b","n":1,"t":true})", {{"a", "b"}, {"n", "1"}, {"t", "true"}}},
                         {"{}", {}},
                         {R"(["a=b","c=d=e","f="])", {{"a", "b"}, {"c", "d=e"}, {"f", ""}}},
                         {R"("a=b")", {{"a", "b"}}},
                         {R"("")", {}}},
                        {R"({"a":{}})", R"({"a":null})", R"(["a"])", R"("a")", "7"});
}

TEST(Fields, object) {
  expect_reads<Json>([](const Fields& fields) { return fields.object("f"); },
                     {{"{}", Json::object()}, {R"({"a":[1]})", {{"a", {1}}}}},
                     {"[]", R"("{}")", "7", "true"});
}

TEST(Fields, defaults_stand_in_for_absence_and_not_for_errors) {
  const Json object{{"n", "x"}, {"nothing", nullptr}};
  const Fields fields(object);
  EXPECT_EQ(fields.text_or("absent", "d").value(), "d");
  EXPECT_EQ(fields.text_or("nothing", "d").value(), "d");
  EXPECT_EQ(fields.text_or("n", "d").value(), "x");
  EXPECT_EQ(fields.integer_or("absent", 7).value(), 7);
  EXPECT_FALSE(fields.integer_or("n", 7).has_value());
  EXPECT_EQ(fields.boolean_or("absent", true).value(), true);
  EXPECT_FALSE(fields.boolean_or("n", true).has_value());
  EXPECT_EQ(fields.duration_or("absent", Seconds{3}).value(), Seconds{3});
  EXPECT_FALSE(fields.duration_or("n", Seconds{3}).has_value());
  EXPECT_TRUE(fields.has("n"));
  EXPECT_FALSE(fields.has("nothing"));
  EXPECT_FALSE(fields.has("absent"));
}

}  // namespace
}  // namespace curfew
