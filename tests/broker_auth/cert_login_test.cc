#include "base/digest.h"
#include "base/encoding.h"
#include "broker/auth/cert/cert_method.h"
#include "tests/broker/broker_world.h"
#include "tests/fakes/memory_log.h"
#include "tests/support/certificate.h"

namespace curfew::broker {
namespace {

using test::Certificate;
using test::CertificateAuthority;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kDay = 86'400;
constexpr const char* kRefused = "invalid certificate or no client certificate supplied";

class CertLogin : public BrokerWorld {
 protected:
  CertLogin() {
    cert::add_methods(auth_methods_);
    write_policy("ci", "path \"auth/token/create\" { capabilities = [\"update\"] }");
    must_write("sys/auth/cert", {{"type", "cert"}});
    role("web");
  }

  std::int64_t now() const { return to_unix_seconds(clock_.wall()); }
  // Around the moved clock.
  test::CertificateWish wish(const std::string& common_name = "payments") const {
    return {.common_name = common_name, .begins = now() - kDay, .ends = now() + 30 * kDay};
  }
  Certificate issue(const std::string& common_name = "payments") const {
    return authority_.issue(wish(common_name));
  }
  void role(const std::string& name, Json more = Json::object()) {
    more.emplace("certificate", authority_.certificate());
    more.emplace("token_policies", "ci");
    more.emplace("token_ttl", "1h");
    must_write("auth/cert/certs/" + name, more);
  }
  // `others`: the rest of the chain.
  void show(const Certificate& own, const std::vector<std::string>& others = {}) {
    PeerCertificate shown;
    shown.chain = {test::der_of(own.certificate)};
    for (const std::string& pem : others) shown.chain.push_back(test::der_of(pem));
    shown.sha256 = hex_encode(sha256(shown.chain[0]));
    extra_.peer_certificate = std::make_shared<const PeerCertificate>(shown);
  }
  void show_nothing() { extra_.peer_certificate = nullptr; }
  Result<Response> login(const std::string& name = "") {
    return write("auth/cert/login", name.empty() ? Json::object() : Json{{"name", name}}, "");
  }
  std::string token_of(const Result<Response>& login) {
    if (!login) ADD_FAILURE() << login.error().message;
    return login ? login->auth->client_token.reveal() : "";
  }
  std::string outcome(const std::string& name = "") {
    const auto result = login(name);
    return result ? "in" : result.error().message;
  }
  std::string refusal(const Result<Response>& result) {
    return result ? "(no refusal)" : result.error().message;
  }
  bool lives(const std::string& token) { return read("auth/token/lookup-self", token).has_value(); }
  void revoke(const std::string& name, const std::vector<std::string>& revoked,
              const CertificateAuthority& issuer, std::int64_t next) {
    must_write("auth/cert/crls/" + name,
               {{"crl", issuer.revocation_list(revoked, now() - kDay, next)}});
  }

  // From now on.
  const fakes::MemoryLog& keep_log() {
    auto kept = std::make_unique<fakes::MemoryLog>();
    const fakes::MemoryLog& log = *kept;
    first_log_ = std::exchange(log_, std::move(kept));
    restart();
    return log;
  }

