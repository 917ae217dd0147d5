#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/digest.h"
#include "base/encoding.h"
#include "tests/broker_auth/auth_world.h"

namespace curfew::broker {
namespace {

using test::HttpsCall;
using test::HttpsReply;
using test::TokenSigner;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// The members of a query or a form.
std::map<std::string, std::string> parameters(const std::string& text) {
  std::map<std::string, std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('&', at), text.size());
    const std::string pair = text.substr(at, end - at);
    const std::size_t equals = pair.find('=');
    out[pair.substr(0, equals)] = percent_decode(pair.substr(equals + 1)).value_or("?");
    at = end + 1;
  }
  return out;
}

// A provider that knows one person and one client, and checks what a real one checks.
class OidcLogin : public AuthWorld {
 protected:
  OidcLogin() {
    server_.answer("/.well-known/openid-configuration",
                   Json{{"issuer", server_.url()},
                        {"jwks_uri", server_.url("/keys")},
                        {"authorization_endpoint", server_.url("/authorize")},
                        {"token_endpoint", server_.url("/token")}}
                       .dump());
    server_.answer("/keys", test::jwks_text({&signer_}));
    server_.on("/token", [this](const HttpsCall& call) { return give_token(call); });
    enable("oidc");
    must_write("auth/oidc/config", config());
    must_write("auth/oidc/role/people", {{"user_claim", "email"},
                                         {"groups_claim", "groups"},
                                         {"oidc_scopes", "email,profile"},
                                         {"allowed_redirect_uris", kRedirect},
                                         {"token_policies", "ci"}});
  }

  Json config() const {
    return {{"oidc_discovery_url", server_.url()},
            {"oidc_discovery_ca_pem", server_.ca_pem()},
            {"oidc_client_id", "curfew"},
            {"oidc_client_secret", "geheim&=%"},
            {"default_role", "people"}};
  }

  struct Begun {
    std::string url;
    std::map<std::string, std::string> query;
    std::string state;
  };
  Begun begin(Json more = Json::object()) {
    Json data = {{"role", "people"}, {"redirect_uri", kRedirect}};
    data.update(more);
    const auto answer = as_stranger("auth/oidc/oidc/auth_url", data);
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    Begun begun{.url = answer->data["auth_url"].get<std::string>(), .query = {}, .state = {}};
    begun.query = parameters(begun.url.substr(begun.url.find('?') + 1));
    begun.state = begun.query["state"];
    return begun;
  }

  // The person agrees; the browser comes back with a code.
  std::string authorize(const Begun& begun) {
    challenge_ = begun.query.at("code_challenge");
    claims_ = {{"iss", server_.url()},
               {"aud", "curfew"},
               {"sub", "0815"},
               {"email", "ana@example.org"},
               {"groups", Json::array({"dba"})},
               {"nonce", begun.query.at("nonce")},
               {"iat", now()},
               {"exp", now() + 300}};
    return "code-1";
  }

  Result<Response> come_back(const std::string& state, const std::string& code,
                             Json more = Json::object()) {
    Json data = {{"state", state}, {"code", code}};
    data.update(more);
    Result<Response> result = call(Operation::kRead, "auth/oidc/oidc/callback", data, "");
    server_.settle();
    return result;
  }

  HttpsReply give_token(const HttpsCall& call) {
    auto form = parameters(call.body);
    std::string challenge = test::base64url(sha256(form["code_verifier"]));
    const bool fits =
        form["grant_type"] == "authorization_code" && form["code"] == "code-1" &&
        form["redirect_uri"] == kRedirect && challenge == challenge_ &&
        call.headers.at("authorization") == "Basic " + base64_encode("curfew:geheim%26%3d%25");
    if (!fits) return {.status = 400, .body = R"({"error":"invalid_grant"})"};
    return {.status = 200,
            .body = Json{{"access_token", "a"},
                         {"token_type", "Bearer"},
                         {"id_token", id_token_.empty() ? signer_.sign(claims_) : id_token_}}
                        .dump()};
  }

  static constexpr const char* kRedirect = "http://localhost:8250/oidc/callback";
  const TokenSigner signer_{"RS256"};
  std::string challenge_;
  Json claims_;
  std::string id_token_;  // instead of one of claims_
};

