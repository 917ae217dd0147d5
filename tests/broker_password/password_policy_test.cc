#include "broker/password/password_policy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/fakes/seeded_random.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

constexpr char kAllClasses[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

bool has_one_of(const std::string& text, const char* characters) {
  return text.find_first_of(characters) != std::string::npos;
}

class PasswordPolicyTest : public ::testing::Test {
 protected:
  PasswordPolicy parsed(const std::string& text) {
    auto policy = PasswordPolicy::parse(text, random_);
    if (!policy) {
      ADD_FAILURE() << policy.error().message;
      return PasswordPolicy::default_policy();
    }
    return *policy;
  }
  std::string generated(const PasswordPolicy& policy) {
    auto password = policy.generate(random_);
    if (!password) {
      ADD_FAILURE() << password.error().message;
      return {};
    }
    return password->reveal();
  }

  fakes::SeededRandom random_;
};

TEST_F(PasswordPolicyTest, the_default_has_every_class) {
  const auto policy = PasswordPolicy::default_policy();
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    const std::string password = generated(policy);
    EXPECT_EQ(password.size(), 20u);
    EXPECT_EQ(password.find_first_not_of(kAllClasses), std::string::npos);
    EXPECT_TRUE(has_one_of(password, "abcdefghijklmnopqrstuvwxyz"));
    EXPECT_TRUE(has_one_of(password, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    EXPECT_TRUE(has_one_of(password, "0123456789"));
    EXPECT_TRUE(has_one_of(password, "-"));
    seen.insert(password);
  }
  EXPECT_EQ(seen.size(), 500u);
}

TEST_F(PasswordPolicyTest, a_policy_in_hcl) {
  const auto policy = parsed("length=20\nrule \"charset\" { charset = \"abcdef\" min-chars = 1 }");
  const std::string password = generated(policy);
  EXPECT_EQ(policy.length(), 20u);
  EXPECT_EQ(password.size(), 20u);
  EXPECT_EQ(password.find_first_not_of("abcdef"), std::string::npos);
}

TEST_F(PasswordPolicyTest, the_same_policy_in_json) {
  for (const char* text :
       {R"({"length": 30, "rule": [{"charset": {"charset": "ab", "min-chars": 1}},
                                   {"charset": {"charset": "xy", "min-chars": 2}}]})",
        R"({"length": "30", "rule": {"charset": [{"charset": "ab", "min-chars": "1"},
                                                 {"charset": "xy", "min-chars": 2}]}})"}) {
    const std::string password = generated(parsed(text));
    EXPECT_EQ(password.size(), 30u);
    EXPECT_EQ(password.find_first_not_of("abxy"), std::string::npos);
    EXPECT_TRUE(has_one_of(password, "ab"));
    EXPECT_GE(std::count_if(password.begin(), password.end(),
                            [](char c) { return c == 'x' || c == 'y'; }),
              2);
  }
}

TEST_F(PasswordPolicyTest, minimums_are_kept_even_when_they_are_tight) {
  const auto policy = parsed(R"(
    length = 4
    rule "charset" { charset = "abcd" min-chars = 2 }
    rule "charset" { charset = "0123" min-chars = 2 }
  )");
  for (int i = 0; i < 200; ++i) {
    const std::string password = generated(policy);
    EXPECT_EQ(std::count_if(password.begin(), password.end(), ::isdigit), 2) << password;
  }
}

TEST_F(PasswordPolicyTest, every_password_that_fits_is_equally_likely) {
  // Of the 81 texts over "abc", those without an 'a' do not fit: 65 are left.
  const auto policy = parsed(R"(
    length = 4
    rule "charset" { charset = "a" min-chars = 1 }
    rule "charset" { charset = "bc" }
  )");
  constexpr int kPerPassword = 400;
  std::map<std::string, int> counts;
  for (int i = 0; i < 65 * kPerPassword; ++i) ++counts[generated(policy)];
  ASSERT_EQ(counts.size(), 65u);
  double chi_square = 0;
  for (const auto& [password, count] : counts) {
    EXPECT_TRUE(has_one_of(password, "a"));
    chi_square += (count - kPerPassword) * (count - kPerPassword) / double{kPerPassword};
  }
  // 64 degrees of freedom: above 112 once in 10,000 seeds.
  EXPECT_LT(chi_square, 112);
}

