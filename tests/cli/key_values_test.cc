#include "cli/key_values.h"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/cli/cli_runner.h"

namespace curfew::cli {
namespace {

Result<Json> parse(const std::vector<std::string>& words, const std::string& input = "") {
  std::istringstream in(input);
  return parse_key_values(words, in);
}

TEST(KeyValues, ValuesStayTextAndMayHoldEqualsSigns) {
  EXPECT_EQ(*parse({"a=1", "b=x=y", "c="}), (Json{{"a", "1"}, {"b", "x=y"}, {"c", ""}}));
}

TEST(KeyValues, AKeyThatComesTwiceHasAList) {
  EXPECT_EQ(*parse({"a=1", "a=2", "a=3"}), (Json{{"a", Json::array({"1", "2", "3"})}}));
}

TEST(KeyValues, FilesAndStandardInputAreRead) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("value", "line 1\nline 2\n");
  EXPECT_EQ(*parse({"a=@" + path, "b=-", "c=\\@" + path}, "typed\n"),
            (Json{{"a", "line 1\nline 2\n"}, {"b", "typed\n"}, {"c", "@" + path}}));
  const std::string json = directory.file("json", R"({"x": [1], "y": true})");
  EXPECT_EQ(*parse({"@" + json, "y=no"}),
            (Json{{"x", Json::array({1})}, {"y", Json::array({true, "no"})}}));
  EXPECT_EQ(*parse({"-"}, R"({"x": 1})"), (Json{{"x", 1}}));
}

TEST(KeyValues, AValueThatEndsInADashIsNotStandardInput) {
  EXPECT_EQ(*parse({"a=x=-", "b=y-"}, "unread"), (Json{{"a", "x=-"}, {"b", "y-"}}));
}

TEST(KeyValues, WhatCannotBeReadIsAnErrorThatNamesIt) {
  const testing::TemporaryDirectory directory;
  const auto error = [](const Result<Json>& result) {
    return result ? std::string() : result.error().message;
  };
  EXPECT_NE(error(parse({"novalue"})).find("\"novalue\" is not in the form KEY=VALUE"),
            std::string::npos);
  EXPECT_NE(error(parse({"=x"})).find("KEY=VALUE"), std::string::npos);
  EXPECT_NE(error(parse({"a=@/nowhere/at/all"})).find("/nowhere/at/all"), std::string::npos);
  EXPECT_NE(error(parse({"a=@" + directory.path()})).find("cannot read"), std::string::npos);
  EXPECT_NE(error(parse({"-"}, "[1]")).find("one JSON object"), std::string::npos);
  EXPECT_NE(error(parse({"-"}, "{oops")).find("standard input is not JSON"), std::string::npos);
  EXPECT_NE(error(parse({"a=-", "b=-"}, "x")).find("once"), std::string::npos);
}

TEST(KeyValues, StandardInputIsBounded) {
  const Result<Json> result = parse({"a=-"}, std::string((32U << 20) + 1, 'x'));
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("32 MiB"), std::string::npos);
}

TEST(KeyValues, VersionsAreNumbers) {
  const auto list = [](const std::vector<std::string>& texts) { return versions_list(texts); };
  EXPECT_EQ(*list({"1,2", "7"}), Json::array({"1", "2", "7"}));
  EXPECT_EQ(*list({}), Json::array());
  for (const char* bad : {"", "0", "1,", "a", "-1", "1 2"}) {
    EXPECT_FALSE(list({bad}).has_value()) << bad;
  }
}

}  // namespace
}  // namespace curfew::cli
