#include "tests/broker_auth/auth_world.h"

namespace curfew::broker {
namespace {

using test::TokenSigner;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class JwtLogin : public AuthWorld {
 protected:
  JwtLogin() {
    enable("jwt");
    role("ci", {{"bound_audiences", "curfew"}, {"bound_subject", "build-7"}});
  }

  void role(const std::string& name, Json fields) {
    fields.update({{"role_type", "jwt"}, {"token_policies", "ci"}, {"token_ttl", "10m"}});
    if (!fields.contains("user_claim")) fields["user_claim"] = "sub";
    must_write("auth/jwt/role/" + name, fields);
  }
  void believe_key() {
    must_write("auth/jwt/config", {{"jwt_validation_pubkeys", signer_.public_pem()},
                                   {"bound_issuer", "https://ci.example"}});
  }
  void believe_server() {
    server_.answer("/keys", test::jwks_text({&signer_}));
    must_write("auth/jwt/config",
               {{"jwks_url", server_.url("/keys")}, {"jwks_ca_pem", server_.ca_pem()}});
  }
  Json claims() const {
    return {{"iss", "https://ci.example"},
            {"aud", "curfew"},
            {"sub", "build-7"},
            {"iat", now()},
            {"exp", now() + 300}};
  }
  Json claims_with(const std::string& name, const Json& value) const {
    Json all = claims();
    all[name] = value;
    return all;
  }
  Result<Response> login(const std::string& token, const std::string& role_name = "ci") {
    return as_stranger("auth/jwt/login", {{"role", role_name}, {"jwt", token}});
  }

  const TokenSigner signer_{"ES256"};
};

TEST_F(JwtLogin, ASignedTokenBecomesATokenOfTheRole) {
  believe_key();
  const auto answer = login(signer_.sign(claims()));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_TRUE(answer->auth);
  EXPECT_THAT(answer->auth->policies, Contains("ci"));
  EXPECT_EQ(answer->auth->metadata["role"], "ci");
  EXPECT_EQ(answer->auth->lease_duration, Millis{600'000});
  EXPECT_TRUE(answer->auth->orphan);
  const Json self = must_read("auth/token/lookup-self", answer->auth->client_token.reveal());
  EXPECT_EQ(self["display_name"], "jwt-build-7");
  EXPECT_EQ(self["path"], "auth/jwt/login");
}

TEST_F(JwtLogin, WhatNoKeySignedIsRefused) {
  believe_key();
  const TokenSigner forger("ES256");
  EXPECT_THAT(refusal(login(forger.sign(claims()))), HasSubstr("no known key has signed"));
  EXPECT_THAT(refusal(login(test::unsigned_or_shared(claims(), "", Json::object()))),
              HasSubstr("algorithm is not accepted"));
  EXPECT_THAT(refusal(login(test::unsigned_or_shared(claims(), "", {{"alg", "ES256"}}))),
              HasSubstr("malformed"));
  EXPECT_THAT(
      refusal(login(test::unsigned_or_shared(claims(), signer_.public_pem(), Json::object()))),
      HasSubstr("algorithm is not accepted"));
  EXPECT_THAT(refusal(login("")), HasSubstr("missing token"));
  EXPECT_THAT(refusal(login("s.abcdefgh")), HasSubstr("malformed"));
}

TEST_F(JwtLogin, AnRsaKeyIsNoSharedSecret) {
  const TokenSigner rsa("RS256");
  must_write("auth/jwt/config", {{"jwt_validation_pubkeys", rsa.public_pem()}});
  EXPECT_TRUE(login(rsa.sign(claims())));
  EXPECT_FALSE(login(test::unsigned_or_shared(claims(), rsa.public_pem(), Json::object())));
  EXPECT_FALSE(login(test::unsigned_or_shared(claims(), rsa.public_pem(), {{"alg", "RS256"}})));
}

TEST_F(JwtLogin, ClaimsMustBeWhatTheRoleSays) {
  believe_key();
  const std::vector<std::tuple<std::string, Json, std::string>> bad = {
      {"exp", now() - 61, "token is expired"},
      {"exp", "tomorrow", "not a time"},
      {"nbf", now() + 120, "not yet valid"},
      {"iat", now() + 120, "not yet valid"},
      {"aud", "other", "audience"},
      {"aud", nullptr, "audience"},
      {"iss", "https://forger.example", "issuer"},
      {"iss", nullptr, "issuer"},
      {"sub", "build-8", "bound subject"},
      {"sub", nullptr, "bound subject"},
  };
  for (const auto& [name, value, message] : bad)
    EXPECT_THAT(refusal(login(signer_.sign(claims_with(name, value)))), HasSubstr(message))
        << name << value;
  EXPECT_TRUE(login(signer_.sign(claims())));
}

TEST_F(JwtLogin, TimeEndsATokenThatWasGood) {
  believe_key();
  const std::string token = signer_.sign(claims());
  EXPECT_TRUE(login(token));
  clock_.advance(Millis{361'000});
  EXPECT_THAT(refusal(login(token)), HasSubstr("token is expired"));
}

TEST_F(JwtLogin, OversizedAndDeepTokensAreRefused) {
  believe_key();
  EXPECT_THAT(refusal(login(signer_.sign(claims_with("pad", std::string(40'000, 'x'))))),
              HasSubstr("larger than"));
  Json deep = 1;
  for (int i = 0; i < 40; ++i) deep = Json{{"a", deep}};
  EXPECT_THAT(refusal(login(signer_.sign(claims_with("deep", deep)))), HasSubstr("deeper"));
  role("mapped", {{"bound_audiences", "curfew"}, {"claim_mappings", {{"email", "email"}}}});
  EXPECT_THAT(refusal(login(signer_.sign(claims_with("email", std::string(3'000, 'x'))), "mapped")),
              HasSubstr("longer than 2048"));
  EXPECT_THAT(refusal(login(signer_.sign(claims_with("sub", std::string(600, 'x'))), "mapped")),
              HasSubstr("1 to 512 bytes"));
}

// Who has no token that is believed gets the same answers for roles that exist and that do not.
TEST_F(JwtLogin, RolesAreHiddenFromStrangers) {
  believe_key();
  const std::string forged = TokenSigner("ES256").sign(claims());
  EXPECT_EQ(refusal(login(forged, "ci")), refusal(login(forged, "no-such-role")));
  EXPECT_EQ(refusal(login("x", "ci")), refusal(login("x", "no-such-role")));
  EXPECT_THAT(refusal(login(signer_.sign(claims()), "no-such-role")),
              HasSubstr("could not be found"));
}

TEST_F(JwtLogin, ADefaultRoleServesThoseThatNameNone) {
  must_write("auth/jwt/config",
             {{"jwt_validation_pubkeys", signer_.public_pem()}, {"default_role", "CI"}});
  EXPECT_TRUE(as_stranger("auth/jwt/login", {{"jwt", signer_.sign(claims())}}));
  believe_key();
  EXPECT_THAT(refusal(as_stranger("auth/jwt/login", {{"jwt", signer_.sign(claims())}})),
              HasSubstr("missing role"));
}

TEST_F(JwtLogin, OnlyFromTheAddressesOfTheRole) {
  believe_key();
  role("inside", {{"token_bound_cidrs", "10.0.0.0/8"}, {"bound_audiences", "curfew"}});
  extra_.remote_address = "192.0.2.7";
  EXPECT_EQ(code_of(login(signer_.sign(claims()), "inside")), Errc::kPermissionDenied);
  extra_.remote_address = "10.1.2.3";
  EXPECT_TRUE(login(signer_.sign(claims()), "inside"));
}

TEST_F(JwtLogin, AlgorithmsAreThoseOfTheConfiguration) {
  must_write("auth/jwt/config", {{"jwt_validation_pubkeys", signer_.public_pem()},
                                 {"jwt_supported_algs", "RS256,EdDSA"}});
  EXPECT_THAT(refusal(login(signer_.sign(claims()))), HasSubstr("jwt_supported_algs"));
  for (const char* name : {"none", "HS256", "RS1", "es256"})
    EXPECT_EQ(code_of(write("auth/jwt/config", {{"jwt_validation_pubkeys", signer_.public_pem()},
                                                {"jwt_supported_algs", name}})),
              Errc::kInvalidArgument);
}

TEST_F(JwtLogin, AMountWithoutConfigurationBelievesNobody) {
  EXPECT_THAT(refusal(login(signer_.sign(claims()))), HasSubstr("could not load configuration"));
  EXPECT_EQ(code_of(read("auth/jwt/config")), Errc::kNotFound);
}

TEST_F(JwtLogin, ANewConfigurationCountsAtOnceAndAfterARestart) {
  believe_key();
  EXPECT_TRUE(login(signer_.sign(claims())));
  const TokenSigner other("EdDSA");
  must_write("auth/jwt/config", {{"jwt_validation_pubkeys", other.public_pem()}});
  EXPECT_FALSE(login(signer_.sign(claims())));
  EXPECT_TRUE(login(other.sign(claims())));
  restart();
  EXPECT_FALSE(login(signer_.sign(claims())));
  EXPECT_TRUE(login(other.sign(claims())));
}

TEST_F(JwtLogin, RenewalEndsWithTheRole) {
  believe_key();
  const auto answer = login(signer_.sign(claims()));
  ASSERT_TRUE(answer);
  const std::string token = answer->auth->client_token.reveal();
  EXPECT_TRUE(write("auth/token/renew-self", Json::object(), token));
  ASSERT_TRUE(remove("auth/jwt/role/ci"));
  EXPECT_FALSE(write("auth/token/renew-self", Json::object(), token));
  role("ci", {{"bound_audiences", "curfew"}, {"bound_subject", "build-7"}});
  EXPECT_FALSE(write("auth/token/renew-self", Json::object(), token)) << "another of that name";
}

// ---- keys of a server -----------------------------------------------------------------------

TEST_F(JwtLogin, KeysComeFromTheServer) {
  believe_server();
  EXPECT_TRUE(login(signer_.sign(claims())));
  EXPECT_TRUE(login(signer_.sign(claims())));
  EXPECT_EQ(server_.count("/keys"), 2);  // the look when it was configured, and the first login
}

TEST_F(JwtLogin, RotatedKeysAreFetched) {
  believe_server();
  EXPECT_TRUE(login(signer_.sign(claims())));
  const TokenSigner next("RS256", "key-2");
  server_.answer("/keys", test::jwks_text({&next}));
  clock_.advance(Millis{11'000});
  EXPECT_TRUE(login(next.sign(claims())));
  EXPECT_FALSE(login(signer_.sign(claims())));
}

TEST_F(JwtLogin, AServerThatIsDownIsSaidToBe) {
  believe_server();
  restart();
  server_.answer("/keys", "{}", 500);
  const std::string message = refusal(login(signer_.sign(claims())), Errc::kUnavailable);
  EXPECT_THAT(message, HasSubstr("cannot be asked now"));
  EXPECT_THAT(message, Not(HasSubstr("localhost")));
  server_.answer("/keys", test::jwks_text({&signer_}));
  clock_.advance(Millis{11'000});
  EXPECT_TRUE(login(signer_.sign(claims())));
}

TEST_F(JwtLogin, AConfigurationThatDeliversNothingIsRefused) {
  server_.answer("/keys", test::jwks_text({&signer_}));
  server_.answer("/page", "<html>");
  const auto configured = [&](const std::string& url, const std::string& ca) {
    return refusal(write("auth/jwt/config", {{"jwks_url", url}, {"jwks_ca_pem", ca}}));
  };
  const test::HttpsServer other;
  EXPECT_THAT(configured(server_.url("/keys"), other.ca_pem()), HasSubstr("was not accepted"));
  EXPECT_THAT(configured(server_.url("/keys"), ""), HasSubstr("was not accepted"));
  EXPECT_THAT(configured(server_.url("/nothing"), server_.ca_pem()), HasSubstr("status 404"));
  EXPECT_THAT(configured(server_.url("/page"), server_.ca_pem()), HasSubstr("cannot be used"));
  EXPECT_THAT(configured("http://localhost/keys", ""), HasSubstr("https://"));
  EXPECT_THAT(configured(server_.url("/keys"), "no pem"), HasSubstr("jwks_ca_pem"));
  EXPECT_THAT(refusal(write("auth/jwt/config")), HasSubstr("exactly one of"));
  EXPECT_THAT(refusal(write("auth/jwt/config", {{"jwks_url", server_.url("/keys")},
                                                {"jwt_validation_pubkeys", signer_.public_pem()}})),
              HasSubstr("exactly one of"));
  EXPECT_EQ(code_of(read("auth/jwt/config")), Errc::kNotFound);
}

// ---- tokens of well-known issuers -----------------------------------------------------------

TEST_F(JwtLogin, ACiSystemsToken) {
  server_.answer("/.well-known/openid-configuration",
                 Json{{"issuer", server_.url()}, {"jwks_uri", server_.url("/keys")}}.dump());
  server_.answer("/keys", test::jwks_text({&signer_}));
  must_write("auth/jwt/config", {{"oidc_discovery_url", server_.url()},
                                 {"oidc_discovery_ca_pem", server_.ca_pem()},
                                 {"bound_issuer", server_.url()}});
  role("deploy", {{"bound_audiences", "https://curfew.example"},
                  {"bound_claims_type", "glob"},
                  {"bound_claims",
                   {{"repository", "octo-org/octo-repo"},
                    {"ref", Json::array({"refs/heads/main", "refs/heads/release-*"})}}},
                  {"user_claim", "repository"},
                  {"claim_mappings", {{"actor", "actor"}, {"run_id", "run"}}}});
  const Json token = {{"jti", "example-id"},
                      {"sub", "repo:octo-org/octo-repo:ref:refs/heads/release-4"},
                      {"aud", "https://curfew.example"},
                      {"ref", "refs/heads/release-4"},
                      {"repository", "octo-org/octo-repo"},
                      {"actor", "octocat"},
                      {"run_id", 4711},
                      {"iss", server_.url()},
                      {"nbf", now() - 10},
                      {"iat", now()},
                      {"exp", now() + 900}};
  const auto answer = login(signer_.sign(token), "deploy");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->auth->metadata["actor"], "octocat");
  EXPECT_EQ(answer->auth->metadata["run"], "4711");
  Json branch = token;
  branch["ref"] = "refs/heads/feature";
  EXPECT_THAT(refusal(login(signer_.sign(branch), "deploy")), HasSubstr("\"ref\" does not match"));
  Json fork = token;
  fork["repository"] = "mallory/octo-repo";
  EXPECT_FALSE(login(signer_.sign(fork), "deploy"));
}

TEST_F(JwtLogin, ASpiffeJwtSvid) {
  Json authority = signer_.jwk();
  authority["use"] = "jwt-svid";
  server_.answer(
      "/bundle",
      Json{{"keys", Json::array({authority})}, {"spiffe_sequence", 3}, {"spiffe_refresh_hint", 300}}
          .dump());
  must_write("auth/jwt/config",
             {{"jwks_url", server_.url("/bundle")}, {"jwks_ca_pem", server_.ca_pem()}});
  role("agents", {{"bound_audiences", "curfew"},
                  {"bound_claims_type", "glob"},
                  {"bound_claims", {{"sub", "spiffe://example.org/agent/*"}}}});
  const auto svid = [&](const std::string& id) {
    return signer_.sign({{"sub", id}, {"aud", Json::array({"curfew"})}, {"exp", now() + 300}});
  };
  // Without iat and nbf a token counts from 150 s (and a minute of skew) before its end.
  EXPECT_FALSE(login(svid("spiffe://example.org/agent/etl"), "agents"));
  must_write("auth/jwt/role/agents", {{"not_before_leeway", "10m"}});
  const auto answer = login(svid("spiffe://example.org/agent/etl"), "agents");
  ASSERT_TRUE(answer) << answer.error().message;
  const Json self = must_read("auth/token/lookup-self", answer->auth->client_token.reveal());
  EXPECT_EQ(self["display_name"], "jwt-spiffe://example.org/agent/etl");
  EXPECT_FALSE(login(svid("spiffe://example.org/batch"), "agents"));
  EXPECT_FALSE(login(svid("spiffe://other.org/agent/etl"), "agents"));
}

// ---- roles ----------------------------------------------------------------------------------

TEST_F(JwtLogin, RolesKeepWhatAWriteLeavesOut) {
  must_write("auth/jwt/role/ci", {{"clock_skew_leeway", -1}, {"groups_claim", "groups"}});
  must_write("auth/jwt/role/ci", {{"max_age", "1h"}});
  const Json role = must_read("auth/jwt/role/CI");
  EXPECT_EQ(role["bound_subject"], "build-7");
  EXPECT_EQ(role["clock_skew_leeway"], -1);
  EXPECT_EQ(role["groups_claim"], "groups");
  EXPECT_EQ(role["max_age"], 3600);
  EXPECT_EQ(role["token_policies"], Json::array({"ci"}));
  EXPECT_EQ(role["token_ttl"], 600);
  EXPECT_EQ(list("auth/jwt/role")->data["keys"], Json::array({"ci"}));
  EXPECT_TRUE(remove("auth/jwt/role/ci"));
  EXPECT_EQ(code_of(read("auth/jwt/role/ci")), Errc::kNotFound);
}

TEST_F(JwtLogin, RolesThatBindNothingOrMakeNoSenseAreRefused) {
  const Json good = {{"role_type", "jwt"}, {"user_claim", "sub"}, {"bound_subject", "x"}};
  const std::vector<std::pair<Json, std::string>> bad = {
      {{{"bound_subject", ""}}, "at least one bound constraint"},
      {{{"user_claim", ""}}, "a user claim must be defined"},
      {{{"role_type", "saml"}}, "invalid 'role_type'"},
      {{{"role_type", "oidc"}}, "'allowed_redirect_uris' must be set"},
      {{{"allowed_redirect_uris", "http://evil.example/cb"}}, "allowed_redirect_uris"},
      {{{"allowed_redirect_uris", "http://localhost.evil.example/cb"}}, "allowed_redirect_uris"},
      {{{"allowed_redirect_uris", "javascript:alert(1)"}}, "allowed_redirect_uris"},
      {{{"bound_claims", {{"a", Json::object()}}}}, "bound_claims"},
      {{{"bound_claims", {{"a", Json::array()}}}}, "bound_claims"},
      {{{"bound_claims", "a=b"}}, "bound_claims"},
      {{{"bound_claims", {{"a", 1}}}, {"bound_claims_type", "glob"}}, "to be a glob"},
      {{{"bound_claims_type", "regex"}}, "bound_claims_type"},
      {{{"claim_mappings", {{"a", "m"}, {"b", "m"}}}}, "used twice"},
      {{{"claim_mappings", {{"a", "role"}}}}, "kept for the role"},
      {{{"user_claim_json_pointer", true}}, "JSON pointer"},
      {{{"clock_skew_leeway", "soon"}}, "clock_skew_leeway"},
      {{{"token_ttl", "soon"}}, "token_ttl"},
  };
  for (const auto& [fields, message] : bad) {
    Json data = good;
    data.update(fields);
    EXPECT_THAT(refusal(write("auth/jwt/role/bad", data)), HasSubstr(message)) << data;
  }
  EXPECT_EQ(code_of(read("auth/jwt/role/bad")), Errc::kNotFound);
  EXPECT_TRUE(write("auth/jwt/role/bad", good));
}

}  // namespace
}  // namespace curfew::broker
