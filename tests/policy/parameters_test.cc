#include "policy/parameters.h"

#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

Reason reason(const std::vector<std::string>& members, const Json& parameters,
              Operation operation = Operation::kUpdate) {
  std::vector<std::string> texts;
  for (const std::string& one : members)
    texts.push_back(
        "path \"a\" { capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", "
        "\"list\"] " +
        one + "}");
  const Acl acl = acl_of(texts);
  return acl.check({.operation = operation, .path = "a", .parameters = &parameters}).reason;
}

constexpr auto kGranted = Reason::kGranted;

TEST(Parameters, WithoutRulesEverythingPasses) {
  EXPECT_EQ(reason({""}, {{"x", 1}}), kGranted);
  EXPECT_EQ(reason({"allowed_parameters = {}"}, {{"x", 1}}), kGranted);
}

TEST(Parameters, TextsMayBeginOrEndWithAStar) {
  const auto allowed = [](const std::string& pattern, const Json& value) {
    return reason({"allowed_parameters = { x = [\"" + pattern + "\"] }"}, {{"x", value}}) ==
           kGranted;
  };
  EXPECT_TRUE(allowed("ab*", "abc"));
  EXPECT_TRUE(allowed("ab*", "ab"));
  EXPECT_FALSE(allowed("ab*", "aab"));
  EXPECT_TRUE(allowed("*ab", "xab"));
  EXPECT_FALSE(allowed("*ab", "abx"));
  EXPECT_TRUE(allowed("*ab*", "xabx"));
  EXPECT_FALSE(allowed("*ab*", "axb"));
  EXPECT_TRUE(allowed("*", "anything"));
  EXPECT_TRUE(allowed("**", "anything"));
  EXPECT_FALSE(allowed("*", 5));
  EXPECT_FALSE(allowed("a*b", "axb"));
  EXPECT_TRUE(allowed("a*b", "a*b"));
  EXPECT_FALSE(allowed("ab", "AB"));
  EXPECT_TRUE(allowed("", ""));
}

TEST(Parameters, OtherValuesMustHaveTheSameType) {
  const std::string rule = "allowed_parameters = { x = [5, true, [1, \"a\"], { k = \"v\" }] }";
  for (const Json& value : {Json(5), Json(5.0), Json(true), Json({1, "a"}), Json({{"k", "v"}})})
    EXPECT_EQ(reason({rule}, {{"x", value}}), kGranted) << value;
  for (const Json& value :
       {Json("5"), Json("true"), Json(false), Json(6), Json({1}), Json({{"k", "w"}}), Json()})
    EXPECT_EQ(reason({rule}, {{"x", value}}), Reason::kParameterValueNotAllowed) << value;
}

TEST(Parameters, DenialsLookThroughTypes) {
  const auto denied = [](const std::string& listed, const Json& value) {
    return reason({"denied_parameters = { x = [" + listed + "] }"}, {{"x", value}}) ==
           Reason::kParameterValueDenied;
  };
  EXPECT_TRUE(denied("\"5\"", 5));
  EXPECT_TRUE(denied("5", "5"));
  EXPECT_TRUE(denied("-5", "-5"));
  EXPECT_TRUE(denied("1.5", "1.5"));
  EXPECT_TRUE(denied("true", "true"));
  EXPECT_TRUE(denied("\"tr*\"", true));
  EXPECT_TRUE(denied("\"\"", nullptr));
  EXPECT_TRUE(denied("\"x\"", {"y", "x"}));
  EXPECT_TRUE(denied("\"x\"", {"y", {"x"}}));
  EXPECT_FALSE(denied("\"x\"", {"y"}));
  EXPECT_FALSE(denied("\"x\"", {{"x", 1}}));
  EXPECT_FALSE(denied("5", 6));
}

TEST(Parameters, NamesAreComparedWithoutCase) {
  EXPECT_EQ(reason({"denied_parameters = { Ttl = [] }"}, {{"tTL", "1h"}}),
            Reason::kParameterDenied);
  EXPECT_EQ(reason({"allowed_parameters = { TTL = [\"1h\"] }"}, {{"ttl", "1h"}}), kGranted);
  EXPECT_EQ(reason({"allowed_parameters = { ttl = [\"1h\"] }"}, {{"ttl", "1h"}, {"TTL", "9h"}}),
            Reason::kParameterValueNotAllowed);
}

