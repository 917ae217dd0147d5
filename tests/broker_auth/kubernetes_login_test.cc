#include <fstream>

#include "tests/broker_auth/auth_world.h"
#include "tests/fakes/memory_storage.h"

namespace curfew::broker {
namespace {

using test::HttpsCall;
using test::HttpsReply;
using test::TokenSigner;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kReviews = "/apis/authentication.k8s.io/v1/tokenreviews";

// A local server that answers TokenReviews as an API server does.
class KubernetesLogin : public AuthWorld {
 protected:
  KubernetesLogin() {
    server_.on(kReviews, [this](const HttpsCall& call) { return review(call); });
    enable("kubernetes");
    configure(Json::object());
    role(Json::object());
  }

  void configure(const Json& more) {
    Json data = {{"kubernetes_host", server_.url()},
                 {"kubernetes_ca_cert", server_.ca_pem()},
                 {"token_reviewer_jwt", "reviewer"}};
    data.update(more);
    must_write("auth/kubernetes/config", data);
  }
  void role(const Json& more) {
    Json data = {{"bound_service_account_names", "etl,agent-*"},
                 {"bound_service_account_namespaces", "data"},
                 {"token_policies", "ci"}};
    data.update(more);
    must_write("auth/kubernetes/role/pods", data);
  }
  std::string pod_token(const std::string& account) const {
    return signer_.sign({{"iss", "https://kubernetes.default.svc"},
                         {"sub", "system:serviceaccount:" + account},
                         {"exp", now() + 600}});
  }
  Result<Response> login(const std::string& token, const std::string& role_name = "pods") {
    return as_stranger("auth/kubernetes/login", {{"role", role_name}, {"jwt", token}});
  }

  HttpsReply review(const HttpsCall& call) {
    const Json asked = Json::parse(call.body);
    reviewer_ = call.headers.at("authorization");
    audiences_ = asked["spec"].value("audiences", Json());
    Json status = {{"authenticated", false}};
    for (const char* account : {"data:etl", "data:agent-7", "data:other", "web:etl"})
      if (asked["spec"]["token"] == pod_token_of(account))
        status = {{"authenticated", true},
                  {"user",
                   {{"username", std::string("system:serviceaccount:") + account},
                    {"uid", std::string("uid-of-") + account},
                    {"groups", Json::array({"system:serviceaccounts"})}}}};
    status.update(more_status_);
    return {.status = 201,
            .body = Json{{"kind", "TokenReview"},
                         {"apiVersion", "authentication.k8s.io/v1"},
                         {"status", status}}
                        .dump()};
  }
  // ECDSA signatures are different each time: what was handed out is kept.
  const std::string& pod_token_of(const std::string& account) {
    std::string& token = handed_out_[account];
    if (token.empty()) token = pod_token(account);
    return token;
  }

