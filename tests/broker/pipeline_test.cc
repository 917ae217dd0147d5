#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class PipelineTest : public BrokerWorld {
 protected:
  PipelineTest() {
    must_write("sys/mounts/kv", {{"type", "kv"}});
    must_write("sys/mounts/db", {{"type", "scripted"}});
  }
};

TEST_F(PipelineTest, unknown_paths_and_operations_have_their_answers) {
  const auto no_route = read("nope/x");
  EXPECT_EQ(code_of(no_route), Errc::kUnsupportedPath);
  EXPECT_EQ(no_route.error().message, "no handler for route 'nope/x'");
  EXPECT_EQ(code_of(read("db/nope")), Errc::kUnsupportedPath);
  EXPECT_EQ(code_of(remove("db/creds/ro")), Errc::kUnsupportedOperation);
  EXPECT_EQ(code_of(read("sys/nope")), Errc::kUnsupportedPath);
  EXPECT_EQ(code_of(remove("sys/mounts")), Errc::kUnsupportedOperation);
}

TEST_F(PipelineTest, what_exists_is_not_told_to_those_who_may_not_know) {
  const std::string token = make_token({"default"});
  for (const char* path : {"nope/x", "db/nope", "db/creds/ro", "sys/nope", "sys/mounts", "kv/a"})
    EXPECT_EQ(code_of(read(path, token)), Errc::kPermissionDenied) << path;
}

TEST_F(PipelineTest, creating_and_updating_are_told_apart) {
  write_policy("creator", R"(path "kv/*" { capabilities = ["create"] })");
  const std::string token = make_token({"creator"});
  EXPECT_TRUE(write("kv/new", {{"a", "1"}}, token).has_value());
  EXPECT_EQ(code_of(write("kv/new", {{"a", "2"}}, token)), Errc::kPermissionDenied);
}

TEST_F(PipelineTest, parameter_rules_are_enforced) {
  write_policy("p", R"(path "kv/p" {
    capabilities = ["create", "update"]
    allowed_parameters = { "a" = ["x"] }
  })");
  const std::string token = make_token({"p"});
  EXPECT_TRUE(write("kv/p", {{"a", "x"}}, token).has_value());
  EXPECT_EQ(code_of(write("kv/p", {{"a", "y"}}, token)), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(write("kv/p", {{"b", "x"}}, token)), Errc::kPermissionDenied);
}

TEST_F(PipelineTest, protected_paths_need_sudo) {
  write_policy("almost", R"(path "sys/*" { capabilities = ["read", "update", "list", "delete"] })");
  write_policy("enough",
               R"(path "sys/*" { capabilities = ["read", "update", "list", "delete", "sudo"] })");
  const std::string almost = make_token({"almost"}), enough = make_token({"enough"});
  for (const char* path : {"sys/audit", "sys/leases"}) {
    EXPECT_EQ(code_of(read(path, almost)), Errc::kPermissionDenied) << path;
    EXPECT_TRUE(read(path, enough).has_value()) << path;
  }
  EXPECT_EQ(code_of(write("sys/leases/revoke-prefix/db/", {{"sync", false}}, almost)),
            Errc::kPermissionDenied);
  EXPECT_TRUE(write("sys/leases/revoke-prefix/db/", {{"sync", false}}, enough).has_value());
  EXPECT_EQ(code_of(list("sys/leases/lookup/db/", almost)), Errc::kPermissionDenied);
}

TEST_F(PipelineTest, a_path_that_nobody_could_approve_is_refused_and_makes_nothing) {
  write_policy("guarded", R"(path "db/creds/rw" {
    capabilities = ["read"]
    control_group = { factor "boss" { identity { group_names = ["managers"] approvals = 1 } } }
  })");
  const auto refused = read("db/creds/rw", make_token({"guarded"}));
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("nobody could approve this"));
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(PipelineTest, a_namespace_that_there_is_not_is_refused_and_not_ignored) {
  extra_.name_space = "team-a/";
  EXPECT_EQ(code_of(read("db/creds/ro")), Errc::kUnsupportedPath);
  extra_.name_space = "root";
  EXPECT_TRUE(read("db/creds/ro").has_value());
}

TEST_F(PipelineTest, help_describes_a_path_and_does_nothing) {
  extra_.help = true;
  const auto help = read("db/creds/ro");
  ASSERT_TRUE(help.has_value());
  EXPECT_EQ(help->data.at("help"), "A name.");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(PipelineTest, the_api_description_names_what_is_served) {
  const Json api = must_read("sys/internal/specs/openapi", "");
  EXPECT_EQ(api.at("openapi"), "3.0.2");
  const Json& paths = api.at("paths");
  EXPECT_TRUE(paths.at("/v1/db/creds/{role}").contains("get"));
  EXPECT_TRUE(paths.at("/v1/sys/leases/revoke").contains("post"));
  EXPECT_TRUE(paths.at("/v1/auth/token/create").at("post").contains("requestBody"));
  std::set<std::string> ids;
  for (const auto& [path, item] : paths.items())
    for (const auto& [verb, operation] : item.items()) {
      if (verb == "parameters") continue;
      EXPECT_TRUE(ids.insert(operation.at("operationId")).second) << path << " " << verb;
    }
}

TEST_F(PipelineTest, engine_errors_reach_the_caller) {
  EXPECT_EQ(code_of(read("db/fail")), Errc::kRefused);
}

TEST_F(PipelineTest, a_store_that_fails_refuses_and_recovers) {
  database_->set_down(true);
  EXPECT_EQ(code_of(read("kv/a")), Errc::kUnavailable);
  EXPECT_EQ(code_of(read("db/creds/ro")), Errc::kUnavailable);
  database_->set_down(false);
  EXPECT_TRUE(read("db/creds/ro").has_value());
}

TEST_F(PipelineTest, purpose_session_and_trace_are_kept_on_the_lease) {
  extra_.purpose = "report\x07";
  extra_.session = "s1";
  extra_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto issued = read("db/creds/ro");
  ASSERT_TRUE(issued.has_value());
  extra_ = {};
  const Json by =
      must_write("sys/leases/lookup", {{"lease_id", issued->lease_id}}).data.at("attribution");
  EXPECT_EQ(by.at("purpose"), "report");
  EXPECT_EQ(by.at("session"), "s1");
  EXPECT_EQ(by.at("trace_id"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(by.at("remote_address"), "127.0.0.1");
}

}  // namespace
}  // namespace curfew::broker