TEST(Parameters, ARequiredOneMustComeUnderItsName) {
  EXPECT_EQ(reason({"required_parameters = [\"ttl\"]"}, {{"ttl", ""}}), kGranted);
  EXPECT_EQ(reason({"required_parameters = [\"TTL\"]"}, {{"ttl", ""}}), kGranted);
  EXPECT_EQ(reason({"required_parameters = [\"TTL\"]"}, {{"TTL", ""}}), kGranted);
  // An engine that looks for "ttl" does not see "TTL".
  EXPECT_EQ(reason({"required_parameters = [\"ttl\"]"}, {{"TTL", ""}}), Reason::kParameterMissing);
  EXPECT_EQ(reason({"required_parameters = [\"ttl\"]"}, Json::object()), Reason::kParameterMissing);
  EXPECT_EQ(reason({"required_parameters = [\"ttl\"]"}, nullptr), Reason::kParameterMissing);
  EXPECT_EQ(reason({"required_parameters = [\"ttl\"]"}, {{"ttl2", 1}}), Reason::kParameterMissing);
}

TEST(Parameters, AnEmptyRequestPassesWhatIsAllowedAndDenied) {
  EXPECT_EQ(reason({"allowed_parameters = { x = [\"1\"] } denied_parameters = { \"*\" = [] }"},
                   Json::object()),
            kGranted);
}

TEST(Parameters, TheyAreCheckedForSomeOperations) {
  const std::string rule = "denied_parameters = { \"*\" = [] }";
  for (const Operation operation :
       {Operation::kCreate, Operation::kRead, Operation::kUpdate, Operation::kPatch})
    EXPECT_EQ(reason({rule}, {{"x", 1}}, operation), Reason::kParameterDenied);
  for (const Operation operation : {Operation::kDelete, Operation::kList})
    EXPECT_EQ(reason({rule}, {{"x", 1}}, operation), kGranted);
}

TEST(Parameters, AllowedOnesOfSeveralPoliciesAreJoined) {
  const std::vector<std::string> rules = {"allowed_parameters = { x = [\"1\"] y = [\"1\"] }",
                                          "allowed_parameters = { x = [\"2\"] y = [] z = [] }", ""};
  EXPECT_EQ(reason(rules, {{"x", "1"}}), kGranted);
  EXPECT_EQ(reason(rules, {{"x", "2"}}), kGranted);
  EXPECT_EQ(reason(rules, {{"x", "3"}}), Reason::kParameterValueNotAllowed);
  EXPECT_EQ(reason(rules, {{"y", "3"}}), kGranted);
  EXPECT_EQ(reason(rules, {{"z", "3"}}), kGranted);
  EXPECT_EQ(reason(rules, {{"w", "3"}}), Reason::kParameterNotAllowed);
}

TEST(Parameters, DeniedOnesOfSeveralPoliciesAreJoined) {
  const std::vector<std::string> rules = {"denied_parameters = { x = [\"1\"] y = [] }", "",
                                          "denied_parameters = { x = [\"2\"] y = [\"1\"] }"};
  EXPECT_EQ(reason(rules, {{"x", "1"}}), Reason::kParameterValueDenied);
  EXPECT_EQ(reason(rules, {{"x", "2"}}), Reason::kParameterValueDenied);
  EXPECT_EQ(reason(rules, {{"x", "3"}}), kGranted);
  EXPECT_EQ(reason(rules, {{"y", "3"}}), Reason::kParameterDenied);
}

TEST(Parameters, RequiredOnesOfSeveralPoliciesAddUp) {
  const std::vector<std::string> rules = {"required_parameters = [\"x\"]",
                                          "required_parameters = [\"y\", \"x\"]"};
  EXPECT_EQ(reason(rules, {{"x", 1}, {"y", 1}}), kGranted);
  EXPECT_EQ(reason(rules, {{"x", 1}}), Reason::kParameterMissing);
}

TEST(Parameters, ADenialOfThePathClearsThem) {
  const Acl acl = acl_of({R"(path "a" { capabilities = ["read"] allowed_parameters = { x = [] } })",
                          R"(path "a" { capabilities = ["deny"] })"});
  EXPECT_TRUE(ask(acl, Operation::kRead, "a").rule->permissions.allowed.empty());
}

TEST(Parameters, TheReasonNamesTheParameterAndNeverItsValue) {
  const Acl acl = acl_of(
      {R"(path "a" { capabilities = ["update"] allowed_parameters = { password = ["x"] } })"});
  const Json parameters = {{"password", "hunter2"}};
  const Decision decision =
      acl.check({.operation = Operation::kUpdate, .path = "a", .parameters = &parameters});
  EXPECT_EQ(decision.subject, "password");
  EXPECT_EQ(decision.text(),
            "policy \"p1\", path \"a\": does not allow this value of the parameter \"password\"");
}

}  // namespace
}  // namespace curfew::policy