  const TokenSigner signer_{"ES256"};
  std::map<std::string, std::string> handed_out_;
  std::string reviewer_;
  Json audiences_;
  Json more_status_ = Json::object();
};

TEST_F(KubernetesLogin, AServiceAccountThatTheClusterVouchesFor) {
  const auto answer = login(pod_token_of("data:etl"));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->auth->policies, Contains("ci"));
  EXPECT_EQ(answer->auth->metadata["service_account_name"], "etl");
  EXPECT_EQ(answer->auth->metadata["service_account_namespace"], "data");
  EXPECT_EQ(answer->auth->metadata["service_account_uid"], "uid-of-data:etl");
  EXPECT_EQ(answer->auth->metadata["role"], "pods");
  EXPECT_EQ(reviewer_, "Bearer reviewer");
  EXPECT_TRUE(audiences_.is_null());
  const Json self = must_read("auth/token/lookup-self", answer->auth->client_token.reveal());
  EXPECT_EQ(self["display_name"], "kubernetes-data-etl");
  EXPECT_TRUE(login(pod_token_of("data:agent-7")));
}

TEST_F(KubernetesLogin, RenewalEndsWithTheRole) {
  const auto answer = login(pod_token_of("data:etl"));
  ASSERT_TRUE(answer) << answer.error().message;
  const std::string token = answer->auth->client_token.reveal();
  role({{"audience", ""}});
  EXPECT_TRUE(write("auth/token/renew-self", Json::object(), token)) << "it was only changed";
  ASSERT_TRUE(remove("auth/kubernetes/role/pods"));
  role(Json::object());
  EXPECT_FALSE(write("auth/token/renew-self", Json::object(), token)) << "another of that name";
}

TEST_F(KubernetesLogin, OthersAreRefused) {
  EXPECT_THAT(refusal(login(pod_token_of("data:other")), Errc::kPermissionDenied),
              HasSubstr("name not authorized"));
  EXPECT_THAT(refusal(login(pod_token_of("web:etl")), Errc::kPermissionDenied),
              HasSubstr("namespace not authorized"));
  EXPECT_EQ(refusal(login(TokenSigner("ES256").sign({{"sub", "x"}})), Errc::kPermissionDenied),
            "permission denied");
  const int reviews = server_.count(kReviews);
  EXPECT_EQ(code_of(login("no token at all")), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(login(test::unsigned_or_shared({{"sub", "x"}}, "", Json::object()))),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(login(std::string(100'000, 'x'))), Errc::kPermissionDenied);
  EXPECT_EQ(server_.count(kReviews), reviews);  // the API server is spared what is no token
  EXPECT_EQ(code_of(login("")), Errc::kInvalidArgument);
}

TEST_F(KubernetesLogin, RolesAreHiddenFromStrangers) {
  const std::string forged = TokenSigner("ES256").sign({{"sub", "x"}});
  EXPECT_EQ(refusal(login(forged, "pods"), Errc::kPermissionDenied),
            refusal(login(forged, "no-such-role"), Errc::kPermissionDenied));
  EXPECT_THAT(refusal(login(pod_token_of("data:etl"), "no-such-role")),
              HasSubstr("invalid role name"));
}

TEST_F(KubernetesLogin, AnAudienceMustBeConfirmed) {
  role({{"audience", "curfew"}});
  EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kPermissionDenied);
  EXPECT_EQ(audiences_, Json::array({"curfew"}));
  more_status_ = {{"audiences", Json::array({"https://kubernetes.default.svc"})}};
  EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kPermissionDenied);
  more_status_ = {{"audiences", Json::array({"curfew"})}};
  EXPECT_TRUE(login(pod_token_of("data:etl")));
}

TEST_F(KubernetesLogin, AnsweredWithAnErrorOrForSomebodyElse) {
  for (const Json& status :
       {Json{{"error", "token expired"}}, Json{{"authenticated", "true"}},
        Json{{"user", {{"username", "system:node:n1"}, {"uid", "u"}}}},
        Json{{"user", {{"username", "system:serviceaccount:data"}, {"uid", "u"}}}},
        Json{{"user", {{"username", "system:serviceaccount:data:etl"}}}}}) {
    more_status_ = status;
    EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kPermissionDenied) << status;
  }
}

TEST_F(KubernetesLogin, AnApiServerThatHangsOrFailsIsSaidTo) {
  server_.hang(true);
  const std::string message = refusal(login(pod_token_of("data:etl")), Errc::kUnavailable);
  EXPECT_THAT(message, HasSubstr("API server cannot be asked now"));
  EXPECT_THAT(message, Not(HasSubstr("localhost")));
  server_.hang(false);
  for (const auto& [body, status] : {std::pair<std::string, int>{"{}", 500},
                                     {"{}", 403},
                                     {"<html>", 200},
                                     {"{}", 201},
                                     {R"({"kind":"Status","status":"Failure"})", 201}}) {
    server_.answer(kReviews, body, status);
    EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kUnavailable) << status << body;
  }
}

TEST_F(KubernetesLogin, AnApiServerOfAnotherAuthorityIsNotAsked) {
  const test::HttpsServer other;
  configure({{"kubernetes_ca_cert", other.ca_pem()}});
  EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kUnavailable);
  EXPECT_EQ(server_.count(kReviews), 0);
}

TEST_F(KubernetesLogin, ThePodsOwnTokenAndAuthorityServe) {
  std::ofstream(directory_ / "ca.crt") << server_.ca_pem();
  std::ofstream(directory_ / "token") << "of-the-pod\n";
  configure({{"kubernetes_ca_cert", ""}, {"token_reviewer_jwt", ""}});
  EXPECT_TRUE(login(pod_token_of("data:etl")));
  EXPECT_EQ(reviewer_, "Bearer of-the-pod");
  configure({{"token_reviewer_jwt", ""}, {"disable_local_ca_jwt", true}});
  EXPECT_TRUE(login(pod_token_of("data:etl")));
  EXPECT_EQ(reviewer_, "Bearer " + pod_token_of("data:etl"));
}

