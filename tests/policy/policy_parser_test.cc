#include "base/encoding.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(PolicyParser, KeepsNameAndText) {
  const std::string text = "path \"a\" { capabilities = [\"read\"] }";
  const auto policy = policy_of(text, "reader");
  EXPECT_EQ(policy->name, "reader");
  EXPECT_EQ(policy->text, text);
  EXPECT_FALSE(policy->is_root);
  EXPECT_FALSE(policy->is_templated());
  ASSERT_EQ(policy->stanzas.size(), 1u);
  EXPECT_EQ(policy->stanzas[0].written_path, "a");
}

TEST(PolicyParser, ATextNamedRootGrantsNothingSpecial) {
  EXPECT_FALSE(policy_of("name = \"root\"", "root")->is_root);
}

TEST(PolicyParser, ReadsEveryKey) {
  const auto policy = policy_of(R"(
    name = "all"
    path "/secret/+/x*" {
      comment = "why"
      capabilities = ["create", "read", "update", "delete", "list", "sudo", "patch", "scan"]
      allowed_parameters = { "A" = [1, "b*", true], "*" = [] }
      denied_parameters { c = [] }
      required_parameters = ["d"]
      min_wrapping_ttl = "1m"
      max_wrapping_ttl = 90
      mfa_methods = ["totp"]
      pagination_limit = 100
      expiration = "2030-01-02T03:04:05Z"
      list_scan_response_keys_filter_path = "x"
      control_group = {
        ttl = "4h"
        factor "ops" { identity { group_names = ["a"] approvals = 2 } }
      }
    })");
  ASSERT_EQ(policy->stanzas.size(), 1u);
  const Stanza& stanza = policy->stanzas[0];
  EXPECT_EQ(stanza.written_path, "secret/+/x*");
  EXPECT_EQ(stanza.comment, "why");
  EXPECT_EQ(stanza.at, (hcl::Position{3, 10}));
  EXPECT_EQ(stanza.expiration, from_unix_millis(1'893'553'445'000));
  const Permissions& permissions = stanza.permissions;
  EXPECT_EQ(permissions.capabilities.names().size(), 8u);
  ASSERT_EQ(permissions.allowed.size(), 2u);
  EXPECT_EQ(*permissions.allowed.find("a"), (std::vector<Json>{1, "b*", true}));
  EXPECT_TRUE(permissions.allowed.has_all());
  EXPECT_TRUE(permissions.denied.find("C")->empty());
  EXPECT_EQ(permissions.required, std::set<std::string>{"d"});
  EXPECT_EQ(permissions.min_wrapping_ttl, Millis{60'000});
  EXPECT_EQ(permissions.max_wrapping_ttl, Millis{90'000});
  EXPECT_EQ(permissions.mfa_methods, std::set<std::string>{"totp"});
  EXPECT_EQ(permissions.pagination_limit, 100);
  EXPECT_EQ(permissions.list_filter, "x");
  EXPECT_EQ(permissions.approval->ttl, Millis{4 * 3600'000});
}

TEST(PolicyParser, HclJsonAndBase64MeanTheSame) {
  const std::string hcl =
      R"(path "a/*" { capabilities = ["read"] allowed_parameters = { x = ["y"] } }
                             path "b" { capabilities = ["list"] })";
  const std::string json = R"({"path": {"a/*": {"capabilities": ["read"],
                               "allowed_parameters": {"x": ["y"]}},
                               "b": {"capabilities": ["list"]}}})";
  const std::string json_list = R"({"path": [{"a/*": {"capabilities": ["read"],
                               "allowed_parameters": [{"x": ["y"]}]}},
                               {"b": {"capabilities": ["list"]}}]})";
  std::string wrapped = base64_encode(hcl);
  wrapped.insert(wrapped.size() / 2, "\r\n");
  for (const std::string& text :
       {hcl, json, json_list, base64_encode(hcl), base64_encode(json), wrapped + "\n"}) {
    const auto policy = policy_of(text);
    ASSERT_EQ(policy->stanzas.size(), 2u) << text;
    EXPECT_EQ(policy->stanzas[0].written_path, "a/*");
    EXPECT_EQ(*policy->stanzas[0].permissions.allowed.find("x"), std::vector<Json>{"y"});
    EXPECT_EQ(policy->stanzas[1].permissions.capabilities, CapabilitySet{Capability::kList});
  }
  EXPECT_EQ(policy_of(base64_encode(hcl))->text, hcl);
}

TEST(PolicyParser, CommentsAloneAreAPolicyThatGrantsNothing) {
  EXPECT_TRUE(policy_of("// comment only")->stanzas.empty());
  EXPECT_TRUE(policy_of("# abcd")->stanzas.empty());
  EXPECT_TRUE(policy_of("{}")->stanzas.empty());
}

TEST(PolicyParser, EmptyTextsAreRefused) {
  EXPECT_EQ(parse_error(""), "'policy' parameter not supplied or empty");
  EXPECT_EQ(parse_error(" \n\t"), "'policy' parameter not supplied or empty");
}

TEST(PolicyParser, UnknownNamesAreErrorsWithTheirPlace) {
  EXPECT_EQ(parse_error("path \"x\" {\n  capabilities = [\"read\",\n    \"reed\"]\n}"),
            "failed to parse policy: path \"x\": invalid capability \"reed\" at line 3, column 5: "
            "expected one of create, delete, deny, list, patch, read, scan, sudo, update");
  EXPECT_EQ(parse_error("\n path \"x\" {}\nfoo \"x\" {}"),
            "failed to parse policy: invalid key \"foo\" on line 3, column 1: expected one of "
            "name, path");
  EXPECT_TRUE(
      contains(parse_error("path \"x\" {\n  capabilites = [\"read\"]\n}"),
               "path \"x\": invalid key \"capabilites\" on line 2, column 3: expected one of "
               "allowed_parameters, approval, capabilities, comment, control_group,"));
  EXPECT_TRUE(contains(
      parse_error(R"(path "x" { policy = "wriet" })"),
      "path \"x\": line 1, column 12: invalid policy \"wriet\": expected one of deny, read"));
  // Also behind a denial, where it would not matter.
  EXPECT_TRUE(contains(parse_error(R"(path "x" { capabilities = ["deny", "reed"] })"),
                       "invalid capability \"reed\""));
  EXPECT_TRUE(
      contains(parse_error(R"(path "x" { capabilities = ["Read"] })"), "invalid capability"));
}

TEST(PolicyParser, WrongTypesAreErrors) {
  for (const auto& [member, place] : std::vector<std::pair<std::string, std::string>>{
           {"capabilities = \"read\"",
            "column 27: capabilities: expected a list of strings, got a string"},
           {"capabilities = [1]",
            "column 28: capabilities: expected a list of strings, got a number"},
           {"allowed_parameters = [\"a\"]",
            "column 34: allowed_parameters: expected an object, got a string"},
           {"allowed_parameters = { a = \"x\" }",
            "column 35: allowed_parameters: \"a\": expected a list of values"},
           {"denied_parameters = { a = [], A = [] }",
            "column 42: denied_parameters: \"A\": is set twice"},
           {"denied_parameters = { a = [], a = [] }",
            "column 42: denied_parameters: \"a\": is set twice"},
           {"required_parameters = \"a\"", "required_parameters: expected a list of strings"},
           {"min_wrapping_ttl = \"soon\"", "min_wrapping_ttl: expected a duration"},
           {"max_wrapping_ttl = -1", "max_wrapping_ttl: expected a duration"},
           {"mfa_methods = true", "mfa_methods: expected a list of strings"},
           {"pagination_limit = \"many\"", "pagination_limit: expected a whole number"},
           {"pagination_limit = -1", "pagination_limit: expected 0 or more"},
           {"expiration = \"tomorrow\"", "expiration: invalid time \"tomorrow\""},
           {"comment = []", "comment: expected a string, got a list"},
           {"control_group = []", "control_group: expected an object, got a list"},
           {"allowed_parameters = []", "allowed_parameters: expected an object, got a list"},
           {"control_group = 1", "control_group: expected an object"}}) {
    const std::string message = parse_error("path \"x\" { " + member + " }");
    EXPECT_TRUE(contains(message, place)) << message;
    EXPECT_TRUE(contains(message, "path \"x\": ")) << message;
  }
}

TEST(PolicyParser, AKeySetTwiceIsAnError) {
  EXPECT_TRUE(
      contains(parse_error(R"(path "x" { capabilities = ["read"] capabilities = ["deny"] })"),
               "line 1, column 36: capabilities is set twice"));
  EXPECT_TRUE(
      contains(parse_error(R"({"path": {"x": {"capabilities": [], "capabilities": ["sudo"]}}})"),
               "set twice"));
  EXPECT_TRUE(contains(parse_error("name = \"a\" name = \"b\""), "set twice"));
}

TEST(PolicyParser, PathsNeedALabel) {
  EXPECT_TRUE(contains(parse_error(R"(path { capabilities = ["read"] })"),
                       "line 1, column 24: path: expected a block of the form path"));
  EXPECT_TRUE(contains(parse_error("path = \"x\""), "a block of the form path \"…\""));
  EXPECT_TRUE(contains(parse_error("path \"a\" \"b\" {}"), "line 1, column 10"));
}

TEST(PolicyParser, PlusStarIsForbiddenEverywhere) {
  for (const char* path : {"a+*", "a/+*", "+*", "a/+*/b"})
    EXPECT_TRUE(contains(parse_error("path \"" + std::string(path) + "\" {}"),
                         "invalid use of wildcards ('+*' is forbidden) at line 1, column 6"));
}

TEST(PolicyParser, ShorthandsAndCapabilitiesAddUp) {
  const auto caps = [](const std::string& members) {
    return policy_of("path \"x\" {" + members + "}")->stanzas[0].permissions.capabilities.names();
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(caps("policy = \"read\""), (Names{"list", "read"}));
  EXPECT_EQ(caps("policy = \"deny\""), (Names{"deny"}));
  EXPECT_EQ(caps("policy = \"read\" capabilities = [\"sudo\"]"), (Names{"list", "read", "sudo"}));
  EXPECT_EQ(caps("policy = \"sudo\" capabilities = [\"deny\"]"), (Names{"deny"}));
  EXPECT_EQ(caps("capabilities = [\"read\", \"deny\", \"sudo\"]"), (Names{"deny"}));
  EXPECT_EQ(caps(""), Names{});
}

TEST(PolicyParser, SyntaxErrorsTellThePlace) {
  EXPECT_EQ(
      parse_error("path \"x\" {\n capabilities = [\"read\"\n}"),
      "failed to parse policy: line 3, column 1: expected \",\" or \"]\" in a list, got \"}\"");
  EXPECT_TRUE(parse_error("{\"path\": {").starts_with("failed to parse policy: line 1, column "));
  // Neither HCL nor base64 of it.
  EXPECT_TRUE(parse_error("Zm9vYmFy").starts_with("failed to parse policy: line 1, column 9: "));
  // Base64 of something with a slip: the place inside.
  EXPECT_TRUE(
      contains(parse_error(base64_encode("path \"x\" {\n bogus = 1 }")), "line 2, column 2"));
}

TEST(PolicyParser, SizeIsBounded) {
  const auto large = parse_policy("p", std::string(kPolicyBytesMax, ' ') + "#");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kTooLarge);
  std::string many;
  for (std::size_t i = 0; i <= kStanzasMax; ++i) many += "path \"" + std::to_string(i) + "\" {}\n";
  const auto stanzas = parse_policy("p", many);
  ASSERT_FALSE(stanzas);
  EXPECT_EQ(stanzas.error().code, Errc::kTooLarge);
  EXPECT_TRUE(contains(parse_error("path \"" + std::string(kPathBytesMax + 1, 'a') + "\" {}"),
                       "more than 1024 bytes"));
  EXPECT_TRUE(parse_policy("p", "path \"" + std::string(kPathBytesMax, '+') + "\" {}"));
  // Whatever is repeated within these bounds is read and merged in a moment.
  std::string repeated;
  for (int i = 0; i < 200; ++i) {
    repeated += "path \"a\" { capabilities = [\"read\"] allowed_parameters = {";
    for (int k = 0; k < 120; ++k) repeated += " p" + std::to_string(i * 120 + k) + "=[]";
    repeated += " } required_parameters = [";
    for (int k = 0; k < 120; ++k) repeated += "\"" + std::to_string(i * 120 + k) + "\",";
    repeated += "] }\n";
  }
  EXPECT_EQ(granted(acl_of({repeated}), "a"), "read");
  std::string deep = "path \"x\" { allowed_parameters = { a = ";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  const auto nested = parse_policy("p", deep);
  ASSERT_FALSE(nested);
  EXPECT_EQ(nested.error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace curfew::policy
