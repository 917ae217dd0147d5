#include "broker/auth/https_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/https_server.h"

namespace curfew::broker {
namespace {

using test::HttpsServer;
using ::testing::HasSubstr;

class HttpsClientTest : public ::testing::Test {
 protected:
  HttpsClient client(HttpsSettings settings = {}) {
    settings.ca_pem = server_.ca_pem();
    return HttpsClient(settings);
  }

  HttpsServer server_;
};

TEST_F(HttpsClientTest, CallsCarryWhatTheyShould) {
  server_.answer("/here", "{\"a\":1}", 201);
  const auto answer = client().send({.url = server_.url("/here?x=1"),
                                     .body = Secret("body"),
                                     .content_type = "text/plain",
                                     .bearer = Secret("token")});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->body, "{\"a\":1}");
  EXPECT_EQ(server_.last().method, "POST");
  EXPECT_EQ(server_.last().target, "/here?x=1");
  EXPECT_EQ(server_.last().body, "body");
  EXPECT_EQ(server_.last().headers.at("content-type"), "text/plain");
  EXPECT_EQ(server_.last().headers.at("authorization"), "Bearer token");
  ASSERT_TRUE(
      client().send({.url = server_.url("/here"), .user = "name", .password = Secret("word")}));
  EXPECT_EQ(server_.last().method, "GET");
  EXPECT_EQ(server_.last().headers.at("authorization"), "Basic bmFtZTp3b3Jk");
}

TEST_F(HttpsClientTest, OnlyTheAuthorityThatWasNamedCounts) {
  server_.answer("/", "x");
  const HttpsServer other;
  for (const std::string& authority : {other.ca_pem(), std::string{}}) {
    const auto answer = HttpsClient({.ca_pem = authority}).send({.url = server_.url("/")});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::kUnavailable);
    EXPECT_THAT(answer.error().message, HasSubstr("certificate of localhost was not accepted"));
  }
  // The certificate is for localhost and 127.0.0.1.
  std::string url = server_.url("/");
  url.replace(url.find("localhost"), 9, "127.0.0.2");
  EXPECT_FALSE(client().send({.url = url}));
  EXPECT_EQ(server_.count("/"), 0);
}

TEST_F(HttpsClientTest, RedirectsAreAnswers) {
  server_.on("/away", [&](const test::HttpsCall&) {
    return test::HttpsReply{
        .status = 302, .body = "", .headers = {"Location: " + server_.url("/there")}};
  });
  const auto answer = client().send({.url = server_.url("/away")});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(server_.count("/there"), 0);
}

TEST_F(HttpsClientTest, WaitingAndReadingHaveAnEnd) {
  server_.answer("/large", std::string(5'000, 'x'));
  const auto large = client({.response_bytes_max = 4'000}).send({.url = server_.url("/large")});
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("larger than 4000 bytes"));
  server_.hang(true);
  const auto late = client({.timeout = Millis{300}}).send({.url = server_.url("/late")});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::kUnavailable);
  EXPECT_THAT(late.error().message, HasSubstr("no answer from localhost in time"));
}

TEST_F(HttpsClientTest, NobodyListening) {
  std::string url;
  {
    const HttpsServer gone;
    url = gone.url("/");
  }
  const auto answer = client().send({.url = url});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
}

TEST(HttpsUrl, OnlyPlainAddressesWithTls) {
  EXPECT_TRUE(check_https_url("f", "https://idp.example:8443/realms/x?y=z"));
  for (const char* url :
       {"", "http://idp.example", "https://", "https:///path", "file:///etc/passwd",
        "https://user:word@idp.example", "https://idp.example/#part", "HTTPS://idp.example",
        "https://idp example", "idp.example"})
    EXPECT_FALSE(check_https_url("f", url)) << url;
  EXPECT_FALSE(check_https_url("f", "https://a/" + std::string(3'000, 'x')));
}

TEST(CaPem, OneOrMoreCertificates) {
  const std::string one = test::make_certificate().certificate;
  EXPECT_TRUE(check_ca_pem("f", one));
  EXPECT_TRUE(check_ca_pem("f", one + test::make_certificate().certificate + "\n"));
  EXPECT_FALSE(check_ca_pem("f", ""));
  EXPECT_FALSE(check_ca_pem("f", "certificate"));
  EXPECT_FALSE(check_ca_pem("f", test::make_certificate().key));
  EXPECT_FALSE(check_ca_pem("f", one + "-----BEGIN CERTIFICATE-----\nAAAA\n"));
  EXPECT_FALSE(check_ca_pem("f", std::string(300'000, '\n')));
}

}  // namespace
}  // namespace curfew::broker
