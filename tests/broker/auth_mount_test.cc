#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

// Believes everybody: what the framework around a method does is what is tested here.
class CredulousMethod final : public AuthMethod {
 public:
  explicit CredulousMethod(AuthServices services) : services_(services), routes_(make_routes()) {}

  std::string_view type() const override { return "credulous"; }
  const BackendRoutes& routes() const override { return routes_; }
  Result<TokenRules> renew(const Json& renewal, const Request&) const override {
    return rules(renewal.at("role").get<std::string>());
  }

 private:
  Result<TokenRules> rules(const std::string& role) const {
    ASSIGN_OR_RETURN(const auto stored, services_.storage.get("role/" + role));
    if (!stored) return Error{Errc::kInvalidArgument, "invalid role"};
    return token_rules_from_stored(*stored);
  }

  Result<Response> login(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string name, required_text(call.request.data, "name"));
    ASSIGN_OR_RETURN(TokenRules token, rules(call.param("role")));
    Response response;
    Login login;
    login.alias = name;
    login.metadata = {{"role", call.param("role")}};
    login.rules = std::move(token);
    login.renewal = {{"role", call.param("role")}};
    response.login = std::make_shared<const Login>(std::move(login));
    return response;
  }

  Result<Response> write_role(const BackendCall& call) const {
    TokenRules token;
    RETURN_IF_ERROR(apply_fields(call.request.data, token));
    RETURN_IF_ERROR(services_.storage.put("role/" + call.param("role"), to_stored(token)));
    return Response{};
  }

  Result<Response> delete_role(const BackendCall& call) const {
    RETURN_IF_ERROR(services_.storage.remove("role/" + call.param("role")));
    return Response{};
  }

  BackendRoutes make_routes() {
    std::vector<BackendRoutes::Route> routes;
    routes.push_back(
        {{.pattern = "login/{role}", .summary = "Logs in.", .unauthenticated = true},
         {{Operation::kUpdate, [this](const BackendCall& call) { return login(call); }}}});
    routes.push_back(
        {{.pattern = "role/{role}", .summary = "A role."},
         {{Operation::kUpdate, [this](const BackendCall& call) { return write_role(call); }},
          {Operation::kDelete, [this](const BackendCall& call) { return delete_role(call); }}}});
    return BackendRoutes(std::move(routes));
  }

  const AuthServices services_;
  const BackendRoutes routes_;
};

