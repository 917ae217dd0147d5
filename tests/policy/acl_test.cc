#include "policy/acl.h"

#include "base/duration.h"
#include "policy/builtin.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

std::string path(std::string_view name, std::string_view members) {
  return "path \"" + std::string(name) + "\" {" + std::string(members) + "}\n";
}
std::string grant(std::string_view name, std::string_view capability) {
  return path(name, "capabilities = [\"" + std::string(capability) + "\"]");
}

TEST(Acl, WithoutPoliciesTheAnswerIsNo) {
  const Acl acl = acl_of({});
  const Decision decision = ask(acl, Operation::kRead, "x");
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, Reason::kNoRule);
  EXPECT_EQ(decision.text(), "no policy has a rule for this path");
  EXPECT_EQ(granted(acl, "x"), "deny");
  EXPECT_EQ(granted(acl, ""), "deny");
}

TEST(Acl, RootMayDoEverything) {
  const Acl acl({root_policy(), policy_of(grant("x", "deny"))}, {}, {});
  EXPECT_TRUE(acl.is_root());
  const Decision decision =
      acl.check({.operation = Operation::kDelete, .path = "x", .needs_sudo = true});
  EXPECT_TRUE(decision.allowed);
  EXPECT_TRUE(decision.sudo);
  EXPECT_EQ(decision.text(), "the root policy grants everything");
  EXPECT_EQ(granted(acl, "x"), "root");
  EXPECT_EQ(acl.resultant().dump(), R"({"root":true})");
  EXPECT_TRUE(acl.reaches_mount("any/"));
}

TEST(Acl, EachOperationNeedsItsCapability) {
  using enum Operation;
  const std::vector<std::pair<Operation, std::string>> all = {
      {kCreate, "create"}, {kRead, "read"},     {kUpdate, "update"},
      {kPatch, "patch"},   {kDelete, "delete"}, {kList, "list"}};
  for (const auto& [operation, name] : all) {
    const Acl acl = acl_of({grant("x", name)});
    for (const auto& [other, other_name] : all)
      EXPECT_EQ(ask(acl, other, "x").allowed, operation == other) << name << " " << other_name;
  }
}

TEST(Acl, DecisionsExplainThemselves) {
  const Acl acl = acl_of({grant("secret/*", "read") + path("nothing", "")});
  EXPECT_EQ(ask(acl, Operation::kRead, "secret/a").text(),
            "policy \"p1\", path \"secret/*\": grants \"read\"");
  const Decision missing = ask(acl, Operation::kDelete, "secret/a");
  EXPECT_EQ(missing.reason, Reason::kCapabilityMissing);
  EXPECT_EQ(missing.text(), "policy \"p1\", path \"secret/*\": grants read, but not \"delete\"");
  EXPECT_EQ(ask(acl, Operation::kRead, "nothing").text(),
            "policy \"p1\", path \"nothing\": grants nothing; \"read\" is needed");
}

TEST(Acl, SudoIsNeededBesideTheOperation) {
  const Acl acl =
      acl_of({grant("a", "update\", \"sudo") + grant("b", "update") + grant("c", "sudo")});
  const auto sudo = [&acl](std::string_view where) {
    return acl.check({.operation = Operation::kUpdate, .path = where, .needs_sudo = true});
  };
  EXPECT_TRUE(sudo("a").allowed);
  EXPECT_TRUE(sudo("a").sudo);
  EXPECT_EQ(sudo("b").reason, Reason::kSudoMissing);
  EXPECT_FALSE(sudo("b").sudo);
  EXPECT_EQ(sudo("c").reason, Reason::kCapabilityMissing);
}

