#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <fstream>

#include "base/digest.h"
#include "base/encoding.h"
#include "tests/api/server_fixture.h"
#include "tests/api/test_certificate.h"
#include "tests/support/certificate.h"

namespace curfew::api::testing {
namespace {

using test::Certificate;
using test::CertificateAuthority;
using ::testing::HasSubstr;

std::string fingerprint(const Certificate& shown) {
  return hex_encode(sha256(test::der_of(shown.certificate)));
}

class ClientCertificateTest : public ServerTest {
 protected:
  ClientCertificateTest() {
    write_certificate(files_, "server");
    write("ca.pem", authority_.certificate());
    install("client", client_);
  }

  void serve(ClientCertificates clients, const std::string& ca_file = "") {
    files_.client_certificates = clients;
    if (!ca_file.empty()) files_.client_ca_file = folder_.path(ca_file);
    options_.listeners[0].tls = files_;
    start();
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path(name)) << text;
  }
  // `more`: the rest of the chain.
  void install(const std::string& name, const Certificate& pair, const std::string& more = "") {
    write(name + ".pem", pair.certificate + more);
    write(name + ".key", pair.key);
  }
  void show(RawClient& client, const std::string& name) const {
    client.show(folder_.path(name + ".pem"), folder_.path(name + ".key"));
  }
  // What the handler saw of a new connection; null where there was none.
  Json seen(const std::string& name, int version_max = 0) {
    RawClient client(port());
    if (!name.empty()) show(client, name);
    if (!client.start_tls(version_max)) return nullptr;
    const RawAnswer answer = client.exchange(get("/v1/a"));
    return answer.status == 200 ? answer.json()["certificates"] : Json(nullptr);
  }

  TempFolder folder_;
  TlsFiles files_{folder_.path("server.pem"), folder_.path("server.key")};
  const CertificateAuthority authority_{"Authority"};
  const Certificate client_ = authority_.issue();
};

TEST_F(ClientCertificateTest, AskedForByDefaultAndHandedOnWhoeverSignedIt) {
  serve(ClientCertificates::kAsked);
  EXPECT_EQ(seen(""), Json::array());
  for (const int version : {TLS1_2_VERSION, 0})
    EXPECT_EQ(seen("client", version), Json::array({fingerprint(client_)}));
  const Certificate own = test::make_self_signed({.common_name = "nobody"});
  install("own", own);
  EXPECT_EQ(seen("own"), Json::array({fingerprint(own)}));
}

TEST_F(ClientCertificateTest, EveryRequestOfAConnectionHasIt) {
  serve(ClientCertificates::kAsked);
  RawClient client(port());
  show(client, "client");
  ASSERT_TRUE(client.start_tls());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(client.exchange(get("/v1/a")).json()["certificates"][0], fingerprint(client_));
}

TEST_F(ClientCertificateTest, TheChainComesInItsOrder) {
  const CertificateAuthority middle = authority_.issue_authority("Middle");
  const Certificate leaf = middle.issue();
  install("leaf", leaf, middle.certificate());
  serve(ClientCertificates::kAsked);
  EXPECT_EQ(seen("leaf"),
            Json::array({fingerprint(leaf), fingerprint({middle.certificate(), ""})}));
}

TEST_F(ClientCertificateTest, ACertificateWithoutItsKeyIsNoCertificate) {
  write("client.key", authority_.issue().key);
  serve(ClientCertificates::kAsked);
  EXPECT_EQ(seen("client"), nullptr);
}

TEST_F(ClientCertificateTest, ChainsAreBounded) {
  std::string more;
  for (int i = 0; i < 64; ++i) more += authority_.certificate();
  install("long", client_, more);
  serve(ClientCertificates::kAsked);
  EXPECT_EQ(seen("long"), nullptr);
  EXPECT_EQ(seen("client"), Json::array({fingerprint(client_)}));
}

TEST_F(ClientCertificateTest, NotAskedForWhereTheListenerDoesNotWantThem) {
  serve(ClientCertificates::kOff);
  EXPECT_EQ(seen("client"), Json::array());
}

TEST_F(ClientCertificateTest, RequiredMeansOneOfTheAuthorities) {
  serve(ClientCertificates::kRequired, "ca.pem");
  for (const int version : {TLS1_2_VERSION, 0}) {
    EXPECT_EQ(seen("client", version), Json::array({fingerprint(client_)}));
    EXPECT_EQ(seen("", version), nullptr);
  }
  install("forged", CertificateAuthority("Authority").issue());
  EXPECT_EQ(seen("forged"), nullptr);
  install("old", authority_.issue({.begins = 1'000'000'000, .ends = 1'000'100'000}));
  EXPECT_EQ(seen("old"), nullptr);
  install("server-only", authority_.issue({.usages = "serverAuth"}));
  EXPECT_EQ(seen("server-only"), nullptr);
}

TEST_F(ClientCertificateTest, ReloadCoversTheAuthorities) {
  serve(ClientCertificates::kRequired, "ca.pem");
  const CertificateAuthority other("Other");
  const Certificate others = other.issue();
  install("others", others);
  EXPECT_EQ(seen("others"), nullptr);
  write("ca.pem", other.certificate());
  ASSERT_TRUE(server_->reload_certificates());
  EXPECT_EQ(seen("others"), Json::array({fingerprint(others)}));
  EXPECT_EQ(seen("client"), nullptr);
  write("ca.pem", "no authority");
  const Status reloaded = server_->reload_certificates();
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().message, HasSubstr("ca.pem"));
  EXPECT_EQ(seen("others"), Json::array({fingerprint(others)}));
}

