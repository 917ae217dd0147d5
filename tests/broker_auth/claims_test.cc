#include "broker/auth/jwt/claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew::broker::jwt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kNow = 1'800'000'000;
const WallTime kNowWall = from_unix_millis(kNow * 1000);

bool in_time(const Json& claims, const ClaimRules& rules = {}) {
  return check_times(claims, rules, kNowWall).has_value();
}

Json with(Json claims, const std::string& name, const Json& value) {
  claims[name] = value;
  return claims;
}

TEST(ClaimTimes, OneOfThreeMustBeThere) {
  EXPECT_FALSE(in_time(Json::object()));
  EXPECT_TRUE(in_time({{"exp", kNow}}));
  EXPECT_TRUE(in_time({{"nbf", kNow}}));
  EXPECT_TRUE(in_time({{"iat", kNow}}));
}

TEST(ClaimTimes, ClocksMayDifferByAMinute) {
  EXPECT_TRUE(in_time({{"exp", kNow - 60}}));
  EXPECT_FALSE(in_time({{"exp", kNow - 61}}));
  EXPECT_TRUE(in_time({{"exp", kNow + 900}, {"nbf", kNow + 60}}));
  EXPECT_FALSE(in_time({{"exp", kNow + 900}, {"nbf", kNow + 61}}));
  EXPECT_TRUE(in_time({{"exp", kNow + 900}, {"nbf", kNow}, {"iat", kNow + 60}}));
  EXPECT_FALSE(in_time({{"exp", kNow + 900}, {"nbf", kNow}, {"iat", kNow + 61}}));
}

TEST(ClaimTimes, TheSkewCanBeSetAndTurnedOff) {
  EXPECT_TRUE(in_time({{"exp", kNow - 90}}, {.clock_skew_leeway = Seconds{90}}));
  EXPECT_FALSE(in_time({{"exp", kNow - 91}}, {.clock_skew_leeway = Seconds{90}}));
  EXPECT_TRUE(in_time({{"exp", kNow}}, {.clock_skew_leeway = Seconds{-1}}));
  EXPECT_FALSE(in_time({{"exp", kNow - 1}}, {.clock_skew_leeway = Seconds{-1}}));
}

TEST(ClaimTimes, AMissingEndIsLeewayAfterTheBeginning) {
  EXPECT_TRUE(in_time({{"iat", kNow - 210}}));
  EXPECT_FALSE(in_time({{"iat", kNow - 211}}));
  EXPECT_TRUE(in_time({{"iat", kNow - 1000}, {"nbf", kNow - 210}}));
  EXPECT_FALSE(in_time({{"iat", kNow - 61}}, {.expiration_leeway = Seconds{-1}}));
  EXPECT_TRUE(in_time({{"iat", kNow - 560}}, {.expiration_leeway = Seconds{500}}));
}

TEST(ClaimTimes, AMissingBeginningIsLeewayBeforeTheEnd) {
  EXPECT_TRUE(in_time({{"exp", kNow + 210}}));
  EXPECT_FALSE(in_time({{"exp", kNow + 211}}));
  EXPECT_TRUE(in_time({{"exp", kNow + 560}}, {.not_before_leeway = Seconds{500}}));
  EXPECT_FALSE(in_time({{"exp", kNow + 61}}, {.not_before_leeway = Seconds{-1}}));
  EXPECT_TRUE(in_time({{"exp", kNow + 9000}, {"iat", kNow}}));
}

TEST(ClaimTimes, WhatIsNoTimeIsRefused) {
  const Json good = {{"exp", kNow + 60}, {"iat", kNow}};
  for (const Json& bad : {Json("1800000000"), Json(-1), Json(1e300), Json(true),
                          Json(std::vector<std::int64_t>{kNow}), Json(INT64_MIN), Json(UINT64_MAX)})
    for (const char* name : {"exp", "nbf", "iat"})
      EXPECT_FALSE(in_time(with(good, name, bad))) << name << bad;
  EXPECT_TRUE(in_time({{"exp", kNow + 59.5}, {"iat", kNow - 0.5}}));
}

