#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <deque>
#include <thread>

#include "tests/api/server_fixture.h"

namespace curfew::api::testing {
namespace {

using ::testing::HasSubstr;

using HttpLimitsTest = ServerTest;

TEST_F(HttpLimitsTest, AnAnnouncedBodyBeyondTheLimitIs413) {
  options_.body_bytes_max = 1000;
  start();
  RawClient fits(port());
  EXPECT_EQ(fits.exchange(with_body("PUT", "/v1/a", std::string(1000, 'x'))).status, 200);
  RawClient client(port());
  const RawAnswer answer = client.exchange(with_body("PUT", "/v1/a", std::string(1001, 'x')));
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.first_error(), HasSubstr("larger than 1000 bytes"));
  EXPECT_TRUE(client.wait_for_close());
}

TEST_F(HttpLimitsTest, TheAnswer413ReachesAClientThatGoesOnSending) {
  options_.body_bytes_max = 1000;
  start();
  RawClient client(port());
  std::thread sender([&] { client.send(with_body("PUT", "/v1/a", std::string(8'000'000, 'x'))); });
  EXPECT_EQ(client.read().status, 413);
  sender.join();
}

TEST_F(HttpLimitsTest, AChunkedBodyBeyondTheLimitIs413) {
  options_.body_bytes_max = 1000;
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 5; ++i) client.send("fa\r\n" + std::string(250, 'x') + "\r\n");
  EXPECT_EQ(client.read().status, 413);
}

