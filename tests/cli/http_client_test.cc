#include "cli/http_client.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using testing::ScriptedServer;

Result<HttpResponse> get(const std::string& url, HttpSettings settings = {}) {
  return HttpClient(std::move(settings)).send({.method = "GET", .url = url});
}

std::string error_of(const Result<HttpResponse>& response) {
  EXPECT_FALSE(response.has_value());
  return response ? "" : response.error().message;
}

TEST(HttpClient, SendsMethodHeadersTokenAndBody) {
  ScriptedServer server;
  server.reply({.status = 201, .body = "{}"});
  HttpClient client({.user_agent = "curfew/1"});
  const Result<HttpResponse> response = client.send({.method = "PATCH",
                                                     .url = server.address() + "/v1/a%2Fb/../c?x=y",
                                                     .headers = {{"X-Vault-Request", "true"}},
                                                     .token = Secret("hvs.t"),
                                                     .body = "{\"a\":1}"});
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "{}");
  ASSERT_EQ(server.seen().size(), 1U);
  const testing::SeenRequest seen = server.seen()[0];
  EXPECT_EQ(seen.line(), "PATCH /v1/a%2Fb/../c?x=y {\"a\":1}");
  EXPECT_EQ(seen.headers.at("x-vault-request"), "true");
  EXPECT_EQ(seen.headers.at("x-vault-token"), "hvs.t");
  EXPECT_EQ(seen.headers.at("user-agent"), "curfew/1");
  EXPECT_FALSE(seen.headers.contains("expect"));
}

TEST(HttpClient, ABodilessPutHasLengthZeroAndNoType) {
  ScriptedServer server;
  server.reply({.status = 204});
  ASSERT_TRUE(
      HttpClient({}).send({.method = "PUT", .url = server.address() + "/v1/sys/seal"}).has_value());
  EXPECT_EQ(server.seen()[0].headers.at("content-length"), "0");
  EXPECT_FALSE(server.seen()[0].headers.contains("content-type"));
  EXPECT_FALSE(server.seen()[0].headers.contains("x-vault-token"));
}

TEST(HttpClient, GivesLocationAndRetryAfter) {
  ScriptedServer server;
  server.reply({.status = 307, .header_lines = {"Location: /there", "Retry-After: 7"}});
  const Result<HttpResponse> response = get(server.address() + "/");
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 307);
  EXPECT_EQ(response->location, "/there");
  EXPECT_EQ(response->retry_after, Seconds{7});
}

TEST(HttpClient, TheAnswerIsBounded) {
  ScriptedServer server;
  server.reply({.body = std::string(2000, 'x')});
  const Result<HttpResponse> response = get(server.address(), {.response_bytes_max = 1000});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Errc::kTooLarge);
}

TEST(HttpClient, NobodyListening) {
  const std::string url = "http://127.0.0.1:" + std::to_string(testing::unused_port());
  const Result<HttpResponse> response = get(url);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Errc::kUnavailable);
  EXPECT_NE(response.error().message.find("Connection refused"), std::string::npos);
  EXPECT_NE(response.error().message.find("CURFEW_ADDR"), std::string::npos);
}

TEST(HttpClient, AServerThatSaysNothingIsGivenUp) {
  ScriptedServer server;
  server.reply({.hang = true});
  const Result<HttpResponse> response = get(server.address(), {.timeout = Millis{100}});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Errc::kInDoubt);
  EXPECT_NE(response.error().message.find("may have been carried out"), std::string::npos);
}

TEST(HttpClient, HttpsToAPlainServerSaysSo) {
  ScriptedServer server;
  const std::string url = "https://127.0.0.1:" + std::to_string(server.port());
  const Result<HttpResponse> response =
      get(url, {.timeout = Millis{5000}, .connect_timeout = Millis{2000}});
  ASSERT_FALSE(response.has_value());
  EXPECT_NE(response.error().message.find("http:// in"), std::string::npos)
      << response.error().message;
}