TEST(ClaimTimes, AuthenticationMayBeAskedToBeFresh) {
  const ClaimRules rules{.max_age = Seconds{600}};
  const Json claims = {{"exp", kNow + 60}, {"iat", kNow}};
  EXPECT_FALSE(in_time(claims, rules));
  EXPECT_TRUE(in_time(with(claims, "auth_time", kNow - 600), rules));
  EXPECT_FALSE(in_time(with(claims, "auth_time", kNow - 661), rules));
  EXPECT_FALSE(in_time(with(claims, "auth_time", kNow + 61), rules));
}

TEST(Claims, TheIssuerIsComparedByteForByte) {
  const std::string bound = "https://a.example";
  EXPECT_TRUE(check_issuer({{"iss", bound}}, ""));
  EXPECT_TRUE(check_issuer({{"iss", bound}}, bound));
  for (const Json& issuer : {Json("https://a.example/"), Json("https://b.example"), Json(7),
                             Json(nullptr), Json(std::vector<std::string>{bound})})
    EXPECT_FALSE(check_issuer({{"iss", issuer}}, bound));
  EXPECT_FALSE(check_issuer(Json::object(), bound));
}

TEST(Claims, AudiencesMustBeBoundWhereTheTokenHasOne) {
  using enum Audience;
  const ClaimRules bound{.bound_audiences = {"curfew", "vault"}};
  const auto fits = [&](const Json& audience) {
    return check_audience({{"aud", audience}}, bound, kBoundByRole).has_value();
  };
  EXPECT_TRUE(fits("vault"));
  EXPECT_TRUE(fits(std::vector<std::string>{"x", "curfew"}));
  EXPECT_FALSE(fits("other"));
  EXPECT_FALSE(fits(Json::array()));
  EXPECT_FALSE(fits(7));
  EXPECT_FALSE(fits("curfew "));
  EXPECT_FALSE(fits(Json{{"curfew", true}}));
  EXPECT_FALSE(check_audience(Json::object(), bound, kBoundByRole));
  EXPECT_FALSE(check_audience({{"aud", "x"}}, {}, kBoundByRole));
  EXPECT_TRUE(check_audience({{"aud", "x"}}, {}, kBoundElsewhere));
  EXPECT_TRUE(check_audience(Json::object(), {}, kBoundByRole));
}

TEST(Claims, BoundValuesAreComparedWithTheirType) {
  const ClaimRules rules{
      .bound_claims = {{"admin", {true}}, {"level", {3}}, {"/org/team", {"data", "ops"}}}};
  const Json good = {{"admin", true}, {"level", 3}, {"org", {{"team", "ops"}}}};
  EXPECT_TRUE(check_bound(good, rules));
  EXPECT_FALSE(check_bound(with(good, "admin", "true"), rules));
  EXPECT_FALSE(check_bound(with(good, "admin", nullptr), rules));
  EXPECT_FALSE(check_bound(with(good, "admin", 1), rules));
  EXPECT_FALSE(check_bound(with(good, "level", "3"), rules));
  EXPECT_FALSE(check_bound(with(good, "level", 4), rules));
  EXPECT_FALSE(check_bound(with(good, "org", {{"team", "sales"}}), rules));
  EXPECT_FALSE(check_bound(with(good, "org", Json::object()), rules));
  EXPECT_TRUE(check_bound(with(good, "org", {{"team", Json::array({"sales", "data"})}}), rules));
  EXPECT_FALSE(check_bound(with(good, "org", {{"team", {{"data", 1}}}}), rules));
}

TEST(Claims, GlobsCountOnlyWhereAskedFor) {
  ClaimRules rules{.bound_claims = {{"ref", {"refs/heads/release-*"}}}};
  EXPECT_FALSE(check_bound({{"ref", "refs/heads/release-7"}}, rules));
  rules.globs = true;
  EXPECT_TRUE(check_bound({{"ref", "refs/heads/release-7"}}, rules));
  EXPECT_FALSE(check_bound({{"ref", "refs/heads/main"}}, rules));
  EXPECT_FALSE(check_bound({{"ref", 7}}, rules));
}

