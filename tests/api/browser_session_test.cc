#include "api/browser_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/edge.h"
#include "tests/api/server_fixture.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::api::testing {
namespace {

using broker::Request;
using broker::Response;

constexpr const char* kToken = "hvs.AnasToken0123456789";
constexpr const char* kFetch = "X-Curfew-Browser: 1\r\nSec-Fetch-Site: same-origin\r\n";

// A broker with one user: her login gives kToken, and her token may do everything.
class OnePerson final : public broker::Handler {
 public:
  Result<Response> handle(Request request) override {
    const std::scoped_lock lock(mutex_);
    requests_.push_back(request);
    const std::string& path = request.path;
    if (path.starts_with("auth/userpass/login/") || path == "auth/oidc/oidc/callback")
      return with_auth(kToken);
    if (request.token.empty()) return Error{Errc::kUnauthenticated, "missing client token"};
    if (request.token.reveal() != kToken) return Error{Errc::kPermissionDenied, "bad token"};
    if (path == "auth/token/lookup-self")
      return Response{.data = {{"id", kToken}, {"display_name", "ana"}, {"ttl", 600}}};
    if (path == "auth/token/renew-self") return with_auth(kToken);
    if (path == "auth/token/create") return with_auth("hvs.another");
    return Response{.data = {{"done", path}}};
  }
  void undelivered(const Response& response) override {
    const std::scoped_lock lock(mutex_);
    if (response.auth) taken_back_.push_back(response.auth->client_token.reveal());
  }
  Json describe() override { return Json::object(); }

  Request last() const {
    const std::scoped_lock lock(mutex_);
    return requests_.empty() ? Request{} : requests_.back();
  }
  std::size_t calls() const {
    const std::scoped_lock lock(mutex_);
    return requests_.size();
  }
  std::vector<std::string> taken_back() const {
    const std::scoped_lock lock(mutex_);
    return taken_back_;
  }

 private:
  static Response with_auth(const char* token) {
    Response response;
    response.auth.emplace();
    response.auth->client_token = Secret(std::string(token));
    response.auth->lease_duration = Millis{600'000};
    return response;
  }

  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<std::string> taken_back_;
};

class BrowserSessionTest : public ServerTest {
 protected:
  BrowserSessionTest() {
    handler_ = [this](HttpRequest request) {
      request.encrypted = encrypted_;
      return edge_.serve(std::move(request));
    };
  }
  void SetUp() override { start(); }

  RawAnswer call(const std::string& bytes) {
    RawClient client(port());
    return client.exchange(bytes);
  }
  // What a page that is signed in sends with each call.
  static std::string session(const std::string& more = "") {
    return fmt::format(
        "Cookie: a=b; curfew={}\r\nX-Curfew-CSRF: {}\r\nSec-Fetch-Site: same-origin\r\n{}", kToken,
        csrf_token(Secret(std::string(kToken))), more);
  }
  static std::string cookie_only(const std::string& more = "") {
    return fmt::format("Cookie: curfew={}\r\n{}", kToken, more);
  }
  static std::string refusal(const RawAnswer& answer) {
    return answer.status == 403 ? answer.first_error() : fmt::format("status {}", answer.status);
  }
  static bool says(const RawAnswer& answer, std::string_view text) {
    return answer.head.find(text) != std::string::npos;
  }

