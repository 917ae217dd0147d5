#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <fstream>

#include "tests/api/server_fixture.h"
#include "tests/api/test_certificate.h"

namespace curfew::api::testing {
namespace {

using ::testing::HasSubstr;

class HttpTlsTest : public ServerTest {
 protected:
  HttpTlsTest() {
    write_certificate(files_, "first");
    options_.listeners[0].tls = files_;
  }
  void overwrite(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

  TempFolder folder_;
  TlsFiles files_{folder_.path("server.pem"), folder_.path("server.key")};
};

TEST_F(HttpTlsTest, ServesOverTlsWithKeepAlive) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.peer_name(), "first");
  EXPECT_EQ(client.tls_version(), "TLSv1.3");
  for (int i = 0; i < 5; ++i) {
    const RawAnswer answer = client.exchange(with_body("PUT", "/v1/a", std::string(100'000, 'x')));
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(answer.json()["encrypted"], true);
    EXPECT_EQ(answer.json()["body"].get<std::string>().size(), 100'000u);
  }
}

TEST_F(HttpTlsTest, Tls12IsTheOldestThatIsTaken) {
  start();
  RawClient good(port());
  ASSERT_TRUE(good.start_tls(TLS1_2_VERSION));
  EXPECT_EQ(good.tls_version(), "TLSv1.2");
  EXPECT_EQ(good.exchange(get("/v1/a")).status, 200);
  RawClient old(port());
  EXPECT_FALSE(old.start_tls(TLS1_1_VERSION));
}

TEST_F(HttpTlsTest, ClosesCleanly) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.exchange(get("/v1/a", "Connection: close\r\n")).status, 200);
  EXPECT_EQ(client.read_some(), "");
  client.close();
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpTlsTest, PlainHttpOnTheTlsPortIsToldSo) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/a"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.first_error(), HasSubstr("HTTPS"));
  EXPECT_TRUE(client.wait_for_close());
}

TEST_F(HttpTlsTest, APlainListenerStandsBesideATlsOne) {
  options_.listeners.push_back(ListenerOptions{});
  start();
  RawClient plain(server_->port(1));
  EXPECT_EQ(plain.exchange(get("/v1/a")).json()["encrypted"], false);
  RawClient encrypted(server_->port(0));
  ASSERT_TRUE(encrypted.start_tls());
  EXPECT_EQ(encrypted.exchange(get("/v1/a")).json()["encrypted"], true);
}

TEST_F(HttpTlsTest, AHandshakeThatDoesNotComeIsCutOff) {
  options_.handshake_timeout = Millis{100};
  start();
  RawClient silent(port());
  EXPECT_TRUE(silent.wait_for_close());
  RawClient half(port());
  ASSERT_TRUE(half.send(std::string_view("\x16\x03\x01\x02", 4)));
  EXPECT_TRUE(half.wait_for_close());
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpTlsTest, GarbageInsteadOfAHandshakeHarmsNobody) {
  start();
  RawClient garbage(port());
  ASSERT_TRUE(garbage.send("\x16 this is no handshake, whatever the first byte says"));
  EXPECT_TRUE(garbage.wait_for_close());
  RawClient client(port());
  EXPECT_TRUE(client.start_tls());
}

TEST_F(HttpTlsTest, SlowHeadersOverTlsGet408) {
  options_.header_timeout = Millis{100};
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_TRUE(client.send("GET /v1/a HT"));
  EXPECT_EQ(client.read().status, 408);
}

TEST_F(HttpTlsTest, AConnectionTooManyIsToldOverTls) {
  options_.connections_max = 1;
  start();
  RawClient first(port());
  ASSERT_TRUE(first.start_tls());
  RawClient second(port());
  ASSERT_TRUE(second.start_tls());
  EXPECT_EQ(second.read().status, 503);
}

TEST_F(HttpTlsTest, ATlsClientThatHangsUpBeforeItsAnswerIsUndelivered) {
  handler_ = [this](const HttpRequest& request) {
    if (request.target == "/gate") gate_.wait();
    HttpResponse response = echo(request);
    response.undelivered = [this] { ++undelivered_; };
    return response;
  };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_EQ(client.exchange(get("/v1/a")).status, 200);
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  EXPECT_EQ(undelivered_, 1);
}

TEST_F(HttpTlsTest, AClientThatReadsItsAnswerAndIgnoresTheFarewellHasGotIt) {
  handler_ = [this](const HttpRequest& request) {
    HttpResponse response = echo(request);
    response.undelivered = [this] { ++undelivered_; };
    return response;
  };
  start();
  for (int i = 0; i < 30; ++i) {
    RawClient client(port());
    ASSERT_TRUE(client.start_tls());
    for (int k = 0; k < 20; ++k) ASSERT_EQ(client.exchange(get("/v1/a")).status, 200);
    ASSERT_EQ(client.exchange(get("/v1/a", "Connection: close\r\n")).status, 200);
  }
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpTlsTest, ReloadServesTheNewCertificateToNewConnections) {
  start();
  RawClient before(port());
  ASSERT_TRUE(before.start_tls());
  write_certificate(files_, "second");
  ASSERT_TRUE(server_->reload_certificates());
  RawClient after(port());
  ASSERT_TRUE(after.start_tls());
  EXPECT_EQ(after.peer_name(), "second");
  EXPECT_EQ(before.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpTlsTest, AFailedReloadKeepsEveryOldCertificate) {
  const TlsFiles others{folder_.path("other.pem"), folder_.path("other.key")};
  write_certificate(others, "other");
  options_.listeners.push_back(ListenerOptions{"127.0.0.1", 0, others});
  start();
  write_certificate(files_, "second");
  overwrite(others.key_file, "no key");
  const Status reloaded = server_->reload_certificates();
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().message, HasSubstr("other.key"));
  RawClient first(server_->port(0));
  ASSERT_TRUE(first.start_tls());
  EXPECT_EQ(first.peer_name(), "first");
  RawClient second(server_->port(1));
  ASSERT_TRUE(second.start_tls());
  EXPECT_EQ(second.peer_name(), "other");
}

TEST_F(HttpTlsTest, UnusableFilesAreNamedAtTheStart) {
  const auto message_of = [this](const TlsFiles& files) {
    options_.listeners[0].tls = files;
    const auto server = HttpServer::start(options_, handler_, clock_, *log_);
    return server ? std::string("it started") : server.error().message;
  };
  EXPECT_THAT(message_of({folder_.path("absent.pem"), files_.key_file}), HasSubstr("absent.pem"));
  EXPECT_THAT(message_of({files_.certificate_file, folder_.path("absent.key")}),
              HasSubstr("absent.key"));
  const TlsFiles others{folder_.path("other.pem"), folder_.path("other.key")};
  write_certificate(others, "other");
  EXPECT_THAT(message_of({files_.certificate_file, others.key_file}),
              HasSubstr("does not belong to the certificate"));
  overwrite(others.certificate_file, "not PEM");
  EXPECT_THAT(message_of(others), HasSubstr("other.pem"));
}

}  // namespace
}  // namespace curfew::api::testing
