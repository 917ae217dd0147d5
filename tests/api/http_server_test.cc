#include <gmock/gmock.h>

#include "tests/api/server_fixture.h"

namespace curfew::api::testing {
namespace {

using ::testing::HasSubstr;

using HttpServerTest = ServerTest;

TEST_F(HttpServerTest, AnswersARequestWithTheHeadersThatClientsNeed) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(with_body("POST", "/v1/a?b=c", "{}", "X-One: 1\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(answer.headers.at("cache-control"), "no-store");
  EXPECT_EQ(answer.headers.at("date"), "Fri, 20 Nov 2026 01:54:24 GMT");
  EXPECT_EQ(answer.json()["method"], "POST");
  EXPECT_EQ(answer.json()["target"], "/v1/a?b=c");
  EXPECT_EQ(answer.json()["body"], "{}");
  EXPECT_EQ(answer.json()["headers"]["X-One"], "1");
  EXPECT_EQ(answer.json()["remote"], "127.0.0.1");
  EXPECT_EQ(answer.json()["encrypted"], false);
}

TEST_F(HttpServerTest, KeepsTheConnectionForFurtherRequests) {
  start();
  RawClient client(port());
  for (int i = 0; i < 20; ++i) {
    const RawAnswer answer = client.exchange(get("/v1/" + std::to_string(i)));
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(answer.json()["target"], "/v1/" + std::to_string(i));
    EXPECT_EQ(answer.headers.at("connection"), "keep-alive");
  }
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsksForIt) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/a", "Connection: close\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(client.wait_for_close());
}

TEST_F(HttpServerTest, Http10ClosesUnlessKeepAliveIsAskedFor) {
  start();
  RawClient closing(port());
  EXPECT_EQ(closing.exchange("GET /v1/a HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(closing.wait_for_close());
  RawClient staying(port());
  const char* const request = "GET /v1/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  EXPECT_EQ(staying.exchange(request).status, 200);
  EXPECT_EQ(staying.exchange(request).status, 200);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  std::atomic<int> handled = 0;
  handler_ = [&handled](const HttpRequest& request) {
    ++handled;
    return echo(request);
  };
  start();
  RawClient client(port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += i % 2 == 0 ? get("/v1/" + std::to_string(i))
                      : with_body("PUT", "/v1/" + std::to_string(i), std::string(2000, 'x'));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 50; ++i) {
    const RawAnswer answer = client.read();
    ASSERT_EQ(answer.status, 200) << i;
    EXPECT_EQ(answer.json()["target"], "/v1/" + std::to_string(i));
  }
  EXPECT_EQ(handled, 50);
}

TEST_F(HttpServerTest, HeadHasTheHeadersAndNoBody) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("HEAD /v1/a HTTP/1.1\r\nHost: x\r\n\r\n"));
  const RawAnswer answer = client.read(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.headers.at("content-length"), "0");
  // Had a body followed, this answer could not be read.
  EXPECT_EQ(client.exchange(get("/v1/b")).json()["target"], "/v1/b");
}

TEST_F(HttpServerTest, NoContentHasNoLength) {
  handler_ = [](const HttpRequest&) {
    HttpResponse response;
    response.status = 204;
    response.body = "not to be sent";
    return response;
  };
  start();
  RawClient client(port());
  for (int i = 0; i < 2; ++i) {
    const RawAnswer answer = client.exchange(get("/v1/a"));
    EXPECT_EQ(answer.status, 204);
    EXPECT_FALSE(answer.headers.contains("content-length"));
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  }
}

TEST_F(HttpServerTest, ChunkedBodiesAreJoinedAndTrailersDropped) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(
      "POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;name=value\r\n{\"a\r\n4\r\n\":1}\r\n0\r\nX-Vault-Token: smuggled\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["body"], "{\"a\":1}");
  EXPECT_FALSE(answer.json()["headers"].contains("X-Vault-Token"));
  EXPECT_EQ(client.exchange(get("/v1/b")).status, 200);
}

TEST_F(HttpServerTest, ExpectContinueIsAnsweredBeforeTheBody) {
  start();
  RawClient client(port());
  ASSERT_TRUE(
      client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                  "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read().status, 100);
  ASSERT_TRUE(client.send("{}"));
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["body"], "{}");
}

TEST_F(HttpServerTest, AnUnknownExpectationIsRefused) {
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/a", "Expect: miracles\r\n")).status, 417);
  EXPECT_TRUE(client.wait_for_close());
}

TEST_F(HttpServerTest, GarbageGetsA400AndTheConnectionEnds) {
  start();
  for (const std::string_view garbage :
       {"hello\r\n\r\n", "GET /v1/a HTTP/9.9\r\n\r\n", "GET /v1/a\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nbad header\r\n\r\n", "GET /v1/\x01 HTTP/1.1\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nContent-Length: nine\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /v1/a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 binary \r\n\r\n"}) {
    RawClient client(port());
    const RawAnswer answer = client.exchange(garbage);
    EXPECT_EQ(answer.status, 400) << garbage;
    EXPECT_THAT(answer.first_error(), HasSubstr("malformed HTTP request")) << garbage;
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
    EXPECT_TRUE(client.wait_for_close()) << garbage;
  }
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpServerTest, AHandlerThatThrowsIsA500AndTheServerLives) {
  handler_ = [](const HttpRequest& request) -> HttpResponse {
    if (request.target == "/std") throw std::runtime_error("secret inside");
    if (request.target == "/odd") throw 7;
    return echo(request);
  };
  start();
  RawClient client(port());
  for (const char* target : {"/std", "/odd"}) {
    const RawAnswer answer = client.exchange(get(target));
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body.find("secret inside"), std::string::npos);
    EXPECT_FALSE(answer.first_error().empty());
  }
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpServerTest, HeadersThatWouldSplitTheAnswerAreLeftOut) {
  handler_ = [](const HttpRequest&) {
    HttpResponse response;
    response.headers = {{"X-Good", "yes"}, {"X-Bad", "a\r\nX-Evil: 1"}, {"Bad Name", "v"}};
    return response;
  };
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/a"));
  EXPECT_EQ(answer.headers.at("x-good"), "yes");
  EXPECT_EQ(answer.head.find("Evil"), std::string::npos);
  EXPECT_EQ(answer.head.find("Bad"), std::string::npos);
}

TEST_F(HttpServerTest, LargeAnswersArriveWhole) {
  handler_ = [](const HttpRequest&) {
    HttpResponse response;
    response.body = std::string(3'000'000, 'z');
    return response;
  };
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/a")).body, std::string(3'000'000, 'z'));
  EXPECT_EQ(client.exchange(get("/v1/a")).body.size(), 3'000'000u);
}

TEST_F(HttpServerTest, SeveralListenersServeTheSame) {
  options_.listeners = {ListenerOptions{}, ListenerOptions{"localhost", 0, {}}};
  start();
  ASSERT_NE(server_->port(0), server_->port(1));
  RawClient first(server_->port(0));
  EXPECT_EQ(first.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpServerTest, APortThatIsTakenIsNamedInTheError) {
  start();
  HttpServerOptions same = options_;
  same.listeners[0].port = port();
  const auto second = HttpServer::start(same, handler_, clock_, *log_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(port())));
  EXPECT_THAT(second.error().message, HasSubstr("another process uses this port"));
}

TEST_F(HttpServerTest, APortCanBeUsedAgainAtOnce) {
  start();
  options_.listeners[0].port = port();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 200);
  server_ = nullptr;  // closes first, so that the port is in TIME_WAIT
  start();
  RawClient again(port());
  EXPECT_EQ(again.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpServerTest, AnAddressThatIsNotOursIsAnError) {
  for (const char* address : {"192.0.2.1", "no such host", ""}) {
    options_.listeners[0].address = address;
    const auto server = HttpServer::start(options_, handler_, clock_, *log_);
    if (server) {
      EXPECT_STREQ(address, "");  // an empty address means every interface
      continue;
    }
    EXPECT_EQ(server.error().code, Errc::kInvalidArgument) << address;
    EXPECT_THAT(server.error().message, HasSubstr("cannot listen"));
  }
}

}  // namespace
}  // namespace curfew::api::testing