TEST_F(KubernetesLogin, KeysAndIssuerAreLookedAtBeforeTheCluster) {
  configure({{"pem_keys", TokenSigner("ES256").public_pem()}});
  EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kPermissionDenied);
  configure({{"pem_keys", signer_.public_pem()},
             {"issuer", "https://other"},
             {"disable_iss_validation", false}});
  EXPECT_EQ(code_of(login(pod_token_of("data:etl"))), Errc::kPermissionDenied);
  EXPECT_EQ(server_.count(kReviews), 0);
  configure({{"pem_keys", signer_.public_pem()},
             {"issuer", "https://kubernetes.default.svc"},
             {"disable_iss_validation", false}});
  EXPECT_TRUE(login(pod_token_of("data:etl")));
}

// By itself: what the method says of who has logged in.
TEST_F(KubernetesLogin, TheAliasIsTheUidOrTheName) {
  fakes::MemoryStorage storage;
  kubernetes::KubernetesMethod method(
      {"accessor", Json::object(), storage, *keyring_, clock_, random_, *log_});
  const auto run = [&](const std::string& path, const Json& data) {
    Request request;
    request.data = data;
    const auto matched = method.routes().match(path, Operation::kUpdate);
    return matched->route->handlers.at(Operation::kUpdate)(
        {request, matched->params, nullptr, clock_.wall(), {}});
  };
  ASSERT_TRUE(run("config", {{"kubernetes_host", server_.url()},
                             {"kubernetes_ca_cert", server_.ca_pem()},
                             {"token_reviewer_jwt", "reviewer"}}));
  const Json role = {{"bound_service_account_names", "*"},
                     {"bound_service_account_namespaces", "*"}};
  ASSERT_TRUE(run("role/pods", role));
  const Json data = {{"role", "pods"}, {"jwt", pod_token_of("data:etl")}};
  const auto by_uid = run("login", data);
  ASSERT_TRUE(run("role/pods", {{"alias_name_source", "serviceaccount_name"}}));
  const auto by_name = run("login", data);
  server_.settle();
  ASSERT_TRUE(by_uid && by_name);
  EXPECT_EQ(by_uid->login->alias, "uid-of-data:etl");
  EXPECT_EQ(by_name->login->alias, "data/etl");
}

TEST_F(KubernetesLogin, ConfigurationsAndRolesAreCheckedAndReadBackWithoutSecrets) {
  const Json config = must_read("auth/kubernetes/config");
  EXPECT_EQ(config["kubernetes_host"], server_.url());
  EXPECT_EQ(config["token_reviewer_jwt_set"], true);
  EXPECT_FALSE(config.contains("token_reviewer_jwt"));
  for (const Json& bad :
       {Json{{"kubernetes_host", ""}}, Json{{"kubernetes_host", "http://x"}},
        Json{{"kubernetes_host", "https://x"}, {"kubernetes_ca_cert", "no"}},
        Json{{"kubernetes_host", "https://x"}, {"pem_keys", "no"}},
        Json{{"kubernetes_host", "https://x"}, {"disable_iss_validation", false}}})
    EXPECT_EQ(code_of(write("auth/kubernetes/config", bad)), Errc::kInvalidArgument) << bad;
  const Json role = must_read("auth/kubernetes/role/pods");
  EXPECT_EQ(role["bound_service_account_names"], Json::array({"etl", "agent-*"}));
  EXPECT_EQ(role["alias_name_source"], "serviceaccount_uid");
  EXPECT_EQ(list("auth/kubernetes/role")->data["keys"], Json::array({"pods"}));
  EXPECT_EQ(code_of(write("auth/kubernetes/role/x", {{"bound_service_account_names", "a"}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("auth/kubernetes/role/x", {{"bound_service_account_namespaces", "a"}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("auth/kubernetes/role/pods", {{"alias_name_source", "secret"}})),
            Errc::kInvalidArgument);
  EXPECT_TRUE(remove("auth/kubernetes/role/pods"));
  EXPECT_EQ(code_of(read("auth/kubernetes/role/pods")), Errc::kNotFound);
}

}  // namespace
}  // namespace curfew::broker