TEST(Claims, TheSubjectIsComparedWhole) {
  const ClaimRules rules{.bound_subject = "spiffe://example.org/agent"};
  EXPECT_TRUE(check_bound({{"sub", "spiffe://example.org/agent"}}, rules));
  EXPECT_FALSE(check_bound({{"sub", "spiffe://example.org/agent/x"}}, rules));
  EXPECT_FALSE(check_bound(Json::object(), rules));
}

TEST(Claims, PointersReachInside) {
  const Json claims = {
      {"a", {{"b/c", {{"d~e", 7}}}, {"list", Json::array({"x", "y"})}}}, {"", 1}, {"/a", 2}};
  EXPECT_EQ(*find_claim(claims, "/a/b~1c/d~0e"), Json(7));
  EXPECT_EQ(*find_claim(claims, "/a/list/1"), Json("y"));
  EXPECT_EQ(*find_claim(claims, "/"), Json(1));
  for (const char* name :
       {"/a/list/2", "/a/list/-1", "/a/list/1x", "/a/b~2c", "/a/~", "/x/y", "b", "/a/list/1/z"})
    EXPECT_EQ(find_claim(claims, name), nullptr) << name;
}

TEST(Claims, TheSubjectIsTakenAsTheRoleSays) {
  const ClaimRules rules{.user_claim = "sub",
                         .groups_claim = "/realm/roles",
                         .claim_mappings = {{"email", "mail"}, {"/n/o", "number"}, {"gone", "g"}}};
  const auto subject = subject_of({{"sub", "u1"},
                                   {"email", "u1@example.org"},
                                   {"n", {{"o", 7}}},
                                   {"realm", {{"roles", Json::array({"dba", "ops"})}}}},
                                  rules);
  ASSERT_TRUE(subject) << subject.error().message;
  EXPECT_EQ(subject->name, "u1");
  EXPECT_EQ(subject->metadata.at("mail"), "u1@example.org");
  EXPECT_EQ(subject->metadata.at("number"), "7");
  EXPECT_FALSE(subject->metadata.contains("g"));
  EXPECT_THAT(subject->groups.value(), ElementsAre("dba", "ops"));
  EXPECT_FALSE(subject_of({{"sub", "u1"}}, rules));
  EXPECT_THAT(subject_of({{"sub", "u1"}, {"realm", {{"roles", "dba"}}}}, rules)->groups.value(),
              ElementsAre("dba"));
}

TEST(Claims, AUserClaimIsAPointerOnlyWhereTheRoleSaysSo) {
  const Json claims = {{"/u/name", "plain"}, {"u", {{"name", "nested"}}}};
  EXPECT_EQ(subject_of(claims, {.user_claim = "/u/name"})->name, "plain");
  EXPECT_EQ(subject_of(claims, {.user_claim = "/u/name", .user_claim_is_pointer = true})->name,
            "nested");
}

TEST(Claims, OddAndOversizedClaimsAreRefusedWithoutTheirValues) {
  const ClaimRules rules{
      .user_claim = "sub", .groups_claim = "groups", .claim_mappings = {{"email", "mail"}}};
  const Json good = {{"sub", "u"}, {"groups", Json::array()}, {"email", "e"}};
  ASSERT_TRUE(subject_of(good, rules));
  const std::string text = "geheim";
  const auto list = [](const Json& element, std::size_t count = 1) {
    return Json(std::vector<Json>(count, element));
  };
  const std::vector<std::pair<const char*, Json>> bad = {
      {"sub", ""},
      {"sub", 7},
      {"sub", list(text)},
      {"sub", nullptr},
      {"sub", text + std::string(600, 'x')},
      {"groups", list(text, 1'001)},
      {"groups", list(text + std::string(600, 'x'))},
      {"groups", list(7)},
      {"groups", Json{{text, 1}}},
      {"email", text + std::string(3'000, 'x')},
      {"email", list(text)},
  };
  for (const auto& [name, value] : bad) {
    const auto subject = subject_of(with(good, name, value), rules);
    ASSERT_FALSE(subject) << name << value;
    EXPECT_EQ(subject.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(subject.error().message, HasSubstr(name));
    EXPECT_THAT(subject.error().message, Not(HasSubstr(text)));
  }
}

}  // namespace
}  // namespace curfew::broker::jwt
