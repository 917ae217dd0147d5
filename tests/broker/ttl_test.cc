#include "broker/lease/ttl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew::broker {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WallTime kIssued = from_unix_millis(1'800'000'000'000);

struct Case {
  const char* what;
  TtlRules rules;
  Millis after{0};  // since the issue
  Millis expected{0};
  bool warned = false;
};

TtlRules rules(TtlRules given) {
  given.issued_at = kIssued;
  return given;
}

TEST(TtlTest, the_request_wins_over_the_role_over_the_mount_over_the_system) {
  const std::vector<Case> cases = {
      {"system", rules({}), {}, kSystemTtl},
      {"mount", rules({.mount_ttl = hours{5}}), {}, hours{5}},
      {"role", rules({.role_ttl = hours{3}, .mount_ttl = hours{5}}), {}, hours{3}},
      {"request", rules({.requested = hours{1}, .role_ttl = hours{3}}), {}, hours{1}},
      {"role max", rules({.requested = hours{9}, .role_max = hours{2}}), {}, hours{2}, true},
      {"least max",
       rules({.requested = hours{9}, .role_max = hours{4}, .mount_max = hours{2}}),
       {},
       hours{2},
       true},
      {"explicit", rules({.requested = hours{9}, .explicit_max = hours{1}}), {}, hours{1}, true},
      {"a role's own default above its max is cut in silence",
       rules({.role_ttl = hours{9}, .role_max = hours{2}}),
       {},
       hours{2}},
      {"from the issue", rules({.requested = hours{2}, .role_max = hours{3}}), hours{2}, hours{1},
       true},
      {"fits exactly", rules({.requested = hours{1}, .role_max = hours{3}}), hours{2}, hours{1}},
      {"periodic", rules({.requested = hours{9}, .period = hours{1}, .role_max = hours{2}}),
       hours{50}, hours{1}},
      {"periodic, explicit", rules({.period = hours{1}, .explicit_max = hours{2}}),
       Millis{hours{1}} + Seconds{1800}, Seconds{1800}},
      {"whole seconds", rules({.requested = Millis{1900}}), {}, Seconds{1}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const auto ttl = calculate_ttl(c.rules, kIssued + c.after);
    ASSERT_TRUE(ttl.has_value()) << ttl.error().message;
    EXPECT_EQ(ttl->ttl, c.expected);
    EXPECT_EQ(ttl->expires_at, kIssued + c.after + c.expected);
    EXPECT_EQ(!ttl->warnings.empty(), c.warned);
  }
}

TEST(TtlTest, past_the_maximum_is_an_error) {
  for (const Millis after : {Millis{hours{2}}, Millis{hours{3}}}) {
    const auto ttl = calculate_ttl(rules({.role_max = hours{2}}), kIssued + after);
    ASSERT_FALSE(ttl.has_value());
    EXPECT_EQ(ttl.error().message, "past the max TTL, cannot renew");
  }
}

TEST(TtlTest, the_warning_is_the_one_that_clients_know) {
  const auto ttl = calculate_ttl(rules({.requested = hours{240}, .role_max = hours{24}}), kIssued);
  EXPECT_THAT(ttl->warnings,
              ElementsAre("TTL of \"240h\" exceeded the effective max_ttl of \"24h\"; TTL value is "
                          "capped accordingly"));
}

TEST(TtlTest, nothing_outlives_its_token) {
  TtlRules given = rules({.role_ttl = hours{1}});
  given.token_end = kIssued + Millis{3'700};
  const auto ttl = calculate_ttl(given, kIssued);
  ASSERT_TRUE(ttl.has_value());
  EXPECT_EQ(ttl->expires_at, *given.token_end);
  EXPECT_THAT(ttl->warnings, ElementsAre(HasSubstr("in 3s")));
}

}  // namespace
}  // namespace curfew::broker
