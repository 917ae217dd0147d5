#include "broker/auth/builtin_methods.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class UserpassTest : public BrokerWorld {
 protected:
  UserpassTest() {
    must_write("sys/auth/userpass", {{"type", "userpass"}});
    must_write("auth/userpass/users/ana", {{"password", "pw-ana"},
                                           {"token_policies", "reader"},
                                           {"token_ttl", "1h"},
                                           {"token_max_ttl", "2h"}});
    must_write("sys/mounts/kv", {{"type", "kv"}});
    must_write("kv/a", {{"x", "y"}});
    write_policy("reader", R"(path "kv/*" { capabilities = ["read"] })");
  }

  Result<Response> login(const std::string& name, const Json& password) {
    return call(Operation::kUpdate, "auth/userpass/login/" + name, {{"password", password}}, "");
  }
  Auth must_login(const std::string& name = "ana", const std::string& password = "pw-ana") {
    auto answer = login(name, password);
    if (!answer) throw std::runtime_error(answer.error().message);
    return *answer->auth;
  }
  std::string accessor() {
    return must_read("sys/auth").at("userpass/").at("accessor").get<std::string>();
  }
};

TEST_F(UserpassTest, the_right_password_gives_a_token_of_the_users_rules) {
  const Auth auth = must_login();
  EXPECT_EQ(auth.token_policies, (std::vector<std::string>{"default", "reader"}));
  EXPECT_EQ(auth.lease_duration, std::chrono::hours{1});
  EXPECT_TRUE(auth.renewable);
  EXPECT_TRUE(auth.orphan);
  EXPECT_EQ(auth.metadata, (Json{{"username", "ana"}}));
  const std::string token = auth.client_token.reveal();
  EXPECT_EQ(must_read("kv/a", token).at("x"), "y");
  const Json self = must_read("auth/token/lookup-self", token);
  EXPECT_EQ(self.at("display_name"), "userpass-ana");
  EXPECT_EQ(self.at("path"), "auth/userpass/login/ana");
}

TEST_F(UserpassTest, every_wrong_login_gets_the_same_answer) {
  const auto wrong = login("ana", "pw-bob");
  const auto unknown = login("nobody", "pw-ana");
  ASSERT_FALSE(wrong);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(wrong.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(wrong.error().message, "invalid username or password");
  EXPECT_EQ(unknown.error().code, wrong.error().code);
  EXPECT_EQ(unknown.error().message, wrong.error().message);
  for (const char* name : {"ana", "nobody"}) {
    EXPECT_EQ(login(name, "").error().message, "missing password");
    EXPECT_EQ(login(name, Json()).error().message, "missing password");
    EXPECT_EQ(code_of(login(name, Json{{"a", 1}})), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(login(name, std::string(5000, 'x'))), Errc::kInvalidArgument);
  }
}

TEST_F(UserpassTest, names_are_the_same_in_either_case) {
  EXPECT_EQ(must_login("ANA").metadata.at("username"), "ana");
  must_write("auth/userpass/users/Bob.Smith@example.com", {{"password", "b"}});
  EXPECT_EQ(must_login("bob.smith@EXAMPLE.com", "b").metadata.at("username"),
            "bob.smith@example.com");
  EXPECT_EQ(list("auth/userpass/users")->data.at("keys"), (Json{"ana", "bob.smith@example.com"}));
}

TEST_F(UserpassTest, a_user_is_read_without_the_password_and_removed) {
  const Json user = must_read("auth/userpass/users/ana");
  EXPECT_EQ(user.at("token_policies"), Json{"reader"});
  EXPECT_EQ(user.at("policies"), Json{"reader"});
  EXPECT_EQ(user.at("token_ttl"), 3600);
  EXPECT_EQ(user.at("token_max_ttl"), 7200);
  EXPECT_EQ(user.dump().find("hash"), std::string::npos);
  EXPECT_TRUE(remove("auth/userpass/users/ana"));
  EXPECT_TRUE(remove("auth/userpass/users/ana"));
  EXPECT_EQ(code_of(read("auth/userpass/users/ana")), Errc::kNotFound);
  EXPECT_EQ(login("ana", "pw-ana").error().message, "invalid username or password");
}

TEST_F(UserpassTest, a_new_user_needs_a_password_and_a_change_needs_none) {
  EXPECT_THAT(write("auth/userpass/users/eve", {{"policies", "reader"}}).error().message,
              HasSubstr("missing password"));
  must_write("auth/userpass/users/ana", {{"policies", "reader,writer"}, {"ttl", "5m"}});
  const Auth auth = must_login();
  EXPECT_EQ(auth.token_policies, (std::vector<std::string>{"default", "reader", "writer"}));
  EXPECT_EQ(auth.lease_duration, std::chrono::minutes{5});
}

TEST_F(UserpassTest, passwords_and_policies_are_set_alone) {
  must_write("auth/userpass/users/ana/password", {{"password", "other"}});
  EXPECT_FALSE(login("ana", "pw-ana"));
  must_write("auth/userpass/users/ana/policies", {{"policies", "default"}});
  EXPECT_EQ(must_login("ana", "other").token_policies, std::vector<std::string>{"default"});
  for (const char* path : {"users/nobody/password", "users/nobody/policies"})
    EXPECT_THAT(
        write(std::string("auth/userpass/") + path, {{"password", "x"}, {"policies", "default"}})
            .error()
            .message,
        HasSubstr("username does not exist"));
  EXPECT_EQ(code_of(write("auth/userpass/users/ana/password")), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("auth/userpass/users/ana/policies")), Errc::kInvalidArgument);
}

TEST_F(UserpassTest, bad_users_are_refused) {
  const Json bad[] = {
      {{"password", "x"}, {"token_policies", "root"}},
      {{"password", "x"}, {"token_ttl", "soon"}},
      {{"password", "x"}, {"token_ttl", "2h"}, {"token_max_ttl", "1h"}},
      {{"password", "x"}, {"token_bound_cidrs", "10.0.0/8"}},
      {{"password", Json::array({"x"})}},
      {{"password", std::string(5000, 'x')}},
      {{"password_hash", "$2a$10$abc"}},
  };
  for (const Json& data : bad) {
    EXPECT_EQ(code_of(write("auth/userpass/users/eve", data)), Errc::kInvalidArgument) << data;
    EXPECT_EQ(code_of(read("auth/userpass/users/eve")), Errc::kNotFound) << data;
  }
  EXPECT_EQ(code_of(write("auth/userpass/users/" + std::string(300, 'x'), {{"password", "x"}})),
            Errc::kInvalidArgument);
  for (const char* path : {"users/-a", "users/a b", "users/a/b", "users/@a", "login/../ana"})
    EXPECT_FALSE(write(std::string("auth/userpass/") + path, {{"password", "x"}})) << path;
}

TEST_F(UserpassTest, writing_users_needs_the_policy_and_tells_create_from_update) {
  write_policy("updater", R"(path "auth/userpass/users/*" { capabilities = ["update"] })");
  const std::string token = make_token({"updater"});
  EXPECT_TRUE(write("auth/userpass/users/ana", {{"token_ttl", "9m"}}, token));
  EXPECT_EQ(code_of(write("auth/userpass/users/eve", {{"password", "x"}}, token)),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(write("auth/userpass/users/eve", {{"password", "x"}}, "")),
            Errc::kUnauthenticated);
}

TEST_F(UserpassTest, five_failures_shut_a_user_and_an_operator_opens_it) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(code_of(login("ana", "no")), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(login("ana", "pw-ana")), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(login("ANA", "pw-ana")), Errc::kPermissionDenied);
  // One that does not exist is shut just so.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(code_of(login("nobody", "no")), Errc::kInvalidArgument);
  EXPECT_EQ(login("nobody", "no").error().message, login("ana", "no").error().message);
  const Json locked = must_read("sys/locked-users");
  EXPECT_EQ(locked.at("total"), 2);
  const Json& mount = locked.at("by_namespace").at(0).at("mount_accessors").at(0);
  EXPECT_EQ(mount.at("mount_accessor"), accessor());
  EXPECT_EQ(mount.at("alias_identifiers"), (Json{"ana", "nobody"}));
  must_write("sys/locked-users/" + accessor() + "/unlock/ana");
  must_login();
  clock_.advance(std::chrono::minutes{15});
  EXPECT_EQ(code_of(login("nobody", "no")), Errc::kInvalidArgument);
}

TEST_F(UserpassTest, the_lock_out_is_the_mounts_setting) {
  must_write("sys/auth/userpass/tune",
             {{"user_lockout_config", {{"lockout_threshold", "2"}, {"lockout_duration", "1m"}}}});
  const Json tuned = must_read("sys/auth/userpass/tune");
  EXPECT_EQ(tuned.at("user_lockout_threshold"), 2);
  EXPECT_EQ(tuned.at("user_lockout_duration"), 60);
  restart();
  EXPECT_FALSE(login("ana", "no"));
  EXPECT_FALSE(login("ana", "no"));
  EXPECT_EQ(code_of(login("ana", "pw-ana")), Errc::kPermissionDenied);
  clock_.advance(std::chrono::minutes{1});
  must_login();
  must_write("sys/mounts/auth/userpass/tune",
             {{"user_lockout_config", {{"lockout_disable", true}}}});
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(login("ana", "no"));
  must_login();
  for (const Json& bad : {Json{{"lockout_threshold", -1}}, Json{{"lockout_duration", "0"}},
                          Json{{"lockout_disable", "perhaps"}}})
    EXPECT_EQ(code_of(write("sys/auth/userpass/tune", {{"user_lockout_config", bad}})),
              Errc::kInvalidArgument)
        << bad;
}

TEST_F(UserpassTest, too_many_logins_get_429_and_when_to_come_back) {
  must_write("sys/config/login-limits", {{"attempts_per_address", 3}});
  EXPECT_EQ(must_read("sys/config/login-limits").at("attempts_per_address"), 3);
  for (int i = 0; i < 3; ++i) must_login();
  std::vector<AnswerHeader> headers;
  extra_.answer_headers = &headers;
  EXPECT_EQ(code_of(login("ana", "pw-ana")), Errc::kQuotaExceeded);
  ASSERT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers[0].name, "Retry-After");
  EXPECT_EQ(headers[0].value, "4");
  extra_.answer_headers = nullptr;
  extra_.remote_address = "192.0.2.9";
  must_login();
  EXPECT_EQ(code_of(write("sys/config/login-limits", {{"attempts_per_address", -3}})),
            Errc::kInvalidArgument);
}

TEST_F(UserpassTest, a_token_is_renewed_while_the_user_is_the_same) {
  const std::string token = must_login().client_token.reveal();
  clock_.advance(std::chrono::minutes{30});
  EXPECT_EQ(must_write("auth/token/renew-self", Json::object(), token).auth->lease_duration,
            std::chrono::hours{1});
  must_write("auth/userpass/users/ana", {{"token_policies", "other"}});
  EXPECT_THAT(write("auth/token/renew-self", Json::object(), token).error().message,
              HasSubstr("policies have changed"));
  must_write("auth/userpass/users/ana", {{"token_policies", "reader"}});
  EXPECT_TRUE(write("auth/token/renew-self", Json::object(), token));
  // Another user of the same name is another one.
  EXPECT_TRUE(remove("auth/userpass/users/ana"));
  must_write("auth/userpass/users/ana", {{"password", "pw-ana"}, {"token_policies", "reader"}});
  EXPECT_THAT(write("auth/token/renew-self", Json::object(), token).error().message,
              HasSubstr("does not exist any more"));
}

TEST_F(UserpassTest, bound_networks_hold_at_the_login_and_afterwards) {
  must_write("auth/userpass/users/ana", {{"token_bound_cidrs", "10.0.0.0/8"}});
  EXPECT_EQ(code_of(login("ana", "pw-ana")), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(login("ana", "no")), Errc::kInvalidArgument);
  extra_.remote_address = "10.1.2.3";
  const std::string token = must_login().client_token.reveal();
  EXPECT_TRUE(read("kv/a", token));
  extra_.remote_address = "192.0.2.1";
  EXPECT_FALSE(read("kv/a", token));
}

TEST_F(UserpassTest, users_survive_a_restart_and_no_edit_of_the_file) {
  restart();
  must_login();
  must_write("auth/userpass/users/root2", {{"password", "known"}, {"token_policies", "admin"}});
  // The sealed row of one user under the name of another.
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE name = 'user/root2') "
      "WHERE name = 'user/ana'");
  EXPECT_EQ(code_of(login("ana", "known")), Errc::kCorrupt);
  EXPECT_EQ(code_of(login("ana", "pw-ana")), Errc::kCorrupt);
}

TEST_F(UserpassTest, a_hash_of_another_cost_is_made_anew_at_the_login) {
  auth_methods_ = AuthRegistry();
  add_builtin_auth_methods(auth_methods_, {.cost = {.memory_kib = 256, .passes = 2}});
  const auto row = [&] {
    std::string sealed;
    const Status read = database_->read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto found,
                       reader.query_one("SELECT sealed FROM records WHERE name = 'user/ana'", {}));
      sealed = found->blob(0);
      return ok();
    });
    EXPECT_TRUE(read.has_value());
    return sealed;
  };
  restart();
  const std::string before = row();
  EXPECT_FALSE(login("ana", "wrong"));
  EXPECT_EQ(row(), before);
  must_login();
  const std::string after = row();
  EXPECT_NE(after, before);
  must_login();
  EXPECT_EQ(row(), after);
}

TEST_F(UserpassTest, no_password_is_in_the_store) {
  must_write("auth/userpass/users/eve", {{"password", "the-only-copy-of-this"}});
  const Status read = database_->read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows, reader.query("SELECT name, sealed FROM records", {}));
    for (const store::Row& row : rows)
      EXPECT_EQ(row.blob(1).find("the-only-copy"), std::string::npos) << row.text(0);
    return ok();
  });
  EXPECT_TRUE(read.has_value());
}

}  // namespace
}  // namespace curfew::broker
