#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace curfew::cli {
namespace {

const std::vector<Flag>& flags() {
  static const std::vector<Flag> known = {
      {{"format"}, FlagKind::kText, "", "", {"table", "json"}},
      {{"force", "f"}, FlagKind::kSwitch, ""},
      {{"cas"}, FlagKind::kInteger, ""},
      {{"ttl"}, FlagKind::kDuration, ""},
      {{"policy"}, FlagKind::kList, ""},
      {{"wait"}, FlagKind::kWait, ""},
  };
  return known;
}

Result<Arguments> parse(const std::vector<std::string>& words) {
  return parse_arguments(flags(), words);
}

std::string error_of(const std::vector<std::string>& words) {
  const Result<Arguments> arguments = parse(words);
  EXPECT_FALSE(arguments.has_value());
  if (arguments) return "";
  EXPECT_EQ(arguments.error().code, Errc::kInvalidArgument);
  return arguments.error().message;
}

TEST(Arguments, FlagsStandBeforeAndAfterWordsWithOneDashOrTwo) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"-format=json", "-cas=3", "a", "b"},
                                             {"a", "-format", "json", "b", "-cas", "3"},
                                             {"a", "b", "--format=json", "--cas", "3"}}) {
    const Result<Arguments> arguments = parse(words);
    ASSERT_TRUE(arguments.has_value());
    EXPECT_EQ(arguments->text("format"), "json");
    EXPECT_EQ(arguments->integer("cas"), 3);
    EXPECT_EQ(arguments->words(), (std::vector<std::string>{"a", "b"}));
  }
}

TEST(Arguments, ASwitchNeverTakesTheNextWord) {
  const Result<Arguments> arguments = parse({"-f", "path"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_TRUE(arguments->on("force"));
  EXPECT_EQ(arguments->words(), std::vector<std::string>{"path"});
  EXPECT_FALSE(parse({"-force=false"})->on("force", true));
  EXPECT_TRUE(parse({})->on("force", true));
  EXPECT_NE(error_of({"-force=perhaps"}).find("true or false"), std::string::npos);
}

TEST(Arguments, AWaitTakesADurationOrNothingAndNeverTheNextWord) {
  const Result<Arguments> plain = parse({"-wait", "5m"});
  ASSERT_TRUE(plain.has_value());
  EXPECT_TRUE(plain->has("wait"));
  EXPECT_EQ(plain->duration("wait"), std::nullopt);
  EXPECT_EQ(plain->words(), std::vector<std::string>{"5m"});
  EXPECT_EQ(parse({"--wait=5m"})->duration("wait"), Millis{300'000});
  EXPECT_NE(error_of({"-wait=long"}).find("duration"), std::string::npos);
}

TEST(Arguments, AValueMayLookLikeAFlagOrANegativeNumber) {
  EXPECT_EQ(parse({"-cas", "-1"})->integer("cas"), -1);
  EXPECT_EQ(parse({"-cas=-1"})->integer("cas"), -1);
  EXPECT_EQ(parse({"-policy", "-odd"})->list("policy"), std::vector<std::string>{"-odd"});
}

TEST(Arguments, TheLastOfATextCountsAndAListKeepsAll) {
  const Result<Arguments> arguments =
      parse({"-format=table", "-format=json", "-policy=a", "-policy", "b=c"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_EQ(arguments->text("format"), "json");
  EXPECT_EQ(arguments->list("policy"), (std::vector<std::string>{"a", "b=c"}));
}

TEST(Arguments, ADashIsAWordAndTwoDashesEndTheFlags) {
  const Result<Arguments> arguments = parse({"-", "--", "-force", "--"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_EQ(arguments->words(), (std::vector<std::string>{"-", "-force", "--"}));
  EXPECT_FALSE(arguments->has("force"));
}

TEST(Arguments, DurationsAreReadAndMayNotBeNegative) {
  EXPECT_EQ(parse({"-ttl=90"})->duration("ttl"), Millis{90'000});
  EXPECT_EQ(parse({"-ttl=1h30m"})->duration("ttl"), Millis{5'400'000});
  EXPECT_EQ(parse({})->duration("ttl"), std::nullopt);
  EXPECT_NE(error_of({"-ttl=-5m"}).find("duration"), std::string::npos);
  EXPECT_NE(error_of({"-ttl=soon"}).find("duration"), std::string::npos);
}

TEST(Arguments, AnUnknownFlagIsAnErrorThatNamesTheNearest) {
  EXPECT_NE(error_of({"-formt=json"}).find("did you mean -format?"), std::string::npos);
  const std::string far = error_of({"-zzzzzzzz"});
  EXPECT_NE(far.find("no flag \"-zzzzzzzz\""), std::string::npos);
  EXPECT_EQ(far.find("did you mean"), std::string::npos);
  // What was typed behind the equals sign may be a secret.
  EXPECT_EQ(error_of({"-pasword=hunter2"}).find("hunter2"), std::string::npos);
}

TEST(Arguments, MalformedAndMissingValuesAreErrors) {
  EXPECT_NE(error_of({"-cas=three"}).find("whole number"), std::string::npos);
  EXPECT_NE(error_of({"-cas=99999999999999999999"}).find("whole number"), std::string::npos);
  EXPECT_NE(error_of({"-format=xml"}).find("one of table, json"), std::string::npos);
  EXPECT_NE(error_of({"-format"}).find("needs a value"), std::string::npos);
}

TEST(Arguments, HelpIsNoticedAnywhere) {
  for (const char* word : {"-h", "-help", "--help"}) {
    EXPECT_TRUE(parse({"a", word})->wants_help());
  }
  EXPECT_FALSE(parse({"a", "--", "-h"})->wants_help());
}

TEST(Arguments, LeadingFlagsAreCountedWithTheirValues) {
  const auto count = [](const std::vector<std::string>& words) {
    return leading_flags(flags(), words);
  };
  EXPECT_EQ(count({"read", "-force"}), 0U);
  EXPECT_EQ(count({"-format", "json", "-f", "read"}), 3U);
  EXPECT_EQ(count({"-format=json", "read"}), 1U);
  EXPECT_EQ(count({"-unknown", "read"}), 0U);
  EXPECT_EQ(count({"-format"}), 0U);
  EXPECT_EQ(count({"-", "read"}), 0U);
}

TEST(Nearest, FindsASlipAndLeavesTheRest) {
  const std::vector<std::string> words = {"read", "write", "kv get"};
  EXPECT_EQ(nearest("raed", words), "read");
  EXPECT_EQ(nearest("kv gte", words), "kv get");
  EXPECT_EQ(nearest("something", words), "");
  EXPECT_EQ(nearest(std::string(1000, 'x'), words), "");
}

}  // namespace
}  // namespace curfew::cli