class AuthMounts_ : public BrokerWorld {
 protected:
  AuthMounts_() {
    auth_methods_.add("credulous", [](AuthServices services) {
      return Result<std::unique_ptr<AuthMethod>>(
          std::make_unique<CredulousMethod>(std::move(services)));
    });
    must_write("sys/auth/easy", {{"type", "credulous"}, {"description", "for tests"}});
    must_write("auth/easy/role/dev",
               {{"token_policies", "reader"}, {"token_ttl", "1h"}, {"token_max_ttl", "2h"}});
    must_write("sys/mounts/kv", {{"type", "kv"}});
    must_write("kv/a", {{"x", "y"}});
    write_policy("reader", R"(path "kv/*" { capabilities = ["read"] })");
  }

  Auth must_login(const std::string& name = "ana", const std::string& role = "dev") {
    auto answer = call(Operation::kUpdate, "auth/easy/login/" + role, {{"name", name}}, "");
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    EXPECT_TRUE(answer->auth.has_value());
    return *answer->auth;
  }
};

TEST_F(AuthMounts_, ALoginGivesATokenByTheRolesRules) {
  const Auth auth = must_login();
  EXPECT_EQ(auth.token_policies, (std::vector<std::string>{"default", "reader"}));
  EXPECT_EQ(auth.lease_duration, std::chrono::hours{1});
  EXPECT_TRUE(auth.renewable);
  EXPECT_TRUE(auth.orphan);
  EXPECT_EQ(auth.metadata.at("role"), "dev");
  const std::string token = auth.client_token.reveal();
  EXPECT_EQ(must_read("kv/a", token).at("x"), "y");
  const Json self = must_read("auth/token/lookup-self", token);
  EXPECT_EQ(self.at("path"), "auth/easy/login/dev");
  EXPECT_EQ(self.at("display_name"), "easy-ana");
}

TEST_F(AuthMounts_, ARoleGivesBatchTokensWhichEndWithTheMethod) {
  must_write("auth/easy/role/job",
             {{"token_policies", "reader"}, {"token_ttl", "1h"}, {"token_type", "batch"}});
  const Auth auth = must_login("ana", "job");
  EXPECT_EQ(auth.token_type, "batch");
  EXPECT_FALSE(auth.renewable);
  EXPECT_EQ(auth.entity_id, must_login("ana").entity_id);
  const std::string token = auth.client_token.reveal();
  EXPECT_EQ(must_read("kv/a", token).at("x"), "y");
  EXPECT_EQ(must_read("auth/token/lookup-self", token).at("entity_id"), auth.entity_id);
  EXPECT_TRUE(remove("sys/auth/easy"));
  EXPECT_FALSE(read("kv/a", token));
}

TEST_F(AuthMounts_, ALoginIsWrappedLikeAnyAnswer) {
  extra_.wrap_ttl = Seconds{60};
  const auto wrapped = call(Operation::kUpdate, "auth/easy/login/dev", {{"name", "ana"}}, "");
  extra_.wrap_ttl.reset();
  ASSERT_TRUE(wrapped && wrapped->wrap_info);
  EXPECT_FALSE(wrapped->auth);
  EXPECT_EQ(wrapped->wrap_info->creation_path, "auth/easy/login/dev");
  const auto opened =
      write("sys/wrapping/unwrap", Json::object(), wrapped->wrap_info->token.reveal());
  ASSERT_TRUE(opened && opened->auth);
  EXPECT_EQ(opened->auth->accessor, wrapped->wrap_info->wrapped_accessor);
  EXPECT_EQ(must_read("kv/a", opened->auth->client_token.reveal()).at("x"), "y");
}

TEST_F(AuthMounts_, ARenewalGoesByWhatTheRoleSaysNow) {
  const std::string token = must_login().client_token.reveal();
  clock_.advance(std::chrono::minutes{30});
  must_write("auth/easy/role/dev", {{"token_policies", "reader"}, {"token_ttl", "10m"}});
  const Response renewed = must_write("auth/token/renew-self", Json::object(), token);
  EXPECT_EQ(renewed.auth->lease_duration, std::chrono::minutes{10});
  EXPECT_TRUE(remove("auth/easy/role/dev"));
  EXPECT_EQ(code_of(write("auth/token/renew-self", Json::object(), token)), Errc::kInvalidArgument);
}

TEST_F(AuthMounts_, NoRenewalGoesBeyondTheRolesMaximum) {
  const std::string token = must_login().client_token.reveal();
  clock_.advance(std::chrono::minutes{50});
  must_write("auth/token/renew-self", {{"increment", "10h"}}, token);
  EXPECT_EQ(must_read("auth/token/lookup-self", token).at("ttl"), 70 * 60);
}

TEST_F(AuthMounts_, DisablingEndsItsTokensAndNoOthers) {
  const std::string token = must_login().client_token.reveal();
  must_write("sys/auth/other", {{"type", "credulous"}});
  must_write("auth/other/role/dev", {{"token_policies", "reader"}});
  const std::string other = call(Operation::kUpdate, "auth/other/login/dev", {{"name", "bob"}}, "")
                                ->auth->client_token.reveal();
  EXPECT_TRUE(remove("sys/auth/easy"));
  EXPECT_EQ(code_of(read("kv/a", token)), Errc::kUnauthenticated);
  EXPECT_TRUE(read("kv/a", other));
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/easy/login/dev", {{"name", "ana"}}, "")),
            Errc::kUnauthenticated);
  // What it stored is gone too: one of the same path begins with nothing.
  must_write("sys/auth/easy", {{"type", "credulous"}});
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/easy/login/dev", {{"name", "ana"}}, "")),
            Errc::kInvalidArgument);
}

TEST_F(AuthMounts_, MountsAndTokensSurviveARestart) {
  const std::string token = must_login().client_token.reveal();
  restart();
  EXPECT_TRUE(read("kv/a", token));
  must_login("bob");
  const Json listed = must_read("sys/auth");
  EXPECT_EQ(listed.at("easy/").at("type"), "credulous");
  EXPECT_EQ(listed.at("easy/").at("description"), "for tests");
  EXPECT_TRUE(listed.at("easy/").at("accessor").get<std::string>().starts_with("auth_credulous_"));
  EXPECT_EQ(listed.at("token/").at("type"), "token");
}

TEST_F(AuthMounts_, TheMountsSettingsBoundItsTokens) {
  must_write("sys/auth/easy/tune", {{"default_lease_ttl", "5m"}, {"max_lease_ttl", "20m"}});
  EXPECT_EQ(must_read("sys/mounts/auth/easy/tune").at("max_lease_ttl"), 1200);
  must_write("auth/easy/role/open", {{"token_policies", "reader"}});
  EXPECT_EQ(must_login("ana", "open").lease_duration, std::chrono::minutes{5});
  EXPECT_EQ(must_login("ana", "dev").lease_duration, std::chrono::minutes{20});
}

TEST_F(AuthMounts_, NoLoginMakesRoot) {
  EXPECT_EQ(code_of(write("auth/easy/role/dev", {{"token_policies", "root"}})),
            Errc::kInvalidArgument);
}

TEST_F(AuthMounts_, PathsThatAreTakenOrReservedAreRefused) {
  for (const char* path : {"easy", "easy/inner", "token", "token/inner"})
    EXPECT_EQ(code_of(write(std::string("sys/auth/") + path, {{"type", "credulous"}})),
              Errc::kInvalidArgument)
        << path;
  EXPECT_EQ(code_of(write("sys/auth/x", {{"type", "unknown"}})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(remove("sys/auth/token")), Errc::kInvalidArgument);
}

TEST_F(AuthMounts_, AnAlteredMountIsLeftOutAndItsLoginsEnd) {
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE scope = 'sys/auth' AND "
      "name = 'token/') WHERE scope = 'sys/auth' AND name = 'easy/'");
  restart();
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/easy/login/dev", {{"name", "ana"}}, "")),
            Errc::kUnauthenticated);
}

TEST_F(AuthMounts_, ATokenThatIsMovedToAnotherMountInTheFileIsRefused) {
  const std::string token = must_login().client_token.reveal();
  tamper("UPDATE tokens SET mount = 'auth_other' WHERE mount <> ''");
  EXPECT_FALSE(read("kv/a", token));
}

}  // namespace
}  // namespace curfew::broker
