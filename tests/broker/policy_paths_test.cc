#include "base/encoding.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class PolicyPathsTest : public BrokerWorld {
 protected:
  std::string refused(const Result<Response>& result) {
    EXPECT_FALSE(result.has_value());
    return result ? "" : result.error().message;
  }
};

TEST_F(PolicyPathsTest, a_policy_is_kept_as_it_was_written) {
  const std::string text = "# for the agents\npath \"a/b\" { capabilities = [\"read\"] }\n";
  must_write("sys/policies/acl/Agent", {{"policy", text}});
  EXPECT_EQ(must_read("sys/policies/acl/agent").at("policy"), text);
  const auto old = read("sys/policy/agent");
  EXPECT_EQ(old->data.at("rules"), text);
  EXPECT_EQ(old->layout, Layout::kInjected);
  EXPECT_EQ(list("sys/policies/acl")->data.at("keys"), Json({"agent", "default", "root"}));
  EXPECT_EQ(must_read("sys/policy").at("policies"), Json({"agent", "default", "root"}));
  EXPECT_TRUE(remove("sys/policies/acl/agent").has_value());
  EXPECT_EQ(code_of(read("sys/policies/acl/agent")), Errc::kNotFound);
}

TEST_F(PolicyPathsTest, what_is_no_policy_is_refused_with_its_place) {
  EXPECT_THAT(refused(write("sys/policies/acl/x",
                            {{"policy", "path \"x\" { capabilities = [\"reed\"] }"}})),
              HasSubstr("invalid capability \"reed\""));
  EXPECT_THAT(refused(write("sys/policies/acl/x", {{"policy", ""}})),
              HasSubstr("not supplied or empty"));
  EXPECT_THAT(refused(write("sys/policies/acl/root", {{"policy", "path \"x\" {}"}})),
              HasSubstr("cannot update"));
  EXPECT_THAT(refused(remove("sys/policies/acl/default")), HasSubstr("cannot delete"));
  EXPECT_EQ(code_of(read("sys/policies/acl/x")), Errc::kNotFound);
}

TEST_F(PolicyPathsTest, a_changed_policy_counts_from_the_next_request_on) {
  must_write("sys/mounts/kv", {{"type", "kv"}});
  must_write("kv/a", {{"k", "v"}});
  write_policy("p", R"(path "kv/*" { capabilities = ["read"] })");
  const std::string token = make_token({"p"});
  EXPECT_TRUE(read("kv/a", token).has_value());
  write_policy("p", R"(path "kv/*" { capabilities = ["deny"] })");
  EXPECT_EQ(code_of(read("kv/a", token)), Errc::kPermissionDenied);
  EXPECT_TRUE(remove("sys/policies/acl/p").has_value());
  EXPECT_EQ(code_of(read("kv/a", token)), Errc::kPermissionDenied);
}

TEST_F(PolicyPathsTest, an_altered_policy_stops_its_tokens_instead_of_losing_a_denial) {
  must_write("sys/mounts/kv", {{"type", "kv"}});
  write_policy("p", R"(path "kv/*" { capabilities = ["read"] })");
  const std::string token = make_token({"p"});
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE scope = 'sys/mounts' LIMIT 1) "
      "WHERE scope = 'sys/policy'");
  EXPECT_EQ(code_of(read("kv/a", token)), Errc::kCorrupt);
}

TEST_F(PolicyPathsTest, capabilities_are_told) {
  write_policy("p", R"(path "a/*" { capabilities = ["read", "list"] })");
  const std::string token = make_token({"p"});
  const Json both = must_write("sys/capabilities-self", {{"paths", {"a/x", "b"}}}, token).data;
  EXPECT_EQ(both.at("a/x"), Json({"list", "read"}));
  EXPECT_EQ(both.at("b"), Json({"deny"}));
  EXPECT_FALSE(both.contains("capabilities"));
  const Json one = must_write("sys/capabilities", {{"path", "a/x"}, {"token", token}}).data;
  EXPECT_EQ(one.at("capabilities"), Json({"list", "read"}));
  const std::string accessor = must_read("auth/token/lookup-self", token).at("accessor");
  EXPECT_EQ(
      must_write("sys/capabilities-accessor", {{"path", "x"}, {"accessor", accessor}}).data.at("x"),
      Json({"deny"}));
  EXPECT_EQ(must_write("sys/capabilities-self", {{"path", "x"}}).data.at("x"), Json({"root"}));
  EXPECT_EQ(must_read("sys/internal/ui/resultant-acl", token)
                .at("glob_paths")
                .at("a/")
                .at("capabilities"),
            Json({"list", "read"}));
}

TEST_F(PolicyPathsTest, password_policies_make_passwords) {
  const std::string text = "length=20\nrule \"charset\" { charset = \"abcdef\" min-chars = 1 }";
  must_write("sys/policies/password/pp", {{"policy", base64_encode(text)}});
  EXPECT_EQ(must_read("sys/policies/password/pp").at("policy"), text);
  const std::string password = must_read("sys/policies/password/pp/generate").at("password");
  EXPECT_EQ(password.size(), 20u);
  EXPECT_EQ(password.find_first_not_of("abcdef"), std::string::npos);
  EXPECT_EQ(list("sys/policies/password")->data.at("keys"), Json({"pp"}));
  EXPECT_TRUE(remove("sys/policies/password/pp").has_value());
  EXPECT_EQ(code_of(read("sys/policies/password/pp/generate")), Errc::kNotFound);
  EXPECT_FALSE(write("sys/policies/password/bad", {{"policy", "length = 1"}}).has_value());
}

}  // namespace
}  // namespace curfew::broker