TEST_F(PasswordPolicyTest, a_character_named_twice_is_no_more_likely) {
  const auto policy = parsed(R"(
    length = 100
    rule "charset" { charset = "aaaaaaaaaaaab" }
    rule "charset" { charset = "ab" }
  )");
  std::ptrdiff_t found = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string password = generated(policy);
    found += std::count(password.begin(), password.end(), 'a');
  }
  EXPECT_GT(found, 4800);
  EXPECT_LT(found, 5200);
}

TEST_F(PasswordPolicyTest, length_counts_characters_and_not_bytes) {
  const auto policy = parsed("length = 10\nrule \"charset\" { charset = \"äöü€𝄞\" min-chars = 1 }");
  const std::string password = generated(policy);
  const auto starts = std::count_if(password.begin(), password.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  });
  EXPECT_EQ(starts, 10);
  EXPECT_GE(password.size(), 20u);
}

TEST_F(PasswordPolicyTest, bounds_of_the_length) {
  for (const int length : {4, 100})
    EXPECT_EQ(generated(parsed(fmt::format("length = {}\nrule \"charset\" {{ charset = \"ab\" }}",
                                           length)))
                  .size(),
              static_cast<std::size_t>(length));
  for (const char* length : {"3", "101", "0", "-1", "20.5", "\"long\"", "true", "[20]"}) {
    const auto policy = PasswordPolicy::parse(
        fmt::format("length = {}\nrule \"charset\" {{ charset = \"ab\" }}", length), random_);
    ASSERT_FALSE(policy.has_value()) << length;
    EXPECT_EQ(policy.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(policy.error().message, HasSubstr("length"));
  }
}

TEST_F(PasswordPolicyTest, what_is_wrong_is_named) {
  std::string all;
  for (int c = 0x4e00; c < 0x4e00 + 257; ++c) {
    all += static_cast<char>(0xe0 | c >> 12);
    all += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    all += static_cast<char>(0x80 | (c & 0x3f));
  }
  struct Case {
    std::string text;
    const char* named;
  };
  const Case cases[] = {
      {"", "length"},
      {"length = 20", "at least one rule"},
      {"rule \"charset\" { charset = \"ab\" }", "length"},
      {"length = 20 rule", "line 1"},
      {"length = 20\nrule \"regex\" { charset = \"ab\" }", "unknown rule"},
      {"length = 20\nrule \"charset\" { min-chars = 1 }", "charset is missing"},
      {"length = 20\nrule \"charset\" { charset = \"\" }", "charset is missing"},
      {"length = 20\nrule \"charset\" { charset = \"a\\n\" }", "not a printable character"},
      {"length = 20\nrule \"charset\" { charset = \"a\xc2\x85\" }", "not a printable character"},
      {"length = 20\nrule \"charset\" { charset = \"ab\" min-chars = -1 }", "min-chars"},
      {"length = 20\nrule \"charset\" { charset = \"ab\" min-chars = 101 }", "min-chars"},
      {"length = 20\nrule \"charset\" { charset = \"ab\" min_chars = 1 }", "min_chars"},
      {"length = 20\nlimit = 3\nrule \"charset\" { charset = \"ab\" }", "limit"},
      {"length = 4\nrule \"charset\" { charset = \"a\" min-chars = 3 }\n"
       "rule \"charset\" { charset = \"b\" min-chars = 2 }",
       "require at least 5 characters, but length is 4"},
      {"length = 20\nrule \"charset\" { charset = \"" + all + "\" }", "more than 256 different"},
      {"length = 20\nrule \"charset\" { charset = \"a\" min-chars = 20 }\n"
       "rule \"charset\" { charset = \"bcdefghijklmnop\" }",
       "hardly any password fits"}};
  for (const Case& item : cases) {
    const auto policy = PasswordPolicy::parse(item.text, random_);
    ASSERT_FALSE(policy.has_value()) << item.text.substr(0, 80);
    EXPECT_EQ(policy.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(policy.error().message, HasSubstr(item.named));
    EXPECT_THAT(policy.error().message, ::testing::StartsWith("invalid password policy: "));
  }
}

TEST_F(PasswordPolicyTest, too_much_text_is_refused) {
  EXPECT_FALSE(PasswordPolicy::parse(std::string(64 * 1024 + 1, ' '), random_).has_value());
  std::string many = "length = 20\n";
  for (int i = 0; i < 33; ++i) many += "rule \"charset\" { charset = \"ab\" }\n";
  EXPECT_THAT(PasswordPolicy::parse(many, random_).error().message, HasSubstr("at most 32 rules"));
}

}  // namespace
}  // namespace curfew::broker