// Each pair: what wins, what loses, and a path that both fit.
TEST(Acl, ExactlyOneRuleDecides) {
  const std::vector<std::array<std::string, 3>> cases = {
      {"a/b", "a/*", "a/b"},  // exact before all
      {"a/b", "a/+", "a/b"},
      {"a/b", "a/b*", "a/b"},
      {"a/b/*", "a/*", "a/b/c"},  // the longest prefix
      {"a/b*", "a/+", "a/bc"},    // the later first wildcard, against fewer '*' or '+'
      {"a/b/+", "a/+/c", "a/b/c"},
      {"a/b/*", "a/+/c", "a/b/c"},
      {"a/b/+", "+/b/c", "a/b/c"},
      {"a/+", "a/*", "a/b"},  // no '*' at the end
      {"a/+/c", "a/+/*", "a/b/c"},
      {"a/+/+", "a/*", "a/b/c"},
      {"a/*", "a/+/*", "a/b/c"},  // fewer '+'
      {"a/+/c/d", "a/+/+/d", "a/b/c/d"},
      {"a/+/c/*", "a/+/*", "a/b/c/d"},  // longer
      {"a/+/cd*", "a/+/c*", "a/b/cde"},
      {"+/x/+", "+/+/y", "q/x/y"},  // the last in the alphabet
  };
  for (const auto& [winner, loser, where] : cases) {
    const Acl acl = acl_of({grant(loser, "update") + grant(winner, "read")});
    EXPECT_EQ(granted(acl, where), "read") << winner << " against " << loser << " on " << where;
    const Acl turned = acl_of({grant(winner, "deny"), grant(loser, "update")});
    EXPECT_EQ(granted(turned, where), "deny") << winner << " against " << loser << " on " << where;
  }
}

TEST(Acl, PlusIsOneWholeSegment) {
  const Acl acl = acl_of({grant("a/+/c", "read") + grant("+", "list") + grant("x/y+", "update") +
                          grant("q/+r", "delete")});
  EXPECT_EQ(granted(acl, "a/b/c"), "read");
  EXPECT_EQ(granted(acl, "a//c"), "read");
  EXPECT_EQ(granted(acl, "a/b/b/c"), "deny");
  EXPECT_EQ(granted(acl, "a/c"), "deny");
  EXPECT_EQ(granted(acl, "anything"), "list");
  EXPECT_EQ(granted(acl, "x/y+"), "update");
  EXPECT_EQ(granted(acl, "x/yz"), "deny");
  EXPECT_EQ(granted(acl, "q/+r"), "delete");
  EXPECT_EQ(granted(acl, "q/xr"), "deny");
}

TEST(Acl, PrefixesEndAnywhere) {
  const Acl acl = acl_of({grant("a/b*", "read") + grant("*", "list")});
  EXPECT_EQ(granted(acl, "a/b"), "read");
  EXPECT_EQ(granted(acl, "a/bcd/e"), "read");
  EXPECT_EQ(granted(acl, "a/"), "list");
  EXPECT_EQ(granted(acl, ""), "list");
}

TEST(Acl, LeadingSlashesDoNotCount) {
  const Acl acl = acl_of({grant("//a/b", "read")});
  EXPECT_EQ(granted(acl, "a/b"), "read");
  EXPECT_TRUE(ask(acl, Operation::kRead, "///a/b").allowed);
  EXPECT_FALSE(ask(acl, Operation::kRead, "a//b").allowed);
}

TEST(Acl, ListsAlsoTryThePathWithoutItsSlash) {
  const Acl acl = acl_of({grant("a", "list") + grant("b/+", "list") + grant("c/", "list") +
                          grant("d*", "read") + grant("e", "list") + grant("e/", "deny")});
  EXPECT_TRUE(ask(acl, Operation::kList, "a/").allowed);
  EXPECT_TRUE(ask(acl, Operation::kList, "a").allowed);
  EXPECT_FALSE(ask(acl, Operation::kList, "a//").allowed);
  EXPECT_TRUE(ask(acl, Operation::kList, "b/x/").allowed);
  EXPECT_TRUE(ask(acl, Operation::kList, "c/").allowed);
  EXPECT_FALSE(ask(acl, Operation::kList, "c").allowed);
  // What fits with the slash decides, though it grants nothing.
  EXPECT_EQ(ask(acl, Operation::kList, "e/").reason, Reason::kDenied);
  // Other operations do not.
  const Acl read = acl_of({grant("a", "read")});
  EXPECT_FALSE(ask(read, Operation::kRead, "a/").allowed);
}

TEST(Acl, PoliciesForOnePathAddUp) {
  const Acl acl = acl_of({grant("a", "read"), grant("a", "update"), grant("/a", "list")});
  EXPECT_EQ(granted(acl, "a"), "list read update");
  EXPECT_EQ(ask(acl, Operation::kList, "a").text(),
            "policies \"p1\", \"p2\", \"p3\", path \"a\": grants \"list\"");
}