  std::unique_ptr<Log> first_log_;
  const CertificateAuthority authority_{"Authority", 1'700'000'000, 2'000'000'000};
};

TEST_F(CertLogin, ACertificateOfTheAuthorityLogsIn) {
  show(issue());
  const auto answer = login();
  const std::string token = token_of(answer);
  EXPECT_THAT(answer->auth->policies, Contains("ci"));
  EXPECT_EQ(answer->auth->metadata["cert_name"], "web");
  EXPECT_EQ(answer->auth->metadata["common_name"], "payments");
  EXPECT_NE(answer->auth->metadata["subject_key_id"], "");
  EXPECT_EQ(answer->auth->lease_duration, std::chrono::hours{1});
  const Json self = must_read("auth/token/lookup-self", token);
  EXPECT_EQ(self.at("display_name"), "cert-web");
  EXPECT_TRUE(self.contains("cnf"));
  EXPECT_EQ(outcome("web"), "in");
  EXPECT_EQ(outcome("WEB"), "in") << "names are the same in either case";
}

TEST_F(CertLogin, WithoutOneNobodyLogsIn) {
  show_nothing();
  EXPECT_THAT(outcome(), HasSubstr("client certificate must be supplied"));
}

// Equal answers: what is believed here is not for strangers to find out.
TEST_F(CertLogin, StrangersGetOneAnswer) {
  const auto expect_refused = [&](const char* what) { EXPECT_EQ(outcome(), kRefused) << what; };
  show(CertificateAuthority("Authority", 1'700'000'000, 2'000'000'000).issue(wish()));
  expect_refused("forged: an authority of the same name");
  show(test::make_self_signed(wish()));
  expect_refused("nobody's");
  show(authority_.issue({.begins = now() - 2 * kDay, .ends = now() - 1}));
  expect_refused("expired");
  show(authority_.issue({.begins = now() + 60, .ends = now() + kDay}));
  expect_refused("not valid yet");
  auto server = wish();
  server.usages = "serverAuth";
  show(authority_.issue(server));
  expect_refused("for servers");
  show(issue());
  EXPECT_EQ(outcome("no-such-role"), kRefused);
  PeerCertificate garbage;
  garbage.chain = {"not DER"};
  extra_.peer_certificate = std::make_shared<const PeerCertificate>(garbage);
  expect_refused("garbage");
}

TEST_F(CertLogin, ExpiryGoesByTheBrokersClock) {
  show(authority_.issue({.begins = now() - 60, .ends = now() + 600}));
  EXPECT_EQ(outcome(), "in");
  clock_.advance(Seconds{601});
  EXPECT_EQ(outcome(), kRefused);
}

TEST_F(CertLogin, IntermediatesComeFromTheClientOrAreBelievedThemselves) {
  const CertificateAuthority middle =
      authority_.issue_authority("Middle", now() - kDay, now() + 30 * kDay);
  const Certificate leaf = middle.issue(wish());
  show(leaf);
  EXPECT_EQ(outcome(), kRefused) << "the link is missing";
  show(leaf, {middle.certificate()});
  EXPECT_EQ(outcome(), "in");
  show(leaf, std::vector<std::string>(12, middle.certificate()));
  EXPECT_EQ(outcome(), kRefused) << "too long";
  role("web", {{"certificate", middle.certificate()}});
  show(leaf);
  EXPECT_EQ(outcome(), "in") << "an intermediate can be the one that is believed";
}

// Only basicConstraints makes an authority, whatever else a certificate could sign.
TEST_F(CertLogin, AClientsCertificateStandsForItselfAlone) {
  const Certificate own = issue("robot");
  role("web", {{"certificate", own.certificate}});
  show(own);
  EXPECT_EQ(outcome(), "in");
  show(issue("robot"));
  EXPECT_EQ(outcome(), kRefused) << "the same name, another certificate";
  auto server = wish();
  server.usages = "serverAuth";
  EXPECT_THAT(
      refusal(write("auth/cert/certs/x", {{"certificate", authority_.issue(server).certificate}})),
      HasSubstr("client authentication"));
}

TEST_F(CertLogin, NamesAndExtensionsAreBound) {
  auto wanted = wish("web-1.example");
  wanted.units = {"ops", "dev"};
  wanted.alternative_names = "DNS:web-1.example,URI:spiffe://example/web,email:w@example.org";
  wanted.extensions = {{"2.1.1.1", "blue"}};
  show(authority_.issue(wanted));
  struct Case {
    const char *field, *fits, *fits_not;
  };
  for (const Case& one : {
           Case{"allowed_common_names", "a,web-*.example", "web-2.example"},
           Case{"allowed_dns_sans", "web-?,web-1.*", "*.other"},
           Case{"allowed_uri_sans", "spiffe://example/*", "spiffe://other/*"},
           Case{"allowed_email_sans", "*@example.org", "*@example.com"},
           Case{"allowed_organizational_units", "dev", "sales"},
           Case{"allowed_names", "w@example.org", "spiffe://example/web"},
           Case{"required_extensions", "2.1.1.1:bl*", "2.1.1.1:red"},
           Case{"required_extensions", "2.1.1.1:*", "2.1.1.1:blue,2.1.1.2:*"},
       }) {
    role("web", {{one.field, one.fits}});
    EXPECT_EQ(outcome(), "in") << one.field;
    role("web", {{one.field, one.fits_not}});
    EXPECT_EQ(outcome(), kRefused) << one.field;
    role("web", {{one.field, Json::array()}});
  }
  role("web", {{"allowed_metadata_extensions", "2.1.1.1,2.1.1.9"}});
  const auto answer = login();
  EXPECT_EQ(answer->auth->metadata["2-1-1-1"], "blue");
  EXPECT_FALSE(answer->auth->metadata.contains("2-1-1-9"));
}

TEST_F(CertLogin, NamesThatDeceiveAreRefused) {
  for (const std::string& name : {std::string("payments\0x", 10), std::string("pay\nments")}) {
    show(authority_.issue(wish(name)));
    EXPECT_EQ(outcome(), kRefused);
  }
}

TEST_F(CertLogin, TheFirstRoleThatFitsIsTaken) {
  role("api", {{"allowed_common_names", "api-*"}, {"token_policies", "other"}});
  show(issue());
  EXPECT_EQ(login()->auth->metadata["cert_name"], "web");
  show(issue("api-7"));
  EXPECT_EQ(login()->auth->metadata["cert_name"], "api");
  EXPECT_EQ(login("web")->auth->metadata["cert_name"], "web");
}

TEST_F(CertLogin, ARoleBindsTheAddressAlreadyAtTheLogin) {
  role("web", {{"token_bound_cidrs", "10.0.0.0/8"}});
  show(issue());
  EXPECT_EQ(outcome(), kRefused);
  extra_.remote_address = "10.1.2.3";
  EXPECT_EQ(outcome(), "in");
}

// ---- revocation lists -------------------------------------------------------------------------

TEST_F(CertLogin, ARevokedCertificateIsOut) {
  const Certificate good = issue(), bad = issue("stolen");
  revoke("authority", {bad.certificate}, authority_, now() + kDay);
  show(bad);
  EXPECT_EQ(outcome(), kRefused);
  show(good);
  EXPECT_EQ(outcome(), "in");
  const Json list = must_read("auth/cert/crls/authority");
  EXPECT_EQ(list.at("revoked"), 1);
  EXPECT_EQ(list.at("serials").size(), 1u);
  EXPECT_EQ(list.at("issuer"), "CN=Authority");
  EXPECT_EQ(must_write("auth/cert/crls/authority",
                       {{"crl", authority_.revocation_list({}, now() - 60, now() + kDay)}})
                .warnings.size(),
            0u);
  show(bad);
  EXPECT_EQ(outcome(), "in") << "a new list replaces the old one";
}

TEST_F(CertLogin, AClientThatIsBelievedItselfIsRevokedByItsIssuersList) {
  const Certificate own = issue("robot");
  role("web", {{"certificate", own.certificate}});
  revoke("authority", {}, authority_, now() + kDay);
  show(own);
  EXPECT_EQ(outcome(), "in");
  revoke("authority", {own.certificate}, authority_, now() + kDay);
  EXPECT_EQ(outcome(), kRefused);
  revoke("authority", {}, authority_, now() + 60);
  EXPECT_EQ(outcome(), "in");
  clock_.advance(Seconds{61});
  EXPECT_EQ(outcome(), kRefused) << "out of date";
}

TEST_F(CertLogin, AListThatIsOutOfDateLetsNobodyIn) {
  revoke("authority", {}, authority_, now() + 600);
  const CertificateAuthority other("Other", 1'700'000'000, 2'000'000'000);
  role("others", {{"certificate", other.certificate()}});
  show(issue());
  EXPECT_EQ(outcome(), "in");
  clock_.advance(Seconds{601});
  EXPECT_EQ(outcome(), kRefused);
  show(other.issue(wish("elsewhere")));
  EXPECT_EQ(outcome(), "in") << "it says nothing of other authorities";
  show(issue());
  revoke("authority", {}, authority_, now() + 600);
  EXPECT_EQ(outcome(), "in");
  ASSERT_TRUE(remove("auth/cert/crls/authority").has_value());
  clock_.advance(Seconds{601});
  EXPECT_EQ(outcome(), "in") << "without a list there is nothing to be out of date";
}

TEST_F(CertLogin, AListThatItsIssuerDidNotSignLetsNobodyIn) {
  const CertificateAuthority forger("Authority", 1'700'000'000, 2'000'000'000);
  revoke("authority", {}, forger, now() + kDay);
  show(issue());
  EXPECT_EQ(outcome(), kRefused);
}

TEST_F(CertLogin, ListsAreReadWithCare) {
  const std::string old = authority_.revocation_list({}, now() - 2 * kDay, now() - kDay);
  for (const auto& [data, words] : std::initializer_list<std::pair<Json, const char*>>{
           {{{"url", "http://crl.example"}}, "lists are not fetched"},
           {Json::object(), "expected a revocation list"},
           {{{"crl", "no list"}}, "failed to parse CRL"},
           {{{"crl", authority_.certificate()}}, "failed to parse CRL"},
           {{{"crl", old}}, "out of date"}})
    EXPECT_THAT(refusal(write("auth/cert/crls/x", data)), HasSubstr(words));
  EXPECT_EQ(code_of(read("auth/cert/crls/x")), Errc::kNotFound);
  revoke("x", {}, authority_, now() + kDay);
  EXPECT_EQ(list("auth/cert/crls")->data.at("keys"), Json{"x"});
}

TEST_F(CertLogin, TheLogSaysWhyAndWhichListIsOutOfDate) {
  const fakes::MemoryLog& log = keep_log();
  revoke("authority", {}, authority_, now() + 600);
  clock_.advance(Seconds{601});
  show(issue());
  EXPECT_EQ(outcome(), kRefused);
  EXPECT_THAT(log.text, HasSubstr("a revocation list is out of date"));
  EXPECT_THAT(log.text, HasSubstr("path=crls/authority"));
  const std::size_t size = log.text.size();
  EXPECT_EQ(outcome(), kRefused);
  EXPECT_EQ(log.text.find("out of date", size), std::string::npos) << "once in a minute";
  ASSERT_TRUE(remove("auth/cert/crls/authority").has_value());
  show(authority_.issue({.begins = now() - 2 * kDay, .ends = now() - 1}));
  EXPECT_EQ(outcome(), kRefused);
  EXPECT_THAT(log.text, HasSubstr("certificate has expired"));
  show(CertificateAuthority("Authority", 1'700'000'000, 2'000'000'000).issue(wish("stranger")));
  EXPECT_EQ(outcome(), kRefused);
  EXPECT_THAT(log.text, Not(HasSubstr("stranger"))) << "nobody fills the log from outside";
}

// ---- whose name it is -------------------------------------------------------------------------

TEST_F(CertLogin, TheSameNameByAnotherAuthorityIsNotTheSameOne) {
  const CertificateAuthority partner("Partner", 1'700'000'000, 2'000'000'000);
  role("partners", {{"certificate", partner.certificate()}});
  show(issue());
  const std::string entity = login()->auth->entity_id;
  show(partner.issue(wish("payments")));
  EXPECT_EQ(outcome(), kRefused);
  EXPECT_EQ(outcome("partners"), kRefused);
  show(partner.issue(wish("another")));
  EXPECT_EQ(outcome(), "in");
  show(issue());
  EXPECT_EQ(login()->auth->entity_id, entity);
  must_write("auth/cert/config", {{"disable_alias_binding", true}});
  show(partner.issue(wish("payments")));
  EXPECT_EQ(login()->auth->entity_id, entity) << "as Vault has it, for who wants that";
}

TEST_F(CertLogin, ANewAuthorityOfTheRoleTakesItsNamesOver) {
  show(issue());
  const std::string entity = login()->auth->entity_id;
  const CertificateAuthority next("Next", 1'700'000'000, 2'000'000'000);
  role("web", {{"certificate", next.certificate()}});
  show(next.issue(wish()));
  EXPECT_EQ(login()->auth->entity_id, entity);
  role("second", {{"certificate", next.certificate()}});
  EXPECT_EQ(login("second")->auth->entity_id, entity) << "another role, the same authority";
}

TEST_F(CertLogin, ANameIsTheIssuersSubjectOrAnAlternativeName) {
  auto svid = wish("");
  svid.alternative_names = "URI:spiffe://example/etl";
  show(authority_.issue(svid));
  EXPECT_THAT(outcome(), HasSubstr("alias_name_source"));
  role("web", {{"alias_name_source", "uri_san"}});
  const std::string entity = login()->auth->entity_id;
  const Json made = must_read("identity/entity/id/" + entity);
  EXPECT_EQ(made.at("aliases").at(0).at("name"), "spiffe://example/etl");
  EXPECT_THAT(made.at("aliases").at(0).at("metadata").dump(), Not(HasSubstr("cert_name")));
  must_write("auth/cert/config", {{"enable_identity_alias_metadata", true}});
  EXPECT_EQ(outcome(), "in");
  EXPECT_EQ(
      must_read("identity/entity/id/" + entity).at("aliases").at(0).at("metadata").at("cert_name"),
      "web");
  svid.alternative_names = "URI:spiffe://example/etl,URI:spiffe://example/other";
  show(authority_.issue(svid));
  EXPECT_THAT(outcome(), HasSubstr("more than one"));
}

// ---- the token --------------------------------------------------------------------------------

TEST_F(CertLogin, AStolenTokenIsOfNoUse) {
  const Certificate own = issue();
  for (const char* type : {"service", "batch"}) {
    role("web", {{"token_type", type}});
    show(own);
    const std::string token = token_of(login());
    EXPECT_TRUE(lives(token));
    show_nothing();
    EXPECT_FALSE(lives(token)) << "without the certificate, " << type;
    show(issue());
    EXPECT_FALSE(lives(token)) << "with another one of the same name, " << type;
  }
  role("web", {{"token_type", "service"}, {"token_bind_certificate", false}});
  show(own);
  const std::string free = token_of(login());
  show_nothing();
  EXPECT_TRUE(lives(free)) << "where the role says so";
}

TEST_F(CertLogin, NoTokenOutlivesItsCertificate) {
  for (const Json& more : {Json{{"token_ttl", "1h"}}, Json{{"token_period", "1h"}}}) {
    role("web", more);
    show(authority_.issue({.begins = now() - 60, .ends = now() + 600}));
    const auto answer = login();
    const std::string token = token_of(answer);
    EXPECT_LE(answer->auth->lease_duration, Seconds{600});
    const auto renewed = write("auth/token/renew-self", {{"increment", "1h"}}, token);
    ASSERT_TRUE(renewed.has_value()) << refusal(renewed);
    EXPECT_LE(renewed->auth->lease_duration, Seconds{600});
    clock_.advance(Seconds{601});
    EXPECT_FALSE(lives(token));
  }
}

TEST_F(CertLogin, RenewalsNeedTheCertificateAndTheRoleAsTheyWere) {
  const Certificate own = issue();
  role("web", {{"token_bind_certificate", false}});
  show(own);
  const std::string token = token_of(login());
  const auto renew = [&] { return write("auth/token/renew-self", Json::object(), token); };
  EXPECT_TRUE(renew().has_value());
  show_nothing();
  EXPECT_THAT(refusal(renew()), HasSubstr("client certificate must be supplied"));
  show(issue());
  EXPECT_THAT(refusal(renew()), HasSubstr("not matching client identity used during login"));
  must_write("auth/cert/config", {{"disable_binding", true}});
  EXPECT_TRUE(renew().has_value());
  must_write("auth/cert/config", {{"disable_binding", false}});
  show(own);
  revoke("authority", {own.certificate}, authority_, now() + kDay);
  EXPECT_EQ(refusal(renew()), kRefused) << "revoked since";
  ASSERT_TRUE(remove("auth/cert/crls/authority").has_value());
  role("web", {{"token_policies", "other"}});
  EXPECT_THAT(refusal(renew()), HasSubstr("policies have changed"));
  ASSERT_TRUE(remove("auth/cert/certs/web").has_value());
  role("web");
  EXPECT_THAT(refusal(renew()), HasSubstr("does not exist any more")) << "another one of that name";
}

// ---- settings ---------------------------------------------------------------------------------

TEST_F(CertLogin, RolesAreWrittenReadListedAndDeleted) {
  const Json role = must_read("auth/cert/certs/web");
  EXPECT_EQ(role.at("certificate"), authority_.certificate());
  EXPECT_EQ(role.at("display_name"), "web");
  EXPECT_EQ(role.at("allowed_common_names"), Json::array());
  EXPECT_EQ(role.at("token_ttl"), 3600);
  EXPECT_EQ(role.at("token_bind_certificate"), true);
  must_write("auth/cert/certs/web", {{"allowed_dns_sans", "a,b"}});
  EXPECT_EQ(must_read("auth/cert/certs/web").at("allowed_dns_sans"), (Json{"a", "b"}));
  EXPECT_EQ(must_read("auth/cert/certs/web").at("token_ttl"), 3600) << "what is absent stays";
  EXPECT_EQ(list("auth/cert/certs")->data.at("keys"), Json{"web"});
  ASSERT_TRUE(remove("auth/cert/certs/web").has_value());
  EXPECT_EQ(code_of(read("auth/cert/certs/web")), Errc::kNotFound);
  EXPECT_EQ(must_read("auth/cert/config"), (Json{{"disable_binding", false},
                                                 {"enable_identity_alias_metadata", false},
                                                 {"disable_alias_binding", false}}));
}

TEST_F(CertLogin, BadRolesAreRefused) {
  for (const auto& [data, words] : std::initializer_list<std::pair<Json, const char*>>{
           {Json::object(), "\"certificate\""},
           {{{"certificate", "no PEM"}}, "failed to parse certificate"},
           {{{"certificate", authority_.certificate() + "-----BEGIN CERTIFICATE-----\nAAAA\n"}},
            "failed to parse certificate"},
           {{{"certificate", std::string(300'000, 'x')}}, "256 KiB"},
           {{{"certificate", authority_.certificate()}, {"required_extensions", "blue"}},
            "required_extensions"},
           {{{"certificate", authority_.certificate()}, {"allowed_metadata_extensions", "x y"}},
            "allowed_metadata_extensions"},
           {{{"certificate", authority_.certificate()}, {"alias_name_source", "serial"}},
            "alias_name_source"},
           {{{"certificate", authority_.certificate()}, {"ocsp_enabled", true}}, "OCSP"},
           {{{"certificate", authority_.certificate()}, {"token_policies", "root"}}, "root"}})
    EXPECT_THAT(refusal(write("auth/cert/certs/x", data)), HasSubstr(words)) << words;
  EXPECT_EQ(code_of(read("auth/cert/certs/x")), Errc::kNotFound);
}

TEST_F(CertLogin, AnAlteredRoleIsNotBelieved) {
  show(issue());
  ASSERT_EQ(outcome(), "in");
  restart();
  tamper("UPDATE records SET sealed = randomblob(200) WHERE name LIKE '%cert/web'");
  EXPECT_NE(outcome(), "in");
}

}  // namespace
}  // namespace curfew::broker
