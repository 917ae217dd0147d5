#include "policy/path_template.h"

#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

const Identity& sample() {
  static const Identity identity{
      .entity_id = "e-1",
      .entity_name = "ada",
      .metadata = {{"team", "blue"},
                   {"dotted.key", "d"},
                   {"slash", "a/b"},
                   {"star", "a*"},
                   {"plus", "+"},
                   {"empty", ""}},
      .aliases = {{"auth_1", "al-1", "ada@x", {{"m", "mm"}}, {{"c", "cc"}}},
                  {"auth_2", "al-2", "other"}},
      .groups = {{"g-1", "ops", {{"floor", "3"}}}}};
  return identity;
}

std::string filled(std::string_view path) {
  const auto parsed = PathTemplate::parse(path);
  if (!parsed) return "error: " + parsed.error().message;
  auto out = parsed->fill(sample());
  if (const auto* unfilled = std::get_if<Unfilled>(&out))
    return (unfilled->refused ? "refused " : "unfilled ") + unfilled->parameter;
  return std::get<std::string>(out);
}

TEST(PathTemplate, FillsInEveryParameter) {
  EXPECT_EQ(filled("a/b/*"), "a/b/*");
  EXPECT_EQ(filled("a/{{identity.entity.id}}/{{ identity.entity.name }}x"), "a/e-1/adax");
  EXPECT_EQ(filled("{{identity.entity.metadata.team}}"), "blue");
  EXPECT_EQ(filled("{{identity.entity.metadata.dotted.key}}"), "d");
  EXPECT_EQ(filled("{{identity.entity.aliases.auth_1.id}}/{{identity.entity.aliases.auth_1.name}}"),
            "al-1/ada@x");
  EXPECT_EQ(filled("{{identity.entity.aliases.auth_2.name}}"), "other");
  EXPECT_EQ(filled("{{identity.entity.aliases.auth_1.metadata.m}}"), "mm");
  EXPECT_EQ(filled("{{identity.entity.aliases.auth_1.custom_metadata.c}}"), "cc");
  EXPECT_EQ(filled("{{identity.groups.ids.g-1.name}}"), "ops");
  EXPECT_EQ(filled("{{identity.groups.names.ops.id}}"), "g-1");
  EXPECT_EQ(filled("{{identity.groups.names.ops.metadata.floor}}"), "3");
  EXPECT_EQ(filled("{{identity.groups.ids.g-1.metadata.floor}}"), "3");
}

TEST(PathTemplate, WithoutAValueThereIsNoPath) {
  for (const char* parameter :
       {"identity.entity.metadata.none", "identity.entity.metadata.empty",
        "identity.entity.aliases.auth_3.id", "identity.entity.aliases.auth_1.metadata.c",
        "identity.entity.aliases.auth_2.custom_metadata.c", "identity.groups.names.dev.id",
        "identity.groups.ids.g-2.name", "identity.groups.names.ops.metadata.none"})
    EXPECT_EQ(filled("a/{{" + std::string(parameter) + "}}/b"),
              "unfilled " + std::string(parameter));
}

TEST(PathTemplate, ValuesThatReachFurtherAreRefused) {
  for (const char* parameter : {"identity.entity.metadata.slash", "identity.entity.metadata.star",
                                "identity.entity.metadata.plus"})
    EXPECT_EQ(filled("a/{{" + std::string(parameter) + "}}"), "refused " + std::string(parameter));
}

TEST(PathTemplate, MalformedTemplatesAreErrors) {
  for (const char* path :
       {"a/{{identity.entity.id", "a/}}", "a/}}{{identity.entity.id}}", "{{}}", "{{ }}",
        "{{entity.id}}", "{{identity.entity.mail}}", "{{identity.entity.metadata.}}",
        "{{identity.entity.metadata}}", "{{identity.groups.ids}}", "{{identity.groups.ids.g-1.id}}",
        "{{identity.groups.names.ops.name}}", "{{identity.groups.ids..name}}",
        "{{identity.entity.aliases.x}}", "{{identity.entity.aliases.x.mail}}",
        "{{identity.entity.custom_metadata.x}}", "{{identity.entity.{{identity.entity.id}}}}"})
    EXPECT_TRUE(filled(path).starts_with("error: ")) << path << " " << filled(path);
  EXPECT_EQ(parse_error("\npath \"a/{{x}}\" {}").substr(0, 99),
            "failed to parse policy: path \"a/{{x}}\": line 2, column 6: unknown template "
            "parameter \"x\": expected ");
}

TEST(PathTemplate, ValuesAreNotTemplatesThemselves) {
  Identity identity;
  identity.entity_name = "{{identity.entity.id}}";
  const Acl acl =
      acl_of({R"(path "a/{{identity.entity.name}}" { capabilities = ["read"] })"}, identity);
  EXPECT_EQ(granted(acl, "a/{{identity.entity.id}}"), "read");
}

