#include "base/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace curfew {
namespace {

TEST(Glob, matches_stars_and_nothing_else) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  const Case cases[] = {{"", "", true},
                        {"", "a", false},
                        {"a", "", false},
                        {"*", "", true},
                        {"*", "anything/at all", true},
                        {"**", "x", true},
                        {"abc", "abc", true},
                        {"abc", "abcd", false},
                        {"abc", "Abc", false},
                        {"a*", "a", true},
                        {"a*", "ba", false},
                        {"*c", "abc", true},
                        {"*c", "abcd", false},
                        {"a*c", "abbc", true},
                        {"a*c", "ac", true},
                        {"a*b*c", "a-b-b-c", true},
                        {"a*b*c", "a-c-b", false},
                        {"*ab*ab*", "xabab", true},
                        {"*ab*ab*", "xab", false},
                        {"a?c", "abc", false},
                        {"a?c", "a?c", true},
                        {"[ab]", "a", false},
                        {"a.c", "abc", false},
                        {"\\*", "*", false},
                        {"team-*/db", "team-a/b/db", true}};
  for (const Case& item : cases)
    EXPECT_EQ(glob_match(item.pattern, item.text), item.matches)
        << item.pattern << " against " << item.text;
}

TEST(Glob, many_stars_cost_no_more_than_the_product_of_the_lengths) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "a*";
  pattern += "b";
  EXPECT_FALSE(glob_match(pattern, std::string(20'000, 'a')));
}

}  // namespace
}  // namespace curfew
