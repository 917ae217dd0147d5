#include "engines/postgres/username.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/seeded_random.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

const WallTime kNow = from_unix_millis(1'800'000'000'123);

class Template : public ::testing::Test {
 protected:
  std::string name(std::string_view text) {
    const auto made = templated_username(text, {"token-ci", "Read-Only", kNow}, random_);
    EXPECT_TRUE(made.has_value()) << text << ": " << (made ? "" : made.error().message);
    return made ? *made : "";
  }
  std::string problem(std::string_view text) {
    const auto made = templated_username(text, {"token-ci", "Read-Only", kNow}, random_);
    EXPECT_FALSE(made.has_value()) << text << " gave " << (made ? *made : "");
    return made ? "" : made.error().message;
  }
  fakes::SeededRandom random_;
};

TEST(DefaultUsername, names_role_and_lease) {
  EXPECT_EQ(default_username("ro", "database/creds/ro/wtFVysxzS554rFheh929Gzty"),
            "cf-ro-wtFVysxzS554rFheh929Gzty");
}

TEST(DefaultUsername, fits_and_stays_unique_for_long_roles) {
  const std::string role(200, 'r');
  const std::string one = default_username(role, "m/creds/x/wtFVysxzS554rFheh929Gzt1");
  const std::string two = default_username(role, "m/creds/x/wtFVysxzS554rFheh929Gzt2");
  EXPECT_EQ(one.size(), kRoleNameBytesMax);
  EXPECT_NE(one, two);
}

TEST(DefaultUsername, cannot_leave_quotes_or_begin_a_comment) {
  EXPECT_EQ(default_username("a--b\"'$", "x/l1"), "cf-a-b___-l1");
  EXPECT_THAT(default_username("a", "x/with.nsid/\"; DROP"), MatchesRegex("cf-a-[0-9a-f]{24}"));
  EXPECT_EQ(default_username("a", "x/" + std::string(90, 'l')).size(), 29u);
}

TEST_F(Template, vaults_own_default_works) {
  EXPECT_THAT(name("{{ printf \"v-%s-%s-%s-%s\" (.DisplayName | truncate 8) (.RoleName | truncate "
                   "8) (random 20) (unix_time) | truncate 63 }}"),
              MatchesRegex("v-token-ci-Read-Onl-[0-9A-Za-z]{20}-1800000000"));
}

TEST_F(Template, functions) {
  EXPECT_EQ(name("x_{{.RoleName | lowercase}}_{{ uppercase .DisplayName }}"),
            "x_read-only_TOKEN-CI");
  EXPECT_EQ(name("{{ .RoleName | replace \"-\" \"_\" | truncate 6 }}"), "Read_O");
  EXPECT_EQ(name("{{ truncate_sha256 10 \"abcdefghijklmnop\" }}").size(), 10u);
  EXPECT_EQ(name("{{ truncate_sha256 10 `abc` }}"), "abc");
  EXPECT_EQ(name("{{ sha256 \"abc\" | truncate 8 }}"), "ba7816bf");
  EXPECT_EQ(name("a{{ unix_time_millis }}"), "a1800000000123");
  EXPECT_EQ(name("{{ timestamp }}"), "2027-01-15T08:00:00Z");
  EXPECT_EQ(name("{{ printf \"%d%%%v\" 7 \"x\" }}"), "7_x");
  EXPECT_EQ(name("a {{- \"b\" -}} c"), "abc");
  EXPECT_EQ(name("{{ uuid }}").size(), 36u);
  EXPECT_EQ(name("{{ random 12 }}").size(), 12u);
  EXPECT_EQ(name("{{ base64 \"abc\" }}"), "YWJj");
}

TEST_F(Template, foreign_characters_become_harmless) {
  EXPECT_EQ(name("a\"b'c$d;e f--g\\h{{ \"ü\" }}"), "a_b_c_d_e_f-g_h__");
}

TEST_F(Template, mistakes_are_named) {
  EXPECT_THAT(problem("{{ nothing 3 }}"), HasSubstr("no function \"nothing\""));
  EXPECT_THAT(problem("{{ .Name }}"), HasSubstr("no field .Name"));
  EXPECT_THAT(problem("{{ random }}"), HasSubstr("takes 1 arguments"));
  EXPECT_THAT(problem("{{ random \"x\" }}"), HasSubstr("number"));
  EXPECT_THAT(problem("{{ random 0 }}"), HasSubstr("number"));
  EXPECT_THAT(problem("{{ random 99999999999999999999 }}"), HasSubstr("number"));
  EXPECT_THAT(problem("{{ printf \"%s\" }}"), HasSubstr("more verbs"));
  EXPECT_THAT(problem("{{ printf \"x\" 1 }}"), HasSubstr("more arguments"));
  EXPECT_THAT(problem("{{ printf \"%x\" 1 }}"), HasSubstr("printf knows"));
  EXPECT_THAT(problem("{{ \"x }}"), HasSubstr("no end"));
  EXPECT_THAT(problem("{{ random 3"), HasSubstr("ends in the middle"));
  EXPECT_THAT(problem("{{ ( random 3 }}"), HasSubstr("unexpected"));
  EXPECT_THAT(problem("{{ .RoleName 3 }}"), HasSubstr("only a function"));
  EXPECT_THAT(problem("{{ random 3 | \"x\" }}"), HasSubstr("function"));
  EXPECT_THAT(problem("{{ }}"), HasSubstr("unexpected"));
  EXPECT_THAT(problem(""), HasSubstr("empty name"));
  EXPECT_THAT(problem("pg_{{ random 3 }}"), HasSubstr("PostgreSQL's own"));
  EXPECT_THAT(problem("{{ random 64 }}"), HasSubstr("64 bytes"));
  EXPECT_THAT(problem(std::string(5000, 'x')), HasSubstr("longer than"));
  std::string deep = "random 1";
  for (int i = 0; i < 40; ++i) deep = "(" + deep + ")";
  EXPECT_THAT(problem("{{ " + deep + " }}"), HasSubstr("nested"));
  EXPECT_THAT(problem("{{ replace \"\" \"x\" \"y\" }}"), HasSubstr("look for"));
}

TEST_F(Template, a_template_that_repeats_itself_is_refused_when_it_is_written) {
  EXPECT_TRUE(check_username_template("{{.RoleName | truncate 20}}-{{random 20}}", kNow, random_));
  const auto same = check_username_template("v-{{.RoleName}}", kNow, random_);
  ASSERT_FALSE(same.has_value());
  EXPECT_THAT(same.error().message, HasSubstr("same name"));
  const auto cut = check_username_template(
      "{{ printf \"%s-%s\" .DisplayName (random 20) | truncate 40 }}", kNow, random_);
  ASSERT_FALSE(cut.has_value());
}

}  // namespace
}  // namespace curfew::engines::postgres
