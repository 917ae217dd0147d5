// Who acts in a namespace: logins and identities of its own, the tokens that carry its mark,
// wrapped answers, and callers from above.
#include "tests/broker/identity_world.h"
#include "tests/broker/tenant_world.h"

namespace curfew::broker {
namespace {

using enum Operation;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class TenantAccessTest : public TenantWorld {
 protected:
  TenantAccessTest() {
    auth_methods_.add("open", [](const AuthServices&) {
      return Result<std::unique_ptr<AuthMethod>>(std::make_unique<OpenDoor>());
    });
    for (const char* name : {"team-a", "team-b"})
      must_in(name, kUpdate, "sys/auth/open", {{"type", "open"}});
  }

  Auth must_login(const std::string& name_space, const std::string& name) {
    const Response answer = must_in(name_space, kUpdate, "auth/open/login",
                                    {{"name", name}, {"policies", "agent"}}, "");
    EXPECT_TRUE(answer.auth.has_value());
    return answer.auth.value_or(Auth{});
  }
  std::string id_of(const std::string& name_space) {
    return must_read("sys/namespaces/" + name_space).at("id");
  }
};

TEST_F(TenantAccessTest, the_same_name_is_another_entity_in_each_namespace) {
  const auto a = must_login("team-a", "ana");
  const auto b = must_login("team-b", "ana");
  EXPECT_NE(a.entity_id, b.entity_id);
  EXPECT_THAT(a.client_token.reveal(), EndsWith("." + id_of("team-a")));
  const Json entity = must_in("team-a", kRead, "identity/entity/id/" + a.entity_id).data;
  EXPECT_EQ(entity.at("namespace_id"), id_of("team-a"));
  EXPECT_EQ(code_of(in("team-b", kRead, "identity/entity/id/" + a.entity_id)), Errc::kNotFound);
  EXPECT_EQ(code_of(read("identity/entity/id/" + a.entity_id)), Errc::kNotFound);
  // What is taken from the one is not taken from the other.
  must_in("team-a", kUpdate, "identity/entity/id/" + a.entity_id, {{"disabled", true}});
  EXPECT_EQ(code_of(in("team-a", kRead, "db/creds/ro", {}, a.client_token.reveal())),
            Errc::kPermissionDenied);
  issue_in("team-b", b.client_token.reveal());
  restart();
  EXPECT_EQ(must_login("team-b", "ana").entity_id, b.entity_id);
}

TEST_F(TenantAccessTest, a_method_of_one_namespace_is_not_there_in_another) {
  must_in("team-a", kDelete, "sys/auth/open");
  EXPECT_FALSE(in("team-a", kUpdate, "auth/open/login", {{"name", "ana"}}, "").has_value());
  must_login("team-b", "ana");
  EXPECT_FALSE(write("auth/open/login", {{"name", "ana"}}, "").has_value());
}

TEST_F(TenantAccessTest, batch_tokens_belong_to_their_namespace) {
  const std::string batch = token_in("team-a", {"agent"}, {{"type", "batch"}, {"ttl", "5m"}});
  EXPECT_THAT(batch, EndsWith("." + id_of("team-a")));
  issue_in("team-a", batch);
  EXPECT_EQ(code_of(in("team-b", kRead, "db/creds/ro", {}, batch)), Errc::kUnauthenticated);
  EXPECT_EQ(code_of(read("auth/token/lookup-self", batch)), Errc::kUnauthenticated);
  const std::string bare = batch.substr(0, batch.rfind('.'));
  for (const std::string& other : {bare, bare + "." + id_of("team-b")})
    for (const std::string where : {"", "team-a", "team-b"})
      EXPECT_EQ(code_of(in(where, kRead, "auth/token/lookup-self", {}, other)),
                Errc::kUnauthenticated);
}

TEST_F(TenantAccessTest, who_has_a_wrapping_token_needs_no_namespace_to_open_it) {
  const std::string a = token_in("team-a", {"agent"});
  const auto wrapped = [&] {
    extra_.wrap_ttl = Seconds{60};
    const Response answer = must_in("team-a", kRead, "db/creds/ro", Json::object(), a);
    extra_.wrap_ttl.reset();
    EXPECT_TRUE(answer.wrap_info.has_value());
    return answer.wrap_info ? std::string(answer.wrap_info->token.reveal()) : "";
  };
  for (const std::string where : {"", "team-a", "team-b", "nowhere"}) {
    const std::string token = wrapped();
    EXPECT_EQ(must_in(where, kUpdate, "sys/wrapping/lookup", {{"token", token}}, token)
                  .data.at("creation_path"),
              "db/creds/ro");
    EXPECT_TRUE(in(where, kUpdate, "sys/wrapping/unwrap", Json::object(), token).has_value());
    EXPECT_FALSE(in(where, kUpdate, "sys/wrapping/unwrap", Json::object(), token).has_value());
  }
  EXPECT_EQ(live_in("team-a"), 4);
  // One that nobody opens ends what it held, there.
  wrapped();
  clock_.advance(Seconds{61});
  run_due();
  run_due();
  EXPECT_EQ(live_in("team-a"), 4);
}

TEST_F(TenantAccessTest, a_sub_agents_budget_counts_what_it_leases_below_too) {
  must_write("identity/entity", {{"name", "ada"}, {"kind", "human"}});
  must_write("identity/agent/etl", {{"owner", "ada"}, {"policies", {"below"}}});
  write_policy("below", R"(path "team-a/db/creds/*" { capabilities = ["read"] }
                           path "team-b/db/creds/*" { capabilities = ["read"] })");
  const std::string agent =
      must_write("auth/token/create", {{"agent", "etl"}, {"policies", {"below", "default"}}})
          .auth->client_token.reveal();
  write_policy("below", R"(path "team-a/db/creds/*" { capabilities = ["read"] }
                           path "team-b/db/creds/*" { capabilities = ["read"] }
                           path "auth/token/create" { capabilities = ["update"] })");
  const std::string task =
      must_write("auth/token/create", {{"sub_agent", "load"}, {"max_live_leases", 2}}, agent)
          .auth->client_token.reveal();
  issue_in("team-a", task);
  issue_in("team-b", task);
  for (const char* where : {"team-a", "team-b"})
    EXPECT_THAT(in(where, kRead, "db/creds/ro", Json::object(), task).error().message,
                HasSubstr("budget"));
  // Tokens of another namespace would be bound by none of this.
  write_policy("below", R"(path "*" { capabilities = ["update", "sudo"] })");
  for (const std::string& token : {agent, task})
    EXPECT_EQ(code_of(in("team-a", kUpdate, "auth/token/create", {{"policies", {"agent"}}}, token)),
              Errc::kPermissionDenied);
  // The tree ends, and what it leased below with it.
  must_write("auth/token/revoke", {{"token", agent}});
  run_due();
  run_due();
  EXPECT_EQ(live_in("team-a") + live_in("team-b"), 0);
}

TEST_F(TenantAccessTest, the_allowed_roles_of_an_agent_have_the_namespaces_path) {
  must_write("identity/entity", {{"name", "ada"}, {"kind", "human"}});
  must_write("identity/agent/etl",
             {{"owner", "ada"}, {"policies", {"below"}}, {"allowed_roles", {"team-a/db/ro"}}});
  write_policy("below", R"(path "+/db/creds/*" { capabilities = ["read"] })");
  const std::string agent =
      must_write("auth/token/create", {{"agent", "etl"}, {"policies", {"below"}}})
          .auth->client_token.reveal();
  issue_in("team-a", agent);
  EXPECT_THAT(in("team-b", kRead, "db/creds/ro", Json::object(), agent).error().message,
              HasSubstr("team-b/db/ro"));
}

TEST_F(TenantAccessTest, strangers_do_not_learn_whether_a_namespace_exists) {
  for (const std::string path : {"sys/internal/ui/mounts", "sys/internal/ui/mounts/db"}) {
    const auto there = read("team-a/" + path, "");
    const auto nowhere = read("nowhere/" + path, "");
    EXPECT_EQ(there.has_value(), nowhere.has_value()) << path;
    if (there) {
      EXPECT_EQ(there->data, nowhere->data);
    } else {
      EXPECT_EQ(there.error().message, nowhere.error().message);
    }
  }
}

}  // namespace
}  // namespace curfew::broker