TEST_F(OidcLogin, ThroughTheBrowser) {
  const Begun begun = begin();
  EXPECT_THAT(begun.url, HasSubstr(server_.url("/authorize") + "?"));
  EXPECT_EQ(begun.query.at("client_id"), "curfew");
  EXPECT_EQ(begun.query.at("response_type"), "code");
  EXPECT_EQ(begun.query.at("scope"), "openid email profile");
  EXPECT_EQ(begun.query.at("redirect_uri"), kRedirect);
  EXPECT_EQ(begun.query.at("code_challenge_method"), "S256");
  const auto answer = come_back(begun.state, authorize(begun));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->auth->policies, Contains("ci"));
  EXPECT_EQ(answer->auth->metadata["role"], "people");
  const Json self = must_read("auth/token/lookup-self", answer->auth->client_token.reveal());
  EXPECT_EQ(self["display_name"], "oidc-ana@example.org");
}

TEST_F(OidcLogin, AStateIsGoodOnce) {
  const Begun begun = begin();
  const std::string code = authorize(begun);
  EXPECT_TRUE(come_back(begun.state, code));
  EXPECT_THAT(refusal(come_back(begun.state, code)), HasSubstr("expired or missing OAuth state"));
  EXPECT_EQ(server_.count("/token"), 1);
}

TEST_F(OidcLogin, AStateEndsWithAWrongCodeToo) {
  const Begun begun = begin();
  const std::string code = authorize(begun);
  EXPECT_THAT(refusal(come_back(begun.state, "guessed")), HasSubstr("authorization code"));
  EXPECT_THAT(refusal(come_back(begun.state, code)), HasSubstr("OAuth state"));
}