TEST_F(HttpLimitsTest, NoContinueForABodyThatWillBeRefused) {
  options_.body_bytes_max = 1000;
  start();
  RawClient client(port());
  ASSERT_TRUE(
      client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
                  "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read().status, 413);
}

TEST_F(HttpLimitsTest, HeadersBeyondTheLimitAre431) {
  options_.header_bytes_max = 2000;
  start();
  RawClient fits(port());
  EXPECT_EQ(fits.exchange(get("/v1/a", "X-A: " + std::string(1800, 'a') + "\r\n")).status, 200);
  RawClient value(port());
  EXPECT_EQ(value.exchange(get("/v1/a", "X-A: " + std::string(5000, 'a') + "\r\n")).status, 431);
  RawClient target(port());
  EXPECT_EQ(target.exchange(get("/" + std::string(50'000, 'a'))).status, 431);
  RawClient many(port());
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += "A: b\r\n";
  EXPECT_EQ(many.exchange(get("/v1/a", lines)).status, 431);
}

TEST_F(HttpLimitsTest, EndlessChunkHeadersAreCutOff) {
  options_.header_bytes_max = 2000;
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;"));
  client.send(std::string(50'000, 'e'));
  EXPECT_EQ(client.read().status, 431);
}

TEST_F(HttpLimitsTest, BodiesOfAllConnectionsTogetherAreBounded) {
  options_.body_bytes_total_max = 100'000;
  start();
  std::deque<RawClient> holders;
  for (int i = 0; i < 9; ++i) {
    holders.emplace_back(port());
    ASSERT_TRUE(
        holders.back().send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" +
                            std::string(11'000, 'x')));
  }
  ASSERT_TRUE(eventually([&] { return server_->stats().body_bytes == 9 * 11'000; }));
  RawClient last(port());
  const RawAnswer answer = last.exchange(with_body("PUT", "/v1/a", std::string(5000, 'x')));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_TRUE(last.wait_for_close());
  RawClient without_body(port());
  EXPECT_EQ(without_body.exchange(get("/v1/a")).status, 200);
  holders.clear();
  EXPECT_TRUE(eventually([&] { return server_->stats().body_bytes == 0; }));
  RawClient next(port());
  EXPECT_EQ(next.exchange(with_body("PUT", "/v1/a", std::string(5000, 'x'))).status, 200);
}

TEST_F(HttpLimitsTest, SlowHeadersAreCutOff) {
  options_.header_timeout = Millis{150};
  start();
  RawClient client(port());
  std::atomic<bool> over = false;
  std::thread dripping([&] {  // a byte now and then must not extend the time
    ASSERT_TRUE(client.send("GET /v1/a HTTP/1.1\r\n"));
    while (!over && client.send("X")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  const RawAnswer answer = client.read();
  over = true;
  dripping.join();
  EXPECT_EQ(answer.status, 408);
  EXPECT_TRUE(client.wait_for_close());
}

TEST_F(HttpLimitsTest, ABodyThatComesByteByByteIsCutOff) {
  options_.body_timeout = Millis{150};
  std::atomic<int> handled = 0;
  handler_ = [&](const HttpRequest& request) {
    ++handled;
    return echo(request);
  };
  start();
  RawClient client(port());
  std::atomic<bool> over = false;
  std::thread dripping([&] {
    client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    while (!over && client.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  const RawAnswer answer = client.read();
  over = true;
  dripping.join();
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(handled, 0);
}

TEST_F(HttpLimitsTest, AClientThatWantedContinueAndStaysSilentIsCutOff) {
  options_.body_timeout = Millis{100};
  start();
  RawClient client(port());
  ASSERT_TRUE(
      client.send("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                  "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read().status, 100);
  EXPECT_EQ(client.read().status, 408);
}

TEST_F(HttpLimitsTest, IdleConnectionsAreClosedWithoutAWord) {
  options_.idle_timeout = Millis{100};
  start();
  RawClient never(port());
  RawClient once(port());
  EXPECT_EQ(once.exchange(get("/v1/a")).status, 200);
  EXPECT_EQ(once.read_some(), "");
  EXPECT_EQ(never.read_some(), "");
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpLimitsTest, ConnectionsBeyondTheLimitGet503AndTheOthersLive) {
  options_.connections_max = 2;
  start();
  RawClient first(port());
  RawClient second(port());
  EXPECT_EQ(first.exchange(get("/v1/a")).status, 200);
  EXPECT_EQ(second.exchange(get("/v1/a")).status, 200);
  RawClient third(port());
  const RawAnswer answer = third.read();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_TRUE(third.wait_for_close());
  third.close();
  EXPECT_EQ(first.exchange(get("/v1/a")).status, 200);
  first.close();
  EXPECT_TRUE(eventually([&] { return server_->stats().connections < 2; }));
  RawClient fourth(port());
  EXPECT_EQ(fourth.exchange(get("/v1/a")).status, 200);
  EXPECT_EQ(server_->stats().overloads, 1u);
}

TEST_F(HttpLimitsTest, AFloodOfConnectionsIsHeldInBounds) {
  options_.connections_max = 4;
  start();
  std::deque<RawClient> flood;
  for (int i = 0; i < 300; ++i) flood.emplace_back(port());
  EXPECT_TRUE(eventually([&] { return server_->stats().overloads == 296; }));
  EXPECT_LE(server_->stats().connections, 4u + 64u);
  flood.clear();
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpLimitsTest, RequestsBeyondTheQueueGet503AndKeepTheirConnection) {
  options_.workers = 2;
  options_.waiting_max = 1;
  handler_ = [this](const HttpRequest& request) {
    if (request.target == "/slow") gate_.wait();
    return echo(request);
  };
  start();
  std::deque<RawClient> slow;
  for (int i = 0; i < 3; ++i) {
    slow.emplace_back(port());
    ASSERT_TRUE(slow.back().send(get("/slow")));
  }
  gate_.wait_for(2);
  ASSERT_TRUE(eventually([&] { return server_->stats().waiting == 1; }));
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/a"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(answer.headers.at("connection"), "keep-alive");
  gate_.open();
  for (RawClient& waiting : slow) EXPECT_EQ(waiting.read().status, 200);
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 200);
}

TEST_F(HttpLimitsTest, RunningOutOfDescriptorsNeitherKillsNorSpins) {
  start();
  RawClient settled(port());
  ASSERT_EQ(settled.exchange(get("/v1/a")).status, 200);
  RawClient client_before(port());
  ASSERT_EQ(client_before.exchange(get("/v1/a")).status, 200);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  // Leaves exactly one descriptor: the client's own end of the next connection.
  const int next = ::dup(0);
  ::close(next);
  const rlimit tight{static_cast<rlim_t>(next) + 1, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  RawClient starved(port());
  const bool sent = starved.send(get("/v1/late"));
  rusage used_before{}, used_after{};
  ::getrusage(RUSAGE_SELF, &used_before);
  EXPECT_EQ(settled.exchange(get("/v1/a")).status, 200);  // those who are in are served
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::getrusage(RUSAGE_SELF, &used_after);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  ASSERT_TRUE(sent);
  const auto millis = [](const rusage& used) {
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
  };
  EXPECT_LT(millis(used_after) - millis(used_before), 100);
  EXPECT_EQ(starved.read().json()["target"], "/v1/late");
}

}  // namespace
}  // namespace curfew::api::testing