TEST(HttpClient, HttpToATlsServerSaysSo) {
  ScriptedServer server(ScriptedServer::Transport::kTls);
  const Result<HttpResponse> response = get("http://127.0.0.1:" + std::to_string(server.port()));
  EXPECT_NE(error_of(response).find("https:// instead of http://"), std::string::npos);
}

TEST(HttpClient, AnswersThatAreNotHttp) {
  ScriptedServer server;
  server.reply({.raw = "SSH-2.0-OpenSSH_9.2\r\n"});
  EXPECT_NE(error_of(get(server.address())).find("not HTTP"), std::string::npos);
  server.reply({.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"});
  EXPECT_NE(error_of(get(server.address())).find("before the answer was complete"),
            std::string::npos);
}

TEST(HttpClient, ACertificateMustBeKnownAndForTheRightName) {
  ScriptedServer server(ScriptedServer::Transport::kTls);
  const testing::TemporaryDirectory directory;
  const std::string authority = directory.file("ca.pem", server.certificate());

  const Result<HttpResponse> unknown = get(server.address());
  EXPECT_NE(error_of(unknown).find("CURFEW_CACERT"), std::string::npos);
  const Result<HttpResponse> other_name = get(server.address(), {.ca_cert_file = authority});
  EXPECT_NE(error_of(other_name).find("-tls-server-name"), std::string::npos);
  EXPECT_TRUE(server.seen().empty());

  server.reply({.body = "{}"});
  const Result<HttpResponse> right =
      get(server.address(), {.ca_cert_file = authority, .tls_server_name = "curfew.test"});
  ASSERT_TRUE(right.has_value()) << right.error().message;
  EXPECT_EQ(server.seen()[0].headers.at("host"), server.address().substr(8));

  server.reply({.body = "{}"});
  EXPECT_TRUE(get(server.address(), {.tls_skip_verify = true}).has_value());
}

TEST(HttpClient, AnAuthorityThatCannotBeReadIsNamed) {
  ScriptedServer server(ScriptedServer::Transport::kTls);
  const Result<HttpResponse> response = get(server.address(), {.ca_cert_file = "/nowhere.pem"});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Errc::kInvalidArgument);
  EXPECT_NE(response.error().message.find("-ca-cert"), std::string::npos);
}

TEST(HttpClient, LoopbackAddressesAreNotAskedForThroughAProxy) {
  ScriptedServer server;
  server.reply({.body = "{}"});
  const std::string proxy = "http://127.0.0.1:" + std::to_string(testing::unused_port());
  ::setenv("http_proxy", proxy.c_str(), 1);
  const Result<HttpResponse> response = get(server.address());
  ::unsetenv("http_proxy");
  EXPECT_TRUE(response.has_value());
}

TEST(NormalizeAddress, TakesHttpAndHttps) {
  EXPECT_EQ(*normalize_address("https://db.example:8200//"), "https://db.example:8200");
  EXPECT_EQ(*normalize_address("http://[::1]:8200/prefix"), "http://[::1]:8200/prefix");
  for (const char* bad : {"", "localhost:8200", "ftp://x", "https://", "https://x:y", "file:///etc",
                          "https://x/?q=1", "https://x#f"}) {
    const Result<std::string> address = normalize_address(bad);
    ASSERT_FALSE(address.has_value()) << bad;
    EXPECT_NE(address.error().message.find("https://host:8200"), std::string::npos) << bad;
  }
  const Result<std::string> with_user = normalize_address("https://u:hunter2@x");
  ASSERT_FALSE(with_user.has_value());
  EXPECT_EQ(with_user.error().message.find("hunter2"), std::string::npos);
}

TEST(ResolveRedirect, NeverLeavesTls) {
  EXPECT_EQ(*resolve_redirect("https://a/v1/x", "/v1/y"), "https://a/v1/y");
  EXPECT_EQ(*resolve_redirect("http://a/v1/x", "https://b/v1/x"), "https://b/v1/x");
  EXPECT_FALSE(resolve_redirect("https://a/v1/x", "http://a/v1/x").has_value());
  EXPECT_FALSE(resolve_redirect("https://a/v1/x", "file:///etc/passwd").has_value());
}

}  // namespace
}  // namespace curfew::cli