TEST(PathTemplate, WidestFitsEveryPathThatItCouldStandFor) {
  EXPECT_EQ(PathTemplate::parse("a/{{identity.entity.id}}-x/+/b*")->widest(), "a/*-x/*/b*");
  EXPECT_EQ(PathTemplate::parse("+/a+/+")->widest(), "*/a+/*");
  EXPECT_EQ(PathTemplate::parse("")->widest(), "");
}

// What a token may do depends on who holds it.
TEST(TemplatedPolicies, AreResolvedForTheIdentity) {
  const std::string text = R"(
    path "users/{{identity.entity.name}}/*" { capabilities = ["update"] }
    path "teams/+/{{identity.entity.metadata.team}}" { capabilities = ["read"] })";
  const Acl acl = acl_of({text}, sample());
  EXPECT_EQ(granted(acl, "users/ada/x"), "update");
  EXPECT_EQ(granted(acl, "users/bob/x"), "deny");
  EXPECT_EQ(granted(acl, "teams/x/blue"), "read");
  EXPECT_TRUE(acl.unused().empty());
  EXPECT_TRUE(policy_of(text)->is_templated());
}

TEST(TemplatedPolicies, MergeByThePathThatTheyBecome) {
  const Acl acl = acl_of({R"(path "users/{{identity.entity.name}}" { capabilities = ["read"] })",
                          R"(path "users/ada" { capabilities = ["update"] })"},
                         sample());
  EXPECT_EQ(granted(acl, "users/ada"), "read update");
}

TEST(TemplatedPolicies, AGrantWithoutAValueIsDropped) {
  const Acl acl =
      acl_of({R"(path "a/{{identity.entity.metadata.none}}/*" { capabilities = ["read"] }
                             path "b/{{identity.entity.metadata.slash}}" { capabilities = ["read"] }
                             path "a/*" { capabilities = ["list"] })"},
             sample());
  EXPECT_EQ(granted(acl, "a//x"), "list");
  EXPECT_EQ(granted(acl, "b/a/b"), "deny");
  ASSERT_EQ(acl.unused().size(), 2u);
  EXPECT_EQ(acl.unused()[0].parameter, "identity.entity.metadata.none");
  EXPECT_FALSE(acl.unused()[0].refused);
  EXPECT_TRUE(acl.unused()[1].refused);
  EXPECT_FALSE(acl.unused()[1].guarded);
}

TEST(TemplatedPolicies, ADenialWithoutAValueDeniesAllThatItCouldMean) {
  for (const char* key : {"none", "slash", "star"}) {
    const Acl acl = acl_of({"path \"a/{{identity.entity.metadata." + std::string(key) +
                                "}}/private*\" { capabilities = [\"deny\"] }",
                            R"(path "a/*" { capabilities = ["read", "list"] }
            path "a/b/private" { capabilities = ["read"] })"},
                           sample());
    const Decision decision = ask(acl, Operation::kRead, "a/b/private");
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.reason, Reason::kUnfilledTemplate);
    EXPECT_NE(decision.text().find("policy \"p1\", path \"a/{{identity.entity.metadata."),
              std::string::npos);
    EXPECT_EQ(granted(acl, "a/x/y/privateer"), "deny");
    EXPECT_FALSE(ask(acl, Operation::kList, "a/b/private/").allowed);
    EXPECT_TRUE(ask(acl, Operation::kRead, "a/b/public").allowed);
    EXPECT_TRUE(acl.unused()[0].guarded);
  }
}

TEST(TemplatedPolicies, ADenialOfListsHoldsWithAndWithoutTheSlash) {
  const Acl acl =
      acl_of({R"(path "a/{{identity.entity.metadata.none}}" { capabilities = ["deny"] })",
              R"(path "a/*" { capabilities = ["list"] })"},
             sample());
  EXPECT_FALSE(ask(acl, Operation::kList, "a/b/").allowed);
  EXPECT_FALSE(ask(acl, Operation::kList, "a/b").allowed);
}

TEST(TemplatedPolicies, WhatRestrictsInAnotherWayIsGuardedToo) {
  for (const char* restriction : {"", "capabilities = [\"read\"] mfa_methods = [\"totp\"]",
                                  "capabilities = [\"read\"] control_group { factor \"x\" { "
                                  "identity { group_ids = [\"g\"] approvals = 1 } } }"}) {
    const Acl acl = acl_of(
        {"path \"db/{{identity.entity.metadata.none}}-rw\" {" + std::string(restriction) + "}",
         R"(path "db/*" { capabilities = ["read"] })"},
        sample());
    EXPECT_EQ(ask(acl, Operation::kRead, "db/blue-rw").reason, Reason::kUnfilledTemplate)
        << restriction;
    EXPECT_TRUE(ask(acl, Operation::kRead, "db/blue-ro").allowed);
  }
}

}  // namespace
}  // namespace curfew::policy