TEST(Acl, ADenialOfThePathWinsWhateverTheOrder) {
  for (const auto& texts : std::vector<std::vector<std::string>>{
           {grant("a*", "deny"), grant("a*", "read"), grant("a*", "update")},
           {grant("a*", "read"), grant("a*", "deny"), grant("a*", "update")},
           {grant("a*", "read"), grant("a*", "update"), grant("a*", "deny")}}) {
    const Acl acl = acl_of(texts);
    const Decision decision = ask(acl, Operation::kRead, "ab");
    EXPECT_EQ(decision.reason, Reason::kDenied);
    ASSERT_EQ(decision.rule->policies.size(), 1u);
    EXPECT_EQ(granted(acl, "ab"), "deny");
  }
}

TEST(Acl, ADenialOfALessSpecificPathDoesNotCount) {
  EXPECT_EQ(granted(acl_of({grant("a/*", "deny"), grant("a/b", "read")}), "a/b"), "read");
}

TEST(Acl, WrappingTtlsAreLimits) {
  const Acl acl =
      acl_of({path("a", R"(capabilities = ["read"] min_wrapping_ttl = 10 max_wrapping_ttl = 60)") +
              path("min", R"(capabilities = ["read"] min_wrapping_ttl = 10)") +
              path("max", R"(capabilities = ["read"] max_wrapping_ttl = 60)")});
  const auto reason = [&acl](std::string_view where, std::optional<int> seconds) {
    Access access{.operation = Operation::kRead, .path = where};
    if (seconds) access.wrap_ttl = Seconds{*seconds};
    return acl.check(access).reason;
  };
  EXPECT_EQ(reason("a", {}), Reason::kWrappingMissing);
  EXPECT_EQ(reason("a", 0), Reason::kWrappingMissing);
  EXPECT_EQ(reason("a", 9), Reason::kWrappingTooShort);
  EXPECT_EQ(reason("a", 10), Reason::kGranted);
  EXPECT_EQ(reason("a", 60), Reason::kGranted);
  EXPECT_EQ(reason("a", 61), Reason::kWrappingTooLong);
  EXPECT_EQ(reason("min", {}), Reason::kWrappingMissing);
  EXPECT_EQ(reason("min", 1'000'000), Reason::kGranted);
  EXPECT_EQ(reason("max", {}), Reason::kWrappingMissing);
  EXPECT_EQ(reason("max", 1), Reason::kGranted);
}

TEST(Acl, OfSeveralWrappingTtlsTheLesserCounts) {
  const auto rule = [](int min, int max) {
    return path("a", "capabilities = [\"read\"] min_wrapping_ttl = " + std::to_string(min) +
                         " max_wrapping_ttl = " + std::to_string(max));
  };
  const Acl acl = acl_of({rule(20, 60), rule(10, 90), grant("a", "list")});
  EXPECT_TRUE(
      acl.check({.operation = Operation::kRead, .path = "a", .wrap_ttl = Seconds{10}}).allowed);
  EXPECT_FALSE(
      acl.check({.operation = Operation::kRead, .path = "a", .wrap_ttl = Seconds{61}}).allowed);
  // Policies that contradict each other let nothing through.
  const Acl none = acl_of({rule(0, 5), path("a", "min_wrapping_ttl = 10")});
  for (const int seconds : {1, 5, 7, 10, 100})
    EXPECT_EQ(none.check({.operation = Operation::kRead, .path = "a", .wrap_ttl = Seconds{seconds}})
                  .reason,
              Reason::kWrappingImpossible);
}

TEST(Acl, WhatItCannotEnforceItRefuses) {
  const Acl acl = acl_of(
      {path("mfa", R"(capabilities = ["read"] mfa_methods = ["totp"])"),
       path("mfa", R"(capabilities = ["read"])"),
       path("filter",
            R"(capabilities = ["read", "list"] list_scan_response_keys_filter_path = "x")")});
  EXPECT_EQ(ask(acl, Operation::kRead, "mfa").reason, Reason::kMfaUnavailable);
  EXPECT_EQ(ask(acl, Operation::kList, "filter/").reason, Reason::kListFilterUnavailable);
  EXPECT_TRUE(ask(acl, Operation::kRead, "filter").allowed);
}

