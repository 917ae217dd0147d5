#include <thread>

#include "tests/api/server_fixture.h"

namespace curfew::api::testing {
namespace {

class HttpStopTest : public ServerTest {
 protected:
  HttpStopTest() {
    handler_ = [this](const HttpRequest& request) {
      ++handled_;
      if (request.target == "/gate") gate_.wait();
      HttpResponse response = echo(request);
      response.undelivered = [this] { ++undelivered_; };
      return response;
    };
  }

  std::atomic<int> handled_ = 0;
};

TEST_F(HttpStopTest, IdleConnectionsDoNotHoldItUp) {
  start();
  RawClient idle(port());
  ASSERT_EQ(idle.exchange(get("/v1/a")).status, 200);
  RawClient silent(port());
  ASSERT_TRUE(eventually([&] { return server_->stats().connections == 2; }));
  server_->stop(Millis{60'000});
  EXPECT_TRUE(idle.wait_for_close());
  EXPECT_TRUE(silent.wait_for_close());
  EXPECT_FALSE(RawClient(port()).connected());
}

TEST_F(HttpStopTest, RequestsThatHaveBegunAreAnswered) {
  start();
  RawClient handling(port());
  ASSERT_TRUE(handling.send(get("/gate")));
  RawClient sending(port());
  ASSERT_EQ(sending.exchange(get("/v1/a")).status, 200);
  ASSERT_TRUE(sending.send("PUT /v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{"));
  gate_.wait_for(1);
  const auto port_before = port();
  std::thread stopping([&] { server_->stop(Millis{60'000}); });
  ASSERT_TRUE(eventually([&] { return !RawClient(port_before).connected(); }));
  ASSERT_TRUE(sending.send("}"));
  EXPECT_EQ(sending.read().status, 200);
  gate_.open();
  const RawAnswer answer = handling.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  handling.close();
  sending.close();
  stopping.join();
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpStopTest, WhatOutlivesTheGraceIsCutOffAndUndelivered) {
  options_.workers = 1;
  start();
  RawClient handling(port());
  ASSERT_TRUE(handling.send(get("/gate")));
  gate_.wait_for(1);
  RawClient queued(port());
  ASSERT_TRUE(queued.send(get("/v1/queued")));
  RawClient sending(port());
  ASSERT_TRUE(sending.send("PUT /v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{"));
  ASSERT_TRUE(eventually([&] { return server_->stats().waiting == 1; }));
  std::thread stopping([&] { server_->stop(Millis{50}); });
  EXPECT_TRUE(handling.wait_for_close());
  EXPECT_TRUE(queued.wait_for_close());
  EXPECT_TRUE(sending.wait_for_close());
  gate_.open();
  stopping.join();
  EXPECT_EQ(handled_, 1);  // nothing is begun for a client that was cut off
  EXPECT_EQ(undelivered_, 1);
}

TEST_F(HttpStopTest, StoppingTwiceIsHarmless) {
  start();
  server_->stop(Millis{0});
  server_->stop(Millis{0});
  EXPECT_EQ(server_->stats().connections, 0u);
}

TEST_F(HttpStopTest, StopsUnderLoadWithoutLosingTrack) {
  options_.workers = 8;
  start();
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&] {
      RawClient client(port());
      while (client.exchange(get("/v1/a")).status == 200) ++answered;
    });
  ASSERT_TRUE(eventually([&] { return answered > 200; }));
  server_->stop(Millis{10'000});
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(handled_, answered + undelivered_);
}

}  // namespace
}  // namespace curfew::api::testing