  std::atomic<bool> encrypted_ = false;
  OnePerson broker_;
  fakes::SeededRandom random_;
  Edge edge_{broker_, random_, *log_};
};

TEST_F(BrowserSessionTest, ALoginOfThePagePutsTheTokenIntoACookieAndNowhereElse) {
  for (const char* path : {"/v1/auth/userpass/login/ana", "/v1/auth/oidc/oidc/callback"}) {
    const RawAnswer answer = call(with_body("POST", path, R"({"password":"x"})", kFetch));
    ASSERT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.json()["auth"]["client_token"], "");
    EXPECT_EQ(answer.body.find(kToken), std::string::npos);
    EXPECT_TRUE(
        says(answer, fmt::format("Set-Cookie: curfew={}; Path=/; SameSite=Strict; HttpOnly; "
                                 "Max-Age=600\r\n",
                                 kToken)));
    EXPECT_TRUE(says(answer, fmt::format("Set-Cookie: curfew-csrf={}; Path=/; SameSite=Strict; "
                                         "Max-Age=600\r\n",
                                         csrf_token(Secret(std::string(kToken))))));
  }
}

TEST_F(BrowserSessionTest, WithoutThePagesHeaderALoginIsAnsweredAsEver) {
  const RawAnswer answer = call(with_body("POST", "/v1/auth/userpass/login/ana", ""));
  EXPECT_EQ(answer.json()["auth"]["client_token"], kToken);
  EXPECT_FALSE(says(answer, "Set-Cookie"));
}

TEST_F(BrowserSessionTest, OverTlsTheCookiesAreBoundToTheHost) {
  encrypted_ = true;
  const RawAnswer answer = call(with_body("POST", "/v1/auth/userpass/login/ana", "", kFetch));
  EXPECT_TRUE(says(answer, fmt::format("Set-Cookie: __Host-curfew={}; Path=/; SameSite=Strict; "
                                       "HttpOnly; Secure; Max-Age=600\r\n",
                                       kToken)));
  EXPECT_TRUE(says(answer, "Set-Cookie: __Host-curfew-csrf="));
  EXPECT_FALSE(says(answer, "Set-Cookie: curfew"));
}

TEST_F(BrowserSessionTest, BehindAProxyThatEndsTlsTheCookiesAreSecureToo) {
  const RawAnswer answer = call(with_body("POST", "/v1/auth/userpass/login/ana", "",
                                          std::string(kFetch) + "Origin: https://localhost\r\n"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(says(answer, "Set-Cookie: __Host-curfew="));
}

TEST_F(BrowserSessionTest, TheCookieCountsWithItsCsrfToken) {
  const RawAnswer read = call(get("/v1/sys/approvals/1", session()));
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(broker_.last().token.reveal(), kToken);
  for (const char* method : {"POST", "PUT", "DELETE"})
    EXPECT_EQ(call(with_body(method, "/v1/sys/approvals/1/approve", "{}", session())).status, 200);
  EXPECT_EQ(call(with_body("POST", "/v1/a", "{}", session("Origin: http://localhost\r\n"))).status,
            200);
}

TEST_F(BrowserSessionTest, AWriteWithoutTheCsrfTokenOrWithAnotherIsRefused) {
  const std::string forms[] = {
      cookie_only(),
      cookie_only("Sec-Fetch-Site: same-origin\r\n"),
      cookie_only("X-Curfew-CSRF: \r\n"),
      cookie_only("X-Curfew-CSRF: 00\r\n"),
      cookie_only(fmt::format("X-Curfew-CSRF: {}\r\n", csrf_token(Secret(std::string("other"))))),
      cookie_only(fmt::format("X-Curfew-CSRF: {0}\r\nX-Curfew-CSRF: {0}\r\n",
                              csrf_token(Secret(std::string(kToken)))))};
  for (const std::string& headers : forms) {
    const RawAnswer answer = call(with_body("POST", "/v1/sys/approvals/1/approve", "{}", headers));
    EXPECT_EQ(answer.status, 403) << headers;
    EXPECT_NE(answer.first_error().find("X-Curfew-CSRF"), std::string::npos) << headers;
  }
  EXPECT_EQ(broker_.calls(), 0U);
}

TEST_F(BrowserSessionTest, AnotherOriginIsRefusedEvenWithTheCsrfToken) {
  const std::string csrf = fmt::format("Cookie: curfew={}\r\nX-Curfew-CSRF: {}\r\n", kToken,
                                       csrf_token(Secret(std::string(kToken))));
  for (const char* from :
       {"Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:99\r\n",
        "Origin: http://localhost.evil.example\r\n", "Origin: \r\n",
        "Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\n"}) {
    const RawAnswer write =
        call(with_body("POST", "/v1/sys/approvals/1/approve", "{}", csrf + from));
    EXPECT_EQ(write.status, 403) << from;
    EXPECT_EQ(call(get("/v1/secret/a", csrf + from)).status, 403) << from;
    EXPECT_EQ(call(with_body("POST", "/v1/auth/userpass/login/ana", "{}",
                             std::string("X-Curfew-Browser: 1\r\n") + from))
                  .status,
              403)
        << from;
  }
  EXPECT_EQ(broker_.calls(), 0U);
  encrypted_ = true;
  EXPECT_EQ(call(with_body("POST", "/v1/auth/userpass/login/ana", "{}",
                           "X-Curfew-Browser: 1\r\nOrigin: http://localhost\r\n"))
                .status,
            403);
}

TEST_F(BrowserSessionTest, AReadByALinkHasNobodysName) {
  for (const char* from : {"", "Sec-Fetch-Site: none\r\n", "Sec-Fetch-Site: cross-site\r\n"}) {
    const RawAnswer answer = call(get("/v1/database/creds/agent-readonly", cookie_only(from)));
    EXPECT_EQ(refusal(answer), "missing client token") << from;
    EXPECT_TRUE(broker_.last().token.empty());
  }
}

TEST_F(BrowserSessionTest, ATokenInAHeaderWinsAndNeedsNoCsrfToken) {
  const RawAnswer answer = call(with_body(
      "POST", "/v1/a", "{}", fmt::format("Cookie: curfew=other\r\nX-Vault-Token: {}\r\n", kToken)));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(broker_.last().token.reveal(), kToken);
  const RawAnswer bearer =
      call(with_body("POST", "/v1/a", "{}",
                     fmt::format("Cookie: curfew=other\r\nAuthorization: Bearer {}\r\n", kToken)));
  EXPECT_EQ(bearer.status, 200);
}

TEST_F(BrowserSessionTest, CookiesThatSomebodyElseHasSetAreRefused) {
  const std::string csrf = csrf_token(Secret(std::string(kToken)));
  const std::string twice =
      fmt::format("Cookie: curfew=hvs.evil; curfew={}\r\nX-Curfew-CSRF: {}\r\n", kToken, csrf);
  EXPECT_NE(refusal(call(with_body("POST", "/v1/a", "{}", twice))).find("several session cookies"),
            std::string::npos);
  const std::string headers = fmt::format(
      "Cookie: curfew={}\r\nCookie: curfew=hvs.evil\r\nX-Curfew-CSRF: {}\r\n", kToken, csrf);
  EXPECT_EQ(call(with_body("POST", "/v1/a", "{}", headers)).status, 403);
  // Over TLS a cookie without the prefix can be anybody's.
  encrypted_ = true;
  EXPECT_EQ(refusal(call(with_body("POST", "/v1/a", "{}", session()))), "missing client token");
  const std::string both = fmt::format(
      "Cookie: curfew=hvs.evil; __Host-curfew={}\r\nX-Curfew-CSRF: {}\r\n", kToken, csrf);
  EXPECT_EQ(call(with_body("POST", "/v1/a", "{}", both)).status, 200);
  EXPECT_EQ(broker_.last().token.reveal(), kToken);
}

TEST_F(BrowserSessionTest, NoAnswerShowsTheToken) {
  const RawAnswer self = call(get("/v1/auth/token/lookup-self", session()));
  EXPECT_EQ(self.json()["data"]["display_name"], "ana");
  EXPECT_EQ(self.json()["data"]["id"], "");
  const RawAnswer renewed = call(
      with_body("POST", "/v1/auth/token/renew-self", "{}", session("X-Curfew-Browser: 1\r\n")));
  EXPECT_EQ(renewed.status, 200);
  EXPECT_EQ(renewed.body.find(kToken), std::string::npos);
  EXPECT_TRUE(says(renewed, "Set-Cookie: curfew="));
  const RawAnswer wrapped = call(
      with_body("POST", "/v1/auth/token/renew-self", "{}", session("X-Vault-Wrap-TTL: 60\r\n")));
  EXPECT_EQ(wrapped.status, 403);
}

TEST_F(BrowserSessionTest, NoOtherTokenIsHandedOut) {
  for (const char* more : {"", "X-Curfew-Browser: 1\r\n"}) {
    const RawAnswer answer = call(with_body("POST", "/v1/auth/token/create", "{}", session(more)));
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.body.find("hvs.another"), std::string::npos);
    EXPECT_FALSE(says(answer, "Set-Cookie"));
  }
  EXPECT_EQ(broker_.taken_back(), (std::vector<std::string>{"hvs.another", "hvs.another"}));
}

TEST_F(BrowserSessionTest, SigningInWithAToken) {
  const std::string body = fmt::format(R"({{"token":"{}"}})", kToken);
  const RawAnswer answer = call(
      with_body("POST", "/ui/session", body, std::string(kFetch) + "X-Vault-Namespace: team\r\n"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json()["data"]["display_name"], "ana");
  EXPECT_EQ(answer.body.find(kToken), std::string::npos);
  EXPECT_TRUE(says(answer, "HttpOnly; Max-Age=600\r\n"));
  EXPECT_EQ(broker_.last().name_space, "team");
  EXPECT_EQ(call(with_body("POST", "/ui/session", body)).status, 403);
  for (const char* bad : {R"({"token":"wrong"})", R"({"token":"a\r\nb"})", R"({"token":""})",
                          R"({"token":"a; Path=/x"})", "{", R"({"token":7})", ""}) {
    const RawAnswer refused = call(with_body("POST", "/ui/session", bad, kFetch));
    EXPECT_TRUE(refused.status == 403 || refused.status == 400) << bad;
    EXPECT_FALSE(says(refused, "Set-Cookie")) << bad;
  }
  EXPECT_EQ(call(get("/ui/session")).status, 405);
}

TEST_F(BrowserSessionTest, SigningOutRevokesTheTokenAndTakesTheCookiesAway) {
  EXPECT_EQ(call(with_body("DELETE", "/ui/session", "", cookie_only())).status, 403);
  EXPECT_EQ(call(with_body("DELETE", "/ui/session", "", session("Origin: http://evil.example\r\n")))
                .status,
            403);
  EXPECT_EQ(broker_.calls(), 0U);
  const RawAnswer answer = call(with_body("DELETE", "/ui/session", "", session()));
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(broker_.last().path, "auth/token/revoke-self");
  EXPECT_EQ(broker_.last().operation, Operation::kUpdate);
  EXPECT_EQ(broker_.last().token.reveal(), kToken);
  EXPECT_TRUE(
      says(answer, "Set-Cookie: curfew=; Path=/; SameSite=Strict; HttpOnly; Max-Age=0\r\n"));
  EXPECT_TRUE(says(answer, "Set-Cookie: __Host-curfew=; "));
}

TEST_F(BrowserSessionTest, ASessionThatIsOverDoesNotKeepAnybodyFromSigningIn) {
  const RawAnswer answer = call(with_body("POST", "/v1/auth/userpass/login/ana", "{}",
                                          std::string(kFetch) + "Cookie: curfew=hvs.old\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(broker_.last().token.empty());
  const std::string old = fmt::format("Cookie: curfew=hvs.old\r\nX-Curfew-CSRF: {}\r\n",
                                      csrf_token(Secret(std::string("hvs.old"))));
  const RawAnswer out = call(with_body("DELETE", "/ui/session", "", old));
  EXPECT_EQ(out.status, 204);
  EXPECT_TRUE(says(out, "Set-Cookie: curfew=;"));
}

TEST(ShortTokenTest, AWordThatIsATokenStaysAWordElsewhere) {
  const Secret word(std::string("root"));
  broker::Request request;
  HttpRequest http;
  http.headers = {{"Cookie", "curfew=root"}, {"X-Curfew-CSRF", csrf_token(word)}};
  const auto call = BrowserCall::read(http, request);
  ASSERT_TRUE(call);
  HttpResponse response;
  response.body = R"({"data":{"accessor":"x","id":"root","policies":["root"]}})";
  ASSERT_TRUE(call->finish(Response{}, response));
  EXPECT_EQ(response.body, R"({"data":{"accessor":"x","policies":["root"]}})");
}

TEST(CsrfTokenTest, IsNotTheTokenAndDiffersWithIt) {
  const std::string one = csrf_token(Secret(std::string("hvs.one")));
  EXPECT_EQ(one.size(), 64U);
  EXPECT_EQ(one.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(one, csrf_token(Secret(std::string("hvs.two"))));
  EXPECT_EQ(one, csrf_token(Secret(std::string("hvs.one"))));
}

}  // namespace
}  // namespace curfew::api::testing
