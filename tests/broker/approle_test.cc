#include <thread>

#include "broker/auth/approle/app_role_store.h"
#include "tests/broker/broker_world.h"
#include "tests/fakes/memory_storage.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class ApproleTest : public BrokerWorld {
 protected:
  ApproleTest() {
    must_write("sys/auth/approle", {{"type", "approle"}});
    must_write("auth/approle/role/agent",
               {{"token_policies", "reader"}, {"token_ttl", "20m"}, {"secret_id_num_uses", 1}});
    must_write("sys/mounts/kv", {{"type", "kv"}});
    must_write("kv/a", {{"x", "y"}});
    write_policy("reader", R"(path "kv/*" { capabilities = ["read"] })");
  }

  std::string role_id(const std::string& role = "agent") {
    return must_read("auth/approle/role/" + role + "/role-id").at("role_id").get<std::string>();
  }
  Json make_secret(const std::string& role = "agent", Json data = Json::object()) {
    return must_write("auth/approle/role/" + role + "/secret-id", std::move(data)).data;
  }
  std::string secret_id(const std::string& role = "agent", Json data = Json::object()) {
    return make_secret(role, std::move(data)).at("secret_id").get<std::string>();
  }
  Result<Response> login(const Json& role, const Json& secret) {
    Json data = Json::object();
    if (!role.is_null()) data["role_id"] = role;
    if (!secret.is_null()) data["secret_id"] = secret;
    return call(Operation::kUpdate, "auth/approle/login", std::move(data), "");
  }
  Auth must_login(const std::string& role, const std::string& secret) {
    auto answer = login(role, secret);
    if (!answer) throw std::runtime_error(answer.error().message);
    return *answer->auth;
  }
  std::string message_of(const Result<Response>& answer) {
    return answer ? "no error" : answer.error().message;
  }
  std::int64_t records() {
    std::int64_t count = 0;
    const Status read = database_->read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(
          const auto row,
          reader.query_one("SELECT count(*) FROM records WHERE scope LIKE 'auth/%'", {}));
      count = row->integer(0);
      return ok();
    });
    EXPECT_TRUE(read.has_value());
    return count;
  }
};

TEST_F(ApproleTest, a_role_id_and_a_secret_id_give_a_token_of_the_roles_rules) {
  const Json secret = make_secret("agent", {{"metadata", R"({"host":"ci-7"})"}});
  EXPECT_EQ(secret.at("secret_id_ttl"), 0);
  EXPECT_EQ(secret.at("secret_id_num_uses"), 1);
  const Auth auth = must_login(role_id(), secret.at("secret_id"));
  EXPECT_EQ(auth.token_policies, (std::vector<std::string>{"default", "reader"}));
  EXPECT_EQ(auth.lease_duration, std::chrono::minutes{20});
  EXPECT_EQ(auth.metadata, (Json{{"role_name", "agent"}, {"host", "ci-7"}}));
  EXPECT_TRUE(auth.orphan);
  const std::string token = auth.client_token.reveal();
  EXPECT_EQ(must_read("kv/a", token).at("x"), "y");
  const Json self = must_read("auth/token/lookup-self", token);
  EXPECT_EQ(self.at("display_name"), "approle-agent");
  EXPECT_EQ(self.at("path"), "auth/approle/login");
}

TEST_F(ApproleTest, every_wrong_login_gets_the_same_answer) {
  const std::string role = role_id();
  const std::string secret = secret_id();
  const std::string unknown = "9d4a7e05-0000-4000-8000-000000000000";
  for (const auto& [role_sent, secret_sent] :
       std::vector<std::pair<std::string, std::string>>{{unknown, secret},
                                                        {role, unknown},
                                                        {unknown, unknown},
                                                        {secret, role},
                                                        {"decoy", unknown},
                                                        {"none", unknown},
                                                        {std::string(600, 'x'), secret},
                                                        {role, std::string(5000, 'x')}}) {
    const auto answer = login(role_sent, secret_sent);
    EXPECT_EQ(code_of(answer), Errc::kInvalidArgument);
    EXPECT_EQ(message_of(answer), "invalid role or secret ID");
  }
  for (const std::string& sent : {role, unknown}) {
    EXPECT_EQ(message_of(login(sent, nullptr)), "missing secret_id");
    EXPECT_EQ(message_of(login(sent, " ")), "missing secret_id");
    EXPECT_EQ(code_of(login(sent, Json{{"a", 1}})), Errc::kInvalidArgument);
  }
  EXPECT_EQ(message_of(login(nullptr, secret)), "missing role_id");
  // None of these has used it up.
  must_login(" " + role + "\n", secret);
}

TEST_F(ApproleTest, a_mount_without_roles_answers_as_one_with_roles) {
  must_write("sys/auth/empty", {{"type", "approle"}});
  const auto answer = call(Operation::kUpdate, "auth/empty/login",
                           {{"role_id", role_id()}, {"secret_id", secret_id()}}, "");
  EXPECT_EQ(message_of(answer), "invalid role or secret ID");
}

TEST_F(ApproleTest, uses_are_counted) {
  const std::string once = secret_id();
  must_login(role_id(), once);
  EXPECT_EQ(message_of(login(role_id(), once)), "invalid role or secret ID");
  must_write("auth/approle/role/agent", {{"secret_id_num_uses", 3}});
  const Json thrice = make_secret();
  for (int left = 2; left >= 0; --left) {
    must_login(role_id(), thrice.at("secret_id"));
    const Json seen =
        must_write("auth/approle/role/agent/secret-id/lookup", {{"secret_id", thrice["secret_id"]}})
            .data;
    if (left > 0)
      EXPECT_EQ(seen.at("secret_id_num_uses"), left);
    else
      EXPECT_TRUE(seen.is_null());
  }
  EXPECT_FALSE(login(role_id(), thrice.at("secret_id")));
}

TEST_F(ApproleTest, one_use_is_one_use_however_many_try_at_once) {
  const std::string role = role_id();
  for (int round = 0; round < 5; ++round) {
    const std::string secret = secret_id();
    std::atomic<int> in = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 8; ++i)
      callers.emplace_back([&] { in += login(role, secret).has_value() ? 1 : 0; });
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(in, 1);
    clock_.advance(std::chrono::minutes{1});  // the guard has forgotten who failed
  }
}

TEST_F(ApproleTest, secret_ids_end) {
  must_write("auth/approle/role/agent", {{"secret_id_ttl", "10m"}, {"secret_id_num_uses", 0}});
  const Json secret = make_secret();
  EXPECT_EQ(secret.at("secret_id_ttl"), 600);
  const Json brief = make_secret("agent", {{"ttl", "1m"}});
  clock_.advance(std::chrono::minutes{1});
  EXPECT_FALSE(login(role_id(), brief.at("secret_id")));
  must_login(role_id(), secret.at("secret_id"));
  clock_.advance(std::chrono::minutes{9});
  EXPECT_EQ(message_of(login(role_id(), secret.at("secret_id"))), "invalid role or secret ID");
  EXPECT_TRUE(must_write("auth/approle/role/agent/secret-id/lookup",
                         {{"secret_id", secret.at("secret_id")}})
                  .data.is_null());
  EXPECT_EQ(code_of(write("auth/approle/role/agent/secret-id-accessor/lookup",
                          {{"secret_id_accessor", secret.at("secret_id_accessor")}})),
            Errc::kNotFound);
}

TEST_F(ApproleTest, what_is_over_is_cleared_away_by_itself_and_on_demand) {
  must_write("auth/approle/role/agent", {{"secret_id_ttl", "10m"}, {"secret_id_num_uses", 0}});
  const std::int64_t before = records();
  for (int i = 0; i < 450; ++i) make_secret();
  must_write("auth/approle/role/agent", {{"secret_id_ttl", "0"}});
  const std::string lasting = secret_id();
  EXPECT_EQ(records(), before + 450 * 3 + 2);
  must_write("auth/approle/tidy/secret-id");
  EXPECT_EQ(records(), before + 450 * 3 + 2);
  clock_.advance(std::chrono::minutes{70});
  run_due();
  EXPECT_EQ(records(), before + 2);
  EXPECT_EQ(list("auth/approle/role/agent/secret-id")->data.at("keys").size(), 1U);
  must_login(role_id(), lasting);
  const Response tidied = must_write("auth/approle/tidy/secret-id");
  EXPECT_EQ(tidied.status, 202);
}

TEST_F(ApproleTest, a_removed_role_takes_its_secret_ids_along) {
  const std::int64_t before = records();
  const std::string role = role_id();
  const std::string secret = secret_id();
  for (int i = 0; i < 10; ++i) make_secret();
  const std::string token = must_login(role, secret_id()).client_token.reveal();
  EXPECT_TRUE(remove("auth/approle/role/agent"));
  EXPECT_TRUE(remove("auth/approle/role/agent"));
  EXPECT_FALSE(login(role, secret));
  // The same name with the same id is another role.
  must_write("auth/approle/role/agent", {{"role_id", role}, {"token_policies", "reader"}});
  EXPECT_FALSE(login(role, secret));
  EXPECT_THAT(message_of(write("auth/token/renew-self", Json::object(), token)),
              HasSubstr("does not exist during renewal"));
  must_write("auth/approle/tidy/secret-id");
  EXPECT_EQ(records(), before);
}

TEST_F(ApproleTest, secret_ids_are_listed_looked_up_and_destroyed) {
  const Json first =
      make_secret("agent", {{"metadata", {{"a", "b"}}}, {"cidr_list", "10.0.0.0/8"}});
  const Json second = make_secret();
  const Json listed = list("auth/approle/role/agent/secret-id")->data.at("keys");
  EXPECT_EQ(listed.size(), 2U);
  const Json by_id =
      must_write("auth/approle/role/agent/secret-id/lookup", {{"secret_id", first.at("secret_id")}})
          .data;
  EXPECT_EQ(by_id.at("secret_id_accessor"), first.at("secret_id_accessor"));
  EXPECT_EQ(by_id.at("metadata"), (Json{{"a", "b"}}));
  EXPECT_EQ(by_id.at("cidr_list"), Json{"10.0.0.0/8"});
  EXPECT_EQ(by_id.at("secret_id_num_uses"), 1);
  EXPECT_EQ(by_id.at("expiration_time"), "0001-01-01T00:00:00Z");
  const Json by_accessor = must_write("auth/approle/role/agent/secret-id-accessor/lookup",
                                      {{"secret_id_accessor", first.at("secret_id_accessor")}})
                               .data;
  EXPECT_EQ(by_accessor, by_id);
  must_write("auth/approle/role/agent/secret-id/destroy", {{"secret_id", first.at("secret_id")}});
  must_write("auth/approle/role/agent/secret-id/destroy", {{"secret_id", first.at("secret_id")}});
  must_write("auth/approle/role/agent/secret-id-accessor/destroy",
             {{"secret_id_accessor", second.at("secret_id_accessor")}});
  EXPECT_EQ(code_of(write("auth/approle/role/agent/secret-id-accessor/destroy",
                          {{"secret_id_accessor", second.at("secret_id_accessor")}})),
            Errc::kNotFound);
  EXPECT_FALSE(login(role_id(), first.at("secret_id")));
  EXPECT_FALSE(login(role_id(), second.at("secret_id")));
  for (const char* path : {"secret-id/lookup", "secret-id/destroy", "secret-id-accessor/lookup",
                           "secret-id-accessor/destroy"}) {
    EXPECT_THAT(message_of(write(std::string("auth/approle/role/agent/") + path)),
                HasSubstr("missing secret_id"));
    EXPECT_THAT(message_of(write(std::string("auth/approle/role/none/") + path,
                                 {{"secret_id", "x"}, {"secret_id_accessor", "x"}})),
                HasSubstr("does not exist"));
  }
}

TEST_F(ApproleTest, a_secret_id_of_one_role_is_nothing_to_another) {
  must_write("auth/approle/role/admin", {{"token_policies", "admin"}});
  const Json secret = make_secret("agent");
  EXPECT_FALSE(login(role_id("admin"), secret.at("secret_id")));
  EXPECT_TRUE(must_write("auth/approle/role/admin/secret-id/lookup",
                         {{"secret_id", secret.at("secret_id")}})
                  .data.is_null());
  EXPECT_EQ(code_of(write("auth/approle/role/admin/secret-id-accessor/destroy",
                          {{"secret_id_accessor", secret.at("secret_id_accessor")}})),
            Errc::kNotFound);
  must_login(role_id("agent"), secret.at("secret_id"));
}

TEST_F(ApproleTest, a_secret_id_may_be_chosen) {
  must_write("auth/approle/role/agent/custom-secret-id",
             {{"secret_id", "chosen by the pipeline"}, {"metadata", "a=b,c=d"}});
  EXPECT_THAT(message_of(write("auth/approle/role/agent/custom-secret-id",
                               {{"secret_id", "chosen by the pipeline"}})),
              HasSubstr("already registered"));
  const Auth auth = must_login(role_id(), "chosen by the pipeline");
  EXPECT_EQ(auth.metadata, (Json{{"role_name", "agent"}, {"a", "b"}, {"c", "d"}}));
  for (const Json& bad : {Json{}, Json{{"secret_id", ""}}, Json{{"secret_id", " x"}},
                          Json{{"secret_id", std::string(5000, 'x')}}})
    EXPECT_EQ(code_of(write("auth/approle/role/agent/custom-secret-id", bad)),
              Errc::kInvalidArgument)
        << bad;
}

TEST_F(ApproleTest, a_new_secret_id_stays_within_the_role) {
  must_write("auth/approle/role/agent", {{"secret_id_ttl", "10m"},
                                         {"secret_id_num_uses", 3},
                                         {"secret_id_bound_cidrs", "10.0.0.0/8"},
                                         {"token_bound_cidrs", "10.0.0.0/16,192.0.2.7"}});
  const Json bad[] = {{{"ttl", "11m"}},
                      {{"ttl", 0}},
                      {{"ttl", "soon"}},
                      {{"num_uses", 4}},
                      {{"num_uses", 0}},
                      {{"num_uses", -1}},
                      {{"cidr_list", "11.0.0.0/8"}},
                      {{"cidr_list", "10.0.0.0/7"}},
                      {{"cidr_list", "everywhere"}},
                      {{"token_bound_cidrs", "10.1.0.0/16"}},
                      {{"metadata", "no pairs"}},
                      {{"metadata", {{"a", std::string(600, 'x')}}}},
                      {{"metadata", {{"a", "line\nbreak"}}}}};
  for (const Json& data : bad)
    EXPECT_EQ(code_of(write("auth/approle/role/agent/secret-id", data)), Errc::kInvalidArgument)
        << data;
  make_secret("agent", {{"ttl", "9m"},
                        {"num_uses", 2},
                        {"cidr_list", {"10.9.0.0/16"}},
                        {"token_bound_cidrs", "192.0.2.7/32,10.0.7.0/24"}});
  EXPECT_THAT(message_of(write("auth/approle/role/none/secret-id")), HasSubstr("does not exist"));
}

TEST_F(ApproleTest, networks_bound_logins_and_tokens) {
  must_write("auth/approle/role/agent", {{"secret_id_bound_cidrs", "10.0.0.0/8"}});
  const std::string secret =
      secret_id("agent", {{"cidr_list", "10.1.0.0/16"}, {"token_bound_cidrs", "10.1.2.0/24"}});
  for (const char* address : {"192.0.2.1", "10.2.0.1", "10.1.3.1"}) {
    extra_.remote_address = address;
    EXPECT_THAT(message_of(login(role_id(), secret)), HasSubstr("unauthorized by CIDR"));
  }
  // The wrong places have used nothing up.
  extra_.remote_address = "10.1.2.3";
  const std::string token = must_login(role_id(), secret).client_token.reveal();
  EXPECT_TRUE(read("kv/a", token));
  EXPECT_EQ(must_read("auth/token/lookup-self", token).at("bound_cidrs"), Json{"10.1.2.0/24"});
  extra_.remote_address = "10.1.3.1";
  EXPECT_FALSE(read("kv/a", token));
}

TEST_F(ApproleTest, a_role_may_do_without_secret_ids_where_networks_guard_it) {
  EXPECT_THAT(message_of(write("auth/approle/role/open", {{"bind_secret_id", false}})),
              HasSubstr("at least one constraint"));
  must_write("auth/approle/role/open",
             {{"bind_secret_id", false}, {"secret_id_bound_cidrs", {"10.0.0.0/8"}}});
  EXPECT_THAT(message_of(write("auth/approle/role/open/secret-id")),
              HasSubstr("bind_secret_id is not set"));
  // From elsewhere it looks as if it were not there.
  EXPECT_EQ(message_of(login(role_id("open"), nullptr)), "missing secret_id");
  EXPECT_EQ(message_of(login(role_id("open"), "x")), "invalid role or secret ID");
  extra_.remote_address = "10.1.2.3";
  EXPECT_TRUE(login(role_id("open"), nullptr));
  EXPECT_THAT(message_of(call(Operation::kDelete, "auth/approle/role/open/secret-id-bound-cidrs")),
              HasSubstr("at least one constraint"));
}

TEST_F(ApproleTest, a_role_is_written_read_and_listed) {
  must_write("auth/approle/role/Other.Role",
             {{"policies", "a,b"}, {"period", "1h"}, {"bound_cidr_list", "10.0.0.0/8"}});
  const Json role = must_read("auth/approle/role/other.role");
  EXPECT_EQ(role.at("token_policies"), (Json{"a", "b"}));
  EXPECT_EQ(role.at("policies"), (Json{"a", "b"}));
  EXPECT_EQ(role.at("token_period"), 3600);
  EXPECT_EQ(role.at("period"), 3600);
  EXPECT_EQ(role.at("secret_id_bound_cidrs"), Json{"10.0.0.0/8"});
  EXPECT_EQ(role.at("bind_secret_id"), true);
  EXPECT_EQ(role.at("secret_id_ttl"), 0);
  EXPECT_EQ(list("auth/approle/role")->data.at("keys"), (Json{"agent", "other.role"}));
  EXPECT_EQ(code_of(read("auth/approle/role/none")), Errc::kNotFound);
  EXPECT_EQ(code_of(read("auth/approle/role/none/role-id")), Errc::kNotFound);
  const Json bad[] = {{{"secret_id_num_uses", -1}},
                      {{"secret_id_ttl", "soon"}},
                      {{"role_id", ""}},
                      {{"role_id", std::string(600, 'x')}},
                      {{"role_id", " x"}},
                      {{"bind_secret_id", "perhaps"}},
                      {{"policies", "root"}},
                      {{"secret_id_bound_cidrs", "10.0.0/8"}},
                      {{"token_type", "silver"}}};
  for (const Json& data : bad)
    EXPECT_EQ(code_of(write("auth/approle/role/new", data)), Errc::kInvalidArgument) << data;
  EXPECT_EQ(code_of(write("auth/approle/role/" + std::string(300, 'x'))), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(read("auth/approle/role/new")), Errc::kNotFound);
}

TEST_F(ApproleTest, role_ids_are_chosen_changed_and_never_shared) {
  must_write("auth/approle/role/other", {{"role_id", "other-role"}});
  must_write("auth/approle/role/agent/role-id", {{"role_id", "agent-role"}});
  const std::string secret = secret_id();
  must_login("agent-role", secret);
  EXPECT_EQ(role_id(), "agent-role");
  for (const char* path : {"role/agent", "role/agent/role-id", "role/third"})
    EXPECT_THAT(message_of(write(std::string("auth/approle/") + path, {{"role_id", "other-role"}})),
                HasSubstr("already in use"));
  must_write("auth/approle/role/agent/role-id", {{"role_id", "agent-role-2"}});
  EXPECT_FALSE(login("agent-role", secret_id()));
  must_login("agent-role-2", secret_id());
  EXPECT_EQ(code_of(write("auth/approle/role/agent/role-id")), Errc::kInvalidArgument);
  EXPECT_THAT(message_of(write("auth/approle/role/none/role-id", {{"role_id", "x"}})),
              HasSubstr("does not exist"));
}

TEST_F(ApproleTest, each_member_has_a_path) {
  struct Case {
    const char* segment;
    const char* member;
    Json set, shown, unset;
  };
  const Case cases[] = {
      {"policies", "token_policies", "a,b", {"a", "b"}, Json::array()},
      {"secret-id-bound-cidrs",
       "secret_id_bound_cidrs",
       "10.0.0.0/8",
       {"10.0.0.0/8"},
       Json::array()},
      {"token-bound-cidrs", "token_bound_cidrs", {"10.0.0.0/8"}, {"10.0.0.0/8"}, Json::array()},
      {"bound-cidr-list", "bound_cidr_list", "10.0.0.0/8", {"10.0.0.0/8"}, Json::array()},
      {"bind-secret-id", "bind_secret_id", "true", true, true},
      {"secret-id-num-uses", "secret_id_num_uses", "7", 7, 0},
      {"secret-id-ttl", "secret_id_ttl", "1h", 3600, 0},
      {"period", "token_period", "1h", 3600, 0},
      {"token-num-uses", "token_num_uses", 5, 5, 0},
      {"token-ttl", "token_ttl", "5m", 300, 0},
      {"token-max-ttl", "token_max_ttl", "1h", 3600, 0},
  };
  for (const Case& item : cases) {
    const std::string path = std::string("auth/approle/role/agent/") + item.segment;
    must_write(path, {{item.member, item.set}});
    EXPECT_EQ(must_read(path).at(item.member), item.shown) << path;
    EXPECT_TRUE(remove(path)) << path;
    EXPECT_EQ(must_read(path).at(item.member), item.unset) << path;
    EXPECT_THAT(message_of(write(path)), HasSubstr("missing ")) << path;
    EXPECT_EQ(code_of(write(path, {{item.member, "\x01?"}})), Errc::kInvalidArgument) << path;
    const std::string none = std::string("auth/approle/role/none/") + item.segment;
    EXPECT_EQ(code_of(read(none)), Errc::kNotFound);
    EXPECT_THAT(message_of(write(none, {{item.member, item.set}})), HasSubstr("does not exist"));
  }
  EXPECT_EQ(must_read("auth/approle/role/agent/local-secret-ids").at("local_secret_ids"), false);
  EXPECT_EQ(code_of(write("auth/approle/role/agent/local-secret-ids")),
            Errc::kUnsupportedOperation);
}

TEST_F(ApproleTest, a_renewal_goes_by_what_the_role_says_now) {
  must_write("auth/approle/role/agent", {{"token_period", "30m"}});
  const std::string token = must_login(role_id(), secret_id()).client_token.reveal();
  clock_.advance(std::chrono::minutes{20});
  must_write("auth/approle/role/agent", {{"token_period", "10m"}});
  EXPECT_EQ(must_write("auth/token/renew-self", Json::object(), token).auth->lease_duration,
            std::chrono::minutes{10});
}

TEST_F(ApproleTest, no_lock_out_unless_the_mount_says_so) {
  const std::string role = role_id();
  const std::string good = secret_id();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(code_of(login(role, "x")), Errc::kInvalidArgument);
  must_login(role, good);
  must_write("sys/auth/approle/tune", {{"user_lockout_config", {{"lockout_threshold", 3}}}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of(login(role, "x")), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(login(role, secret_id())), Errc::kPermissionDenied);
}

TEST_F(ApproleTest, guesses_are_slowed_down_for_the_one_who_guesses) {
  const std::string role = role_id();
  int looked_at = 0;
  for (int i = 0; i < 60; ++i)
    looked_at += code_of(login(role, "x")) == Errc::kInvalidArgument ? 1 : 0;
  EXPECT_EQ(looked_at, 20);
  EXPECT_EQ(code_of(login(role, secret_id())), Errc::kQuotaExceeded);
  extra_.remote_address = "192.0.2.9";
  must_login(role, secret_id());
}

TEST_F(ApproleTest, everything_survives_a_restart_and_no_secret_id_is_in_the_store) {
  const std::string secret = secret_id();
  restart();
  const Status read = database_->read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows, reader.query("SELECT name, sealed FROM records", {}));
    for (const store::Row& row : rows) {
      EXPECT_EQ(row.text(0).find(secret), std::string::npos);
      EXPECT_EQ(row.blob(1).find(secret), std::string::npos);
    }
    return ok();
  });
  EXPECT_TRUE(read.has_value());
  must_login(role_id(), secret);
}

TEST_F(ApproleTest, edits_of_the_file_give_nobody_a_login) {
  must_write("auth/approle/role/admin", {{"token_policies", "admin"}});
  const std::string role = role_id();
  const std::string secret = secret_id();
  // A role's record in the place of another one's.
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE name = 'role/admin') "
      "WHERE name = 'role/agent'");
  EXPECT_EQ(code_of(login(role, secret)), Errc::kCorrupt);
  // Secret ids of one role below the other.
  tamper(
      "UPDATE records SET name = replace(name, 'secret/', 'secret/x') WHERE name LIKE 'secret/%'");
  EXPECT_FALSE(login(role_id("admin"), secret));
  restart();
  EXPECT_FALSE(login(role, secret));
}

// ---- the store's own promises -------------------------------------------------------------------

// Counts how often something was found and how often not.
class CountingStorage final : public engines::MountStorage {
 public:
  Status read(const std::function<Status(const engines::StorageReader&)>& reader) const override {
    return inner_.read([&](const engines::StorageReader& r) { return reader(View(r, *this)); });
  }
  Status write(const std::function<Status(engines::StorageWriter&)>& writer) override {
    ++writes_;
    return inner_.write(writer);
  }
  std::tuple<int, int, int> take() {
    const std::tuple counts{found_, missed_, writes_};
    found_ = missed_ = writes_ = 0;
    return counts;
  }

 private:
  class View final : public engines::StorageReader {
   public:
    View(const engines::StorageReader& inner, const CountingStorage& counts)
        : inner_(inner), counts_(counts) {}
    Result<std::optional<Json>> get(std::string_view key) const override {
      auto value = inner_.get(key);
      ++(value && *value ? counts_.found_ : counts_.missed_);
      return value;
    }
    Result<std::vector<std::string>> list(std::string_view prefix) const override {
      return inner_.list(prefix);
    }

   private:
    const engines::StorageReader& inner_;
    const CountingStorage& counts_;
  };

  fakes::MemoryStorage inner_;
  mutable int found_ = 0;
  mutable int missed_ = 0;
  int writes_ = 0;
};

TEST_F(ApproleTest, unknown_and_known_role_ids_cost_the_same) {
  CountingStorage storage;
  AppRoleStore store(storage, *keyring_, random_, "auth_approle_1");
  ASSERT_TRUE(store.write_role("agent", true, [](AppRole& role) {
    role.role_id = "known";
    return ok();
  }));
  storage.take();
  const auto fail = [&](const std::string& role_id) {
    const auto role = store.role_by_id(role_id);
    EXPECT_TRUE(role && *role);
    const auto secret =
        store.use_secret(**role, "guess", clock_.wall(), [](const SecretId&) { return ok(); });
    EXPECT_TRUE(secret && !*secret);
    return storage.take();
  };
  EXPECT_EQ(fail("known"), fail("unknown"));
  EXPECT_EQ(fail("known"), (std::tuple{2, 2, 0}));
}

}  // namespace
}  // namespace curfew::broker