TEST_F(ClientCertificateTest, RequiredWithoutAuthoritiesIsRefusedAtTheStart) {
  files_.client_certificates = ClientCertificates::kRequired;
  options_.listeners[0].tls = files_;
  EXPECT_FALSE(HttpServer::start(options_, handler_, clock_, *log_));
  files_.client_ca_file = folder_.path("absent.pem");
  options_.listeners[0].tls = files_;
  const auto started = HttpServer::start(options_, handler_, clock_, *log_);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("absent.pem"));
}

// A resumed session is spared the handshake's certificates: whoever showed one shows it again.
TEST_F(ClientCertificateTest, ResumptionLosesNoCertificate) {
  const CertificateAuthority middle = authority_.issue_authority("Middle");
  const Certificate leaf = middle.issue();
  install("leaf", leaf, middle.certificate());
  serve(ClientCertificates::kAsked);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* name : {"leaf", ""}) {
      RawClient first(port());
      if (*name != '\0') show(first, name);
      ASSERT_TRUE(first.start_tls(version));
      const Json seen_first = first.exchange(get("/v1/a")).json()["certificates"];
      RawClient second(port());
      if (*name != '\0') show(second, name);
      second.resume(first.session());
      ASSERT_TRUE(second.start_tls(version));
      EXPECT_EQ(second.exchange(get("/v1/a")).json()["certificates"], seen_first);
      EXPECT_EQ(seen_first.size(), *name != '\0' ? 2u : 0u);
      EXPECT_EQ(second.resumed(), *name == '\0') << name << " " << version;
    }
  }
}

// Who has a session and not the key gets no further than anybody else.
TEST_F(ClientCertificateTest, ASessionWithoutTheKeyBringsNoCertificate) {
  serve(ClientCertificates::kAsked);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient first(port());
    show(first, "client");
    ASSERT_TRUE(first.start_tls(version));
    ASSERT_EQ(first.exchange(get("/v1/a")).json()["certificates"].size(), 1u);
    RawClient thief(port());
    thief.resume(first.session());
    ASSERT_TRUE(thief.start_tls(version));
    EXPECT_EQ(thief.exchange(get("/v1/a")).json()["certificates"], Json::array());
  }
}

}  // namespace
}  // namespace curfew::api::testing