TEST(Acl, TheLowestPaginationLimitCounts) {
  const Acl acl = acl_of({path("a", R"(capabilities = ["list"] pagination_limit = 50)"),
                          path("a", R"(pagination_limit = 20)"), grant("a", "read")});
  EXPECT_EQ(ask(acl, Operation::kList, "a").rule->permissions.pagination_limit, 20);
}

TEST(Acl, ExpiredStanzasCountForNothing) {
  const std::string text =
      path("a", R"(capabilities = ["read"] expiration = "2030-01-01T00:00:00Z")") +
      path("b", R"(capabilities = ["read"] expiration = "2031-01-01T00:00:00Z")");
  const WallTime end = *parse_rfc3339("2030-01-01T00:00:00Z");
  const Acl before = acl_of({text}, {}, end - Millis{1});
  EXPECT_EQ(granted(before, "a"), "read");
  EXPECT_EQ(before.valid_until(), end);
  const Acl after = acl_of({text}, {}, end);
  EXPECT_EQ(granted(after, "a"), "deny");
  EXPECT_EQ(granted(after, "b"), "read");
  EXPECT_EQ(after.valid_until(), *parse_rfc3339("2031-01-01T00:00:00Z"));
  EXPECT_EQ(acl_of({grant("a", "read")}).valid_until(), std::nullopt);
}

TEST(Acl, ResultantListsEveryRule) {
  const Acl acl = acl_of({grant("a", "read"), grant("a", "update"),
                          grant("b/*", "list") + grant("c/+/d", "sudo") + grant("c/+/e*", "read") +
                              grant("n", "deny") + path("e", "")});
  EXPECT_EQ(
      acl.resultant().dump(),
      R"({"exact_paths":{"a":{"capabilities":["read","update"]},"e":{"capabilities":["deny"]},)"
      R"("n":{"capabilities":["deny"]}},"glob_paths":{"b/":{"capabilities":["list"]},)"
      R"("c/+/d":{"capabilities":["sudo"]},"c/+/e*":{"capabilities":["read"]}},"root":false})");
}

TEST(Acl, ReachesTheMountsItGrantsSomethingOn) {
  const auto reaches = [](std::string_view rule, std::string_view mount) {
    return acl_of({grant(rule, "read")}).reaches_mount(mount);
  };
  EXPECT_TRUE(reaches("database/creds/ro", "database/"));
  EXPECT_TRUE(reaches("database/*", "database/"));
  EXPECT_TRUE(reaches("data*", "database/"));
  EXPECT_TRUE(reaches("*", "database/"));
  EXPECT_TRUE(reaches("+/creds/ro", "database/"));
  EXPECT_TRUE(reaches("database/", "database/"));
  EXPECT_TRUE(reaches("auth/+/login", "auth/approle/"));
  EXPECT_TRUE(reaches("auth/app*", "auth/approle/"));
  EXPECT_FALSE(reaches("database2/creds/ro", "database/"));
  EXPECT_FALSE(reaches("data/x", "database/"));
  EXPECT_FALSE(reaches("auth/+/login", "database/"));
  EXPECT_FALSE(reaches("auth/b*", "auth/approle/"));
  EXPECT_FALSE(acl_of({grant("database/*", "deny")}).reaches_mount("database/"));
  EXPECT_FALSE(acl_of({}).reaches_mount("database/"));
}

TEST(Acl, NamesItsPolicies) {
  EXPECT_EQ(acl_of({grant("a", "read"), "# empty"}).policies(),
            (std::vector<std::string>{"p1", "p2"}));
  EXPECT_TRUE(Acl({nullptr}, {}, {}).policies().empty());
}

TEST(Acl, StaysWholeWhenMoved) {
  Acl acl = acl_of({grant("a", "read") + grant("b/*", "list") + grant("c/+", "update")});
  const Acl moved = std::move(acl);
  EXPECT_EQ(granted(moved, "a"), "read");
  EXPECT_EQ(granted(moved, "b/x"), "list");
  EXPECT_EQ(granted(moved, "c/x"), "update");
}

TEST(Acl, EveryReasonHasAName) {
  for (int i = 0; i <= static_cast<int>(Reason::kParameterValueNotAllowed); ++i)
    EXPECT_STRNE(reason_name(static_cast<Reason>(i)), "?");
}

}  // namespace
}  // namespace curfew::policy
