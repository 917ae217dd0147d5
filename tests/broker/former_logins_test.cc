// What is left of those who could log in once, after they or what they logged in by are gone.
#include "tests/broker/identity_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class FormerLoginsTest : public IdentityAccessTest {
 protected:
  Errc login_code(const std::string& name) {
    return code_of(call(Operation::kUpdate, "auth/open/login", {{"name", name}}, ""));
  }
  // The only one there is.
  std::string retired_id() { return list("identity/retired-alias")->data.at("keys").at(0); }
  std::string name_of(const std::string& entity) {
    return must_read("identity/entity/id/" + entity).at("name");
  }
  std::string entity_at(const std::string& path, const Json& data) {
    const auto answer = call(Operation::kUpdate, path, data, "");
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    return answer ? answer->auth->entity_id : "";
  }
};

TEST_F(FormerLoginsTest, a_deleted_agents_login_is_refused_until_it_is_freed) {
  const Session bot = must_have_agent("bot", {{"ceiling_policies", {"leaser"}}});
  ASSERT_TRUE(remove("identity/agent/bot").has_value());
  EXPECT_EQ(login_code("bot"), Errc::kPermissionDenied);
  restart();
  EXPECT_EQ(login_code("bot"), Errc::kPermissionDenied);
  const Json info = list("identity/retired-alias")->data.at("key_info").at(retired_id());
  EXPECT_EQ(info.at("name"), "bot");
  EXPECT_EQ(info.at("entity_name"), "bot");
  EXPECT_EQ(info.at("mount_path"), "auth/open/");
  EXPECT_EQ(info.at("refused"), true);
  write_policy("no-sudo", R"(path "identity/*" { capabilities = ["delete", "update"] })");
  const std::string path = "identity/retired-alias/" + retired_id();
  EXPECT_EQ(code_of(remove(path, make_token({"no-sudo"}))), Errc::kPermissionDenied);
  ASSERT_TRUE(remove(path).has_value());
  EXPECT_EQ(code_of(remove(path)), Errc::kNotFound);
  EXPECT_NE(must_login("bot").entity, bot.entity);
}

TEST_F(FormerLoginsTest, a_login_whose_alias_is_taken_from_an_agent_is_refused) {
  const Session bot = must_have_agent("bot", {{"ceiling_policies", {"leaser"}}});
  const std::string alias =
      must_read("identity/agent/bot").at("aliases").at(0).at("id").get<std::string>();
  ASSERT_TRUE(remove("identity/entity-alias/id/" + alias).has_value());
  EXPECT_EQ(login_code("bot"), Errc::kPermissionDenied);
  // Tied to it again, it is the agent's.
  must_write("identity/entity-alias",
             {{"name", "bot"}, {"mount_accessor", accessor_}, {"canonical_id", bot.entity}});
  EXPECT_EQ(must_login("bot").entity, bot.entity);
  EXPECT_EQ(code_of(list("identity/retired-alias")), Errc::kNotFound);
}

TEST_F(FormerLoginsTest, who_was_disabled_does_not_come_back_by_being_deleted) {
  const Session ana = must_login("ana");
  must_write("identity/entity/id/" + ana.entity, {{"disabled", true}});
  ASSERT_TRUE(remove("identity/entity/id/" + ana.entity).has_value());
  EXPECT_EQ(login_code("ana"), Errc::kPermissionDenied);
  // Whoever was not is somebody new, as in Vault.
  const Session bea = must_login("bea");
  ASSERT_TRUE(remove("identity/entity/id/" + bea.entity).has_value());
  EXPECT_NE(must_login("bea").entity, bea.entity);
}

TEST_F(FormerLoginsTest, a_login_that_somebody_had_is_tied_to_another_with_sudo_only) {
  const Session ana = must_login("ana");
  const std::string alias =
      must_read("identity/entity/id/" + ana.entity).at("aliases").at(0).at("id");
  const Json wanted = {{"name", "ana"},
                       {"mount_accessor", accessor_},
                       {"canonical_id", must_read("identity/entity/name/ada").at("id")}};
  write_policy("aliases", R"(path "identity/entity-alias*" {
    capabilities = ["create", "update", "delete"] })");
  const std::string token = make_token({"aliases"});
  ASSERT_TRUE(remove("identity/entity-alias/id/" + alias, token).has_value());
  const auto taken = write("identity/entity-alias", wanted, token);
  EXPECT_EQ(code_of(taken), Errc::kPermissionDenied);
  EXPECT_THAT(taken.error().message, HasSubstr("sudo"));
  must_write("identity/entity-alias", wanted);
  EXPECT_EQ(name_of(must_login("ana").entity), "ada");
}

TEST_F(FormerLoginsTest, merging_frees_no_login_of_an_agent) {
  const Session bot = must_have_agent("bot", {{"ceiling_policies", {"leaser"}}});
  const Session other = must_login("other");
  const auto id_at = [&](const std::string& entity) {
    return must_read("identity/entity/id/" + entity).at("aliases").at(0).at("id");
  };
  must_write("identity/entity/merge", {{"from_entity_ids", {other.entity}},
                                       {"to_entity_id", bot.entity},
                                       {"conflicting_alias_ids_to_keep", {id_at(other.entity)}}});
  EXPECT_EQ(must_login("other").entity, bot.entity);
  EXPECT_EQ(login_code("bot"), Errc::kPermissionDenied);
}

TEST_F(FormerLoginsTest, a_user_of_a_name_that_is_used_again_is_somebody_else) {
  must_write("sys/auth/userpass", {{"type", "userpass"}});
  const Json password = {{"password", "correct horse"}};
  must_write("auth/userpass/users/ana", password);
  const std::string first = entity_at("auth/userpass/login/ana", password);
  must_write("auth/userpass/users/ana", {{"token_ttl", "1h"}});
  EXPECT_EQ(entity_at("auth/userpass/login/ana", password), first) << "it was only changed";
  ASSERT_TRUE(remove("auth/userpass/users/ana").has_value());
  must_write("auth/userpass/users/ana", password);
  EXPECT_NE(entity_at("auth/userpass/login/ana", password), first);
}

TEST_F(FormerLoginsTest, a_role_id_that_is_used_again_is_somebody_else) {
  must_write("sys/auth/approle", {{"type", "approle"}});
  const Json role = {{"role_id", "ci"},
                     {"bind_secret_id", false},
                     {"token_policies", "reader"},
                     {"token_bound_cidrs", "127.0.0.0/8"}};
  extra_.remote_address = "127.0.0.1";
  must_write("auth/approle/role/ci", role);
  const Json login = {{"role_id", "ci"}};
  const std::string first = entity_at("auth/approle/login", login);
  ASSERT_TRUE(remove("auth/approle/role/ci").has_value());
  must_write("auth/approle/role/another", role);
  const std::string second = entity_at("auth/approle/login", login);
  EXPECT_NE(second, first);
  // One that gives its id up does not leave its identity with it.
  must_write("auth/approle/role/another/role-id", {{"role_id", "cd"}});
  must_write("auth/approle/role/third", role);
  EXPECT_NE(entity_at("auth/approle/login", login), second);
  // An agent's stays refused.
  must_write("auth/approle/role/bot",
             {{"role_id", "bot"}, {"bind_secret_id", false}, {"token_bound_cidrs", "127.0.0.0/8"}});
  const std::string bot = entity_at("auth/approle/login", {{"role_id", "bot"}});
  must_write("identity/agent/bot", {{"owner", "ada"}, {"entity_id", bot}});
  ASSERT_TRUE(remove("auth/approle/role/bot").has_value());
  must_write("auth/approle/role/new-bot",
             {{"role_id", "bot"}, {"bind_secret_id", false}, {"token_bound_cidrs", "127.0.0.0/8"}});
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/approle/login", {{"role_id", "bot"}}, "")),
            Errc::kPermissionDenied);
}

TEST_F(FormerLoginsTest, leases_of_tokens_without_a_row_end_with_their_method) {
  const Json wanted = {{"name", "job"}, {"policies", "leaser"}, {"type", "batch"}};
  const auto job = call(Operation::kUpdate, "auth/open/login", wanted, "");
  ASSERT_TRUE(job.has_value()) << job.error().message;
  const auto issued = read("db/creds/ro", job->auth->client_token.reveal());
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  must_write("sys/auth/second", {{"type", "open"}});
  const auto other = call(Operation::kUpdate, "auth/second/login", wanted, "");
  const std::string kept = read("db/creds/ro", other->auth->client_token.reveal())->lease_id;
  clock_.advance(Seconds{30});
  must_write("sys/leases/renew", {{"lease_id", issued->lease_id}});
  ASSERT_TRUE(remove("sys/auth/open").has_value());
  run_due();
  const auto state_of = [&](const std::string& lease) {
    return must_write("sys/leases/receipt", {{"lease_id", lease}}).data.at("state");
  };
  EXPECT_EQ(state_of(issued->lease_id), "revoked");
  EXPECT_EQ(state_of(kept), "active");
}

TEST_F(FormerLoginsTest, what_waits_for_somebody_who_was_disabled_is_not_handed_out) {
  const Session bot = must_have_agent("bot", Json::object());
  extra_.wrap_ttl = Seconds{60};
  const auto lease = read("db/creds/ro", bot.token);
  const auto value = read("kv/a", bot.token);
  const auto token = call(Operation::kUpdate, "auth/open/login", {{"name", "bot"}}, "");
  extra_.wrap_ttl.reset();
  ASSERT_TRUE(lease && lease->wrap_info && token && token->wrap_info);
  const auto open = [&](const Result<Response>& wrapped) {
    return write("sys/wrapping/unwrap", Json::object(), wrapped->wrap_info->token.reveal());
  };
  must_write("identity/agent/bot/disable");
  EXPECT_EQ(code_of(open(lease)), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(open(value)), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(open(token)), Errc::kPermissionDenied);
  must_write("identity/agent/bot/enable");
  EXPECT_TRUE(open(value).has_value());
  EXPECT_TRUE(open(lease).has_value()) << "nobody has spent it";
  must_write("identity/entity/name/ada", {{"disabled", true}});
  EXPECT_EQ(code_of(open(token)), Errc::kPermissionDenied) << "nobody answers for it";
}

// As a removal leaves it between its transaction and the table in memory.
TEST_F(FormerLoginsTest, a_method_that_is_being_removed_does_not_come_back_by_being_tuned) {
  tamper("DELETE FROM records WHERE scope = 'sys/auth' AND name = 'open/'");
  EXPECT_EQ(code_of(write("sys/auth/open/tune", {{"default_lease_ttl", "5m"}})),
            Errc::kInvalidArgument);
  restart();
  EXPECT_FALSE(must_read("sys/auth").contains("open/"));
}

}  // namespace
}  // namespace curfew::broker
