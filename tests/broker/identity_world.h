#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/broker/broker_world.h"

namespace curfew::broker {

// Believes everybody, and what they say of their groups and policies.
class OpenDoor final : public AuthMethod {
 public:
  OpenDoor() : routes_(make_routes()) {}

  std::string_view type() const override { return "open"; }
  const BackendRoutes& routes() const override { return routes_; }
  Result<TokenRules> renew(const Json&, const Request&) const override { return TokenRules{}; }

 private:
  static Result<Response> login(const BackendCall& call) {
    Login login;
    ASSIGN_OR_RETURN(login.alias, required_text(call.request.data, "name"));
    ASSIGN_OR_RETURN(login.groups, Fields(call.request.data).comma_list("groups"));
    ASSIGN_OR_RETURN(auto policies, Fields(call.request.data).comma_list("policies"));
    ASSIGN_OR_RETURN(login.rules.type, Fields(call.request.data).text_or("type", ""));
    if (policies) login.rules.policies = *std::move(policies);
    Response response;
    response.login = std::make_shared<const Login>(std::move(login));
    return response;
  }

  static BackendRoutes make_routes() {
    std::vector<BackendRoutes::Route> routes;
    routes.push_back({{.pattern = "login", .summary = "Logs in.", .unauthenticated = true},
                      {{Operation::kUpdate, login}}});
    return BackendRoutes(std::move(routes));
  }

  const BackendRoutes routes_;
};

class IdentityAccessTest : public BrokerWorld {
 protected:
  IdentityAccessTest() {
    auth_methods_.add("open", [](const AuthServices&) {
      return Result<std::unique_ptr<AuthMethod>>(std::make_unique<OpenDoor>());
    });
    must_write("sys/auth/open", {{"type", "open"}});
    must_write("sys/mounts/kv", {{"type", "kv"}});
    must_write("kv/a", {{"x", "y"}});
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = Seconds{900};
    outside_.role_max = Seconds{3600};
    write_policy("reader", R"(path "kv/*" { capabilities = ["read"] })");
    write_policy("leaser", R"(path "db/creds/*" { capabilities = ["read"] })");
    accessor_ = must_read("sys/auth").at("open/").at("accessor");
    must_write("identity/entity", {{"name", "ada"}, {"kind", "human"}});
  }

  struct Session {
    std::string token;
    std::string entity;
  };
  Session must_login(const std::string& name, const std::string& groups = "",
                     const std::string& policies = "") {
    const auto answer = call(Operation::kUpdate, "auth/open/login",
                             {{"name", name}, {"groups", groups}, {"policies", policies}}, "");
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    if (!answer || !answer->auth) return {};
    return {answer->auth->client_token.reveal(), answer->auth->entity_id};
  }
  Errc verdict(const Session& session, const std::string& path = "kv/a") {
    const auto answer = read(path, session.token);
    return answer ? Errc::kInternal : answer.error().code;  // kInternal: it was answered
  }
  // An agent that may lease, and is logged in.
  Session must_have_agent(const std::string& name, Json more) {
    const Session session = must_login(name);
    more["owner"] = "ada";
    more["entity_id"] = session.entity;
    if (!more.contains("policies")) more["policies"] = {"leaser", "reader"};
    must_write("identity/agent/" + name, more);
    return session;
  }

  std::string accessor_;
};

}  // namespace curfew::broker
