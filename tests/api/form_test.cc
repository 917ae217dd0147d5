#include "api/form.h"

#include <gtest/gtest.h>

namespace curfew::api {
namespace {

TEST(FormTest, DecodesPairs) {
  EXPECT_EQ(*parse_form(""), Json::object());
  EXPECT_EQ(*parse_form("a=1&b=x%20y&c=p+q&d&e=&&f=%3D%26"),
            Json({{"a", "1"}, {"b", "x y"}, {"c", "p q"}, {"d", ""}, {"e", ""}, {"f", "=&"}}));
  EXPECT_EQ(*parse_form("a=b=c"), Json({{"a", "b=c"}}));
}

TEST(FormTest, ARepeatedNameBecomesAList) {
  EXPECT_EQ(*parse_form("a=1&a=2&a=3&b=4"), Json({{"a", {"1", "2", "3"}}, {"b", "4"}}));
}

TEST(FormTest, RefusesWhatItCannotRead) {
  for (const char* text : {"a=%", "a=%4", "a=%zz", "%g1=a", "a=%ff", "a=%c0%80"}) {
    const auto parsed = parse_form(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
  }
}

TEST(FormTest, CountsItsPairs) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "a=1&";
  EXPECT_TRUE(parse_form(text));
  EXPECT_FALSE(parse_form(text + "b=1"));
}

TEST(FormTest, KnowsUtf8) {
  for (const char* good : {"", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x91"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

}  // namespace
}  // namespace curfew::api
