// What a real Vault answered to the same policies.
#include <fstream>
#include <sstream>

#include "base/duration.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

Json vectors(const char* group) {
  std::ifstream file("tests/data/policy_vectors.json");
  EXPECT_TRUE(file) << "run the tests in the checkout's root";
  std::stringstream text;
  text << file.rdbuf();
  const auto parsed = parse_json(text.str());
  EXPECT_TRUE(parsed);
  return parsed ? parsed->at(group) : Json::array();
}

TEST(PolicyVectors, Capabilities) {
  const Json cases = vectors("capability_vectors");
  ASSERT_EQ(cases.size(), 29u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const Acl acl = acl_of(one.at("policies").get<std::vector<std::string>>());
    for (const auto& [path, expected] : one.at("capabilities").items())
      EXPECT_EQ(Json(acl.capabilities(path)), expected) << path;
  }
}

TEST(PolicyVectors, Parameters) {
  const Json cases = vectors("parameter_vectors");
  ASSERT_EQ(cases.size(), 9u);
  for (const Json& one : cases) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const Acl acl = acl_of({one.at("policy")});
    for (const Json& result : one.at("results")) {
      const Decision decision = acl.check(
          {.operation = Operation::kUpdate, .path = "kv1/p", .parameters = &result.at(0)});
      // An empty body passed the policy there, and was then refused by the engine.
      EXPECT_EQ(decision.allowed, result.at(1) != 403) << result.dump() << decision.text();
    }
  }
}

TEST(PolicyVectors, WrappingTtl) {
  const Acl acl = acl_of({R"(path "kv1/w" { capabilities = ["read"]
                         min_wrapping_ttl = "10s" max_wrapping_ttl = 60 })"});
  const Json cases = vectors("wrapping_ttl");
  ASSERT_EQ(cases.size(), 4u);
  for (const Json& one : cases) {
    Access access{.operation = Operation::kRead, .path = "kv1/w"};
    if (one.at(0).is_string()) access.wrap_ttl = *parse_duration(one.at(0).get<std::string>());
    EXPECT_EQ(acl.check(access).allowed, one.at(1) == 200) << one.dump();
  }
}

// The recorded wordings stay recognisable: up to where the place is told, they are the same.
std::string recognisable(std::string message) {
  for (const char* noise : {"1 error occurred:\n\t* ", "\n\n", " on line 0", " on line 1"})
    if (const auto at = message.find(noise); at != std::string::npos)
      message.erase(at, std::string_view(noise).size());
  return message;
}

TEST(PolicyVectors, ParseErrors) {
  const Json cases = vectors("parse_vectors");
  ASSERT_EQ(cases.size(), 8u);
  for (const Json& one : cases) {
    const std::string text = one.at(0);
    SCOPED_TRACE(text);
    const auto parsed = parse_policy("p", text);
    const Json& recorded = one.at(1);
    ASSERT_EQ(parsed.has_value(), recorded.at(0) == 204);
    if (parsed) continue;
    const std::string& message = parsed.error().message;
    const std::string theirs = recognisable(recorded.at(1).at("errors").at(0));
    if (theirs.find("unknown slice type") != std::string::npos) {
      EXPECT_EQ(message,
                "failed to parse policy: path \"x\": line 1, column 25: capabilities: expected a "
                "list of strings, got a string");
    } else if (theirs.find("max_wrapping_ttl") != std::string::npos) {
      EXPECT_NE(message.find("max_wrapping_ttl cannot be less than min_wrapping_ttl"),
                std::string::npos);
      EXPECT_NE(message.find("line 1, column 35"), std::string::npos) << message;
    } else {
      EXPECT_TRUE(message.starts_with(theirs)) << message << "\n" << theirs;
      EXPECT_EQ(message.find("line 1, column ") != std::string::npos, !text.empty()) << message;
    }
  }
}

}  // namespace
}  // namespace curfew::policy