TEST_F(OidcLogin, AStateEndsAfterFiveMinutesAndWithTheProgram) {
  const Begun late = begin();
  const std::string code = authorize(late);
  clock_.advance(Millis{5 * 60'000});
  EXPECT_THAT(refusal(come_back(late.state, code)), HasSubstr("OAuth state"));
  const Begun lost = begin();
  restart();
  EXPECT_THAT(refusal(come_back(lost.state, authorize(lost))), HasSubstr("OAuth state"));
  EXPECT_THAT(refusal(come_back("", "x")), HasSubstr("OAuth state"));
}

TEST_F(OidcLogin, TheRedirectMustBeOneOfTheRoleByteForByte) {
  for (const char* uri :
       {"http://localhost:8250/oidc/callback/", "http://localhost:8251/oidc/callback",
        "https://evil.example/oidc/callback", "http://LOCALHOST:8250/oidc/callback",
        "http://localhost:8250/oidc/callback?x=1"})
    EXPECT_THAT(refusal(as_stranger("auth/oidc/oidc/auth_url",
                                    {{"role", "people"}, {"redirect_uri", uri}})),
                HasSubstr("allowed_redirect_uris"))
        << uri;
  EXPECT_THAT(refusal(as_stranger("auth/oidc/oidc/auth_url", {{"role", "people"}})),
              HasSubstr("missing redirect_uri"));
  EXPECT_THAT(refusal(as_stranger("auth/oidc/oidc/auth_url",
                                  {{"role", "unknown"}, {"redirect_uri", kRedirect}})),
              HasSubstr("allowed_redirect_uris"));
}

TEST_F(OidcLogin, WhoBeganMustEnd) {
  const Begun begun = begin({{"client_nonce", "n-1"}});
  EXPECT_THAT(refusal(come_back(begun.state, authorize(begun))), HasSubstr("client_nonce"));
  const Begun again = begin({{"client_nonce", "n-1"}});
  EXPECT_TRUE(come_back(again.state, authorize(again), {{"client_nonce", "n-1"}}));
}

TEST_F(OidcLogin, IdTokensOfOthersAreRefused) {
  const auto outcome = [&](const Json& changes, const std::string& token = "") {
    const Begun begun = begin();
    const std::string code = authorize(begun);
    for (const auto& [name, value] : changes.items()) claims_[name] = value;
    id_token_ = token;
    return refusal(come_back(begun.state, code));
  };
  EXPECT_THAT(outcome({{"nonce", "another"}}), HasSubstr("nonce"));
  EXPECT_THAT(outcome({{"nonce", nullptr}}), HasSubstr("nonce"));
  EXPECT_THAT(outcome({{"aud", "another"}}), HasSubstr("another client"));
  EXPECT_THAT(outcome({{"aud", Json::array({"curfew", "another"})}}), HasSubstr("azp"));
  EXPECT_THAT(outcome({{"azp", "another"}}), HasSubstr("azp"));
  EXPECT_THAT(outcome({{"iss", "https://another.example"}}), HasSubstr("issuer"));
  EXPECT_THAT(outcome({{"exp", now() - 3600}}), HasSubstr("expired"));
  EXPECT_THAT(outcome({{"email", nullptr}}), HasSubstr("email"));
  EXPECT_THAT(outcome(Json::object(), TokenSigner("RS256").sign({{"sub", "x"}})),
              HasSubstr("no known key"));
  EXPECT_THAT(
      outcome(Json::object(), test::unsigned_or_shared(claims_, "geheim&=%", Json::object())),
      HasSubstr("not accepted"));
  EXPECT_THAT(outcome(Json::object(), TokenSigner("ES256").sign({{"sub", "x"}})),
              HasSubstr("jwt_supported_algs"));
}

TEST_F(OidcLogin, ARefusalOfTheProviderIsPassedOn) {
  EXPECT_THAT(refusal(come_back(begin().state, "", {{"error", "access_denied"}})),
              HasSubstr("access_denied"));
  EXPECT_THAT(refusal(come_back(begin().state, "", {{"error", "<script>"}})),
              Not(HasSubstr("script")));
  EXPECT_THAT(refusal(come_back(begin().state, "")), HasSubstr("code"));
}

TEST_F(OidcLogin, AProviderThatFailsIsSaidTo) {
  server_.answer("/token", "{}", 500);
  const Begun begun = begin();
  EXPECT_THAT(refusal(come_back(begun.state, authorize(begun)), Errc::kUnavailable),
              HasSubstr("cannot be asked now"));
  server_.answer("/token", "{}");
  const Begun again = begin();
  EXPECT_EQ(code_of(come_back(again.state, authorize(again))), Errc::kUnavailable);
}

TEST_F(OidcLogin, TheSecretIsNeverReadBack) {
  const Json read = must_read("auth/oidc/config");
  EXPECT_EQ(read["oidc_client_id"], "curfew");
  EXPECT_FALSE(read.contains("oidc_client_secret"));
  EXPECT_THAT(read.dump(), Not(HasSubstr("geheim")));
}

TEST_F(OidcLogin, RolesForTheBrowserTakeNoTokensAndTheOtherWayRound) {
  EXPECT_THAT(refusal(as_stranger(
                  "auth/oidc/login",
                  {{"role", "people"}, {"jwt", signer_.sign({{"sub", "x"}, {"exp", now()}})}})),
              HasSubstr("oidc role_type is not allowed"));
  must_write("auth/oidc/role/machines",
             {{"role_type", "jwt"}, {"user_claim", "sub"}, {"bound_subject", "x"}});
  EXPECT_THAT(refusal(as_stranger("auth/oidc/oidc/auth_url",
                                  {{"role", "machines"}, {"redirect_uri", kRedirect}})),
              HasSubstr("allowed_redirect_uris"));
}

TEST_F(OidcLogin, AProviderMustBeWhoItSaysAndUseTls) {
  const auto configured = [&](const Json& discovery) {
    server_.answer("/.well-known/openid-configuration", discovery.dump());
    return refusal(write("auth/oidc/config", config()));
  };
  EXPECT_THAT(
      configured({{"issuer", "https://another.example"}, {"jwks_uri", server_.url("/keys")}}),
      HasSubstr("its issuer is not"));
  EXPECT_THAT(configured({{"issuer", server_.url()}, {"jwks_uri", "http://localhost/keys"}}),
              HasSubstr("jwks_uri"));
  EXPECT_THAT(configured({{"issuer", server_.url()},
                          {"jwks_uri", server_.url("/keys")},
                          {"token_endpoint", "http://localhost/token"}}),
              HasSubstr("endpoints"));
  Json half = config();
  half.erase("oidc_client_secret");
  EXPECT_THAT(refusal(write("auth/oidc/config", half)), HasSubstr("both 'oidc_client_id'"));
  // The configuration that worked is still there.
  EXPECT_EQ(must_read("auth/oidc/config")["oidc_client_id"], "curfew");
}

// The provider sends the browser to the server, and the program asks how it went.
TEST_F(OidcLogin, DirectlyToTheServer) {
  must_write("auth/oidc/role/people", {{"callback_mode", "direct"}, {"poll_interval", 3}});
  EXPECT_THAT(refusal(as_stranger("auth/oidc/oidc/auth_url",
                                  {{"role", "people"}, {"redirect_uri", kRedirect}})),
              HasSubstr("missing client_nonce"));
  const Begun begun = begin({{"client_nonce", "n-1"}});
  const auto poll = [&](const std::string& nonce) {
    return as_stranger("auth/oidc/oidc/poll", {{"state", begun.state}, {"client_nonce", nonce}});
  };
  EXPECT_EQ(refusal(poll("n-1"), Errc::kConflict), "authorization_pending");
  EXPECT_THAT(refusal(poll("n-2")), HasSubstr("OAuth state"));
  const std::string code = authorize(begun);
  const auto page = come_back(begun.state, code);
  ASSERT_TRUE(page);
  EXPECT_FALSE(page->auth);
  EXPECT_FALSE(come_back(begun.state, code));
  EXPECT_THAT(refusal(poll("n-2")), HasSubstr("OAuth state"));
  const auto answer = poll("n-1");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->auth->policies, Contains("ci"));
  EXPECT_THAT(refusal(poll("n-1")), HasSubstr("OAuth state"));
}

TEST_F(OidcLogin, AskingWhetherItIsOverIsNoFailedLogin) {
  must_write("sys/config/login-limits", {{"failures_per_address", 3}, {"failures_per_name", 3}});
  must_write("auth/oidc/role/people", {{"callback_mode", "direct"}});
  const Begun begun = begin({{"client_nonce", "n-1"}});
  const auto poll = [&] {
    return as_stranger("auth/oidc/oidc/poll", {{"state", begun.state}, {"client_nonce", "n-1"}});
  };
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(refusal(poll(), Errc::kConflict), "authorization_pending") << i;
  ASSERT_TRUE(come_back(begun.state, authorize(begun)));
  EXPECT_TRUE(poll());
}

TEST_F(OidcLogin, NobodyPushesOutTheLoginsOfOthers) {
  extra_.remote_address = "203.0.113.7";
  const Begun first = begin();
  extra_.remote_address = "198.51.100.9";
  const Json wanted = {{"role", "people"}, {"redirect_uri", kRedirect}};
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(write("auth/oidc/oidc/auth_url", wanted, "")) << i;
  EXPECT_THAT(refusal(write("auth/oidc/oidc/auth_url", wanted, ""), Errc::kQuotaExceeded),
              HasSubstr("from your address"));
  extra_.remote_address = "203.0.113.7";
  EXPECT_TRUE(come_back(first.state, authorize(first)));
  begin();
  extra_.remote_address = "198.51.100.9";
  clock_.advance(Millis{5 * 60'000});
  EXPECT_TRUE(write("auth/oidc/oidc/auth_url", wanted, "")) << "those before are over";
}

TEST(OidcRequestsTest, when_all_places_are_taken_none_begins_and_none_is_lost) {
  fakes::ManualClock clock(from_unix_millis(1'800'000'000'000));
  SystemRandom random;
  jwt::OidcRequests requests(clock, random);
  const auto begin = [&](const std::string& address) {
    jwt::OidcRequest request;
    request.address = address;
    return requests.begin(std::move(request));
  };
  std::string first;
  for (int i = 0; i < 10'000; ++i) {
    const auto begun = begin(std::to_string(i / 100));
    ASSERT_TRUE(begun);
    if (i == 0) first = begun->state;
  }
  const auto refused = begin("another");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOverloaded);
  EXPECT_TRUE(requests.take(first));
  EXPECT_TRUE(begin("another"));
}

TEST_F(OidcLogin, AProviderThatHangsHoldsUpEightLogins) {
  std::mutex mutex;
  std::condition_variable changed;
  int asked = 0;
  bool open = false;
  server_.on("/token", [&](const HttpsCall&) -> HttpsReply {
    std::unique_lock lock(mutex);
    ++asked;
    changed.wait_for(lock, std::chrono::seconds{30}, [&] { return open; });
    return {.status = 500, .body = "{}"};
  });
  std::map<Errc, int> outcomes;
  std::vector<std::thread> callers;
  std::vector<Request> requests(24, extra_);
  for (Request& request : requests) {
    request.operation = Operation::kRead;
    request.path = "auth/oidc/oidc/callback";
    request.data = {{"state", begin().state}, {"code", "x"}};
  }
  for (const Request& request : requests) {
    callers.emplace_back([&] {
      const auto answer = broker_->handle(request);
      const std::scoped_lock lock(mutex);
      ++outcomes[answer ? Errc::kInternal : answer.error().code];
      if (outcomes[Errc::kOverloaded] == 16) open = true;
      changed.notify_all();
    });
  }
  for (std::thread& caller : callers) caller.join();
  server_.settle();
  EXPECT_EQ(asked, 8);
  EXPECT_EQ(outcomes[Errc::kOverloaded], 16);
  EXPECT_EQ(outcomes[Errc::kUnavailable], 8);
}

}  // namespace
}  // namespace curfew::broker
