#include <thread>

#include "tests/api/server_fixture.h"
#include "tests/api/test_certificate.h"

namespace curfew::api::testing {
namespace {

// Whether an answer reached the client decides whether a lease lives: what counts is what the
// client's system acknowledged, not what the server's kernel took.
class HttpDeliveryTest : public ServerTest {
 protected:
  HttpDeliveryTest() {
    handler_ = [this](const HttpRequest& request) {
      if (request.target == "/gate") gate_.wait();
      HttpResponse response = echo(request);
      if (request.target == "/large") response.body = std::string(20'000'000, 'z');
      response.undelivered = [this] { ++undelivered_; };
      return response;
    };
  }
  bool all_closed() {
    return eventually([&] { return server_->stats().connections == 0; });
  }
};

TEST_F(HttpDeliveryTest, AnAnswerThatWasReadIsDelivered) {
  start();
  {
    RawClient client(port());
    for (int i = 0; i < 5; ++i) ASSERT_EQ(client.exchange(get("/v1/a")).status, 200);
    RawClient closing(port());
    ASSERT_EQ(closing.exchange(get("/v1/a", "Connection: close\r\n")).status, 200);
  }
  ASSERT_TRUE(all_closed());
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpDeliveryTest, AClientThatHangsUpBeforeItsAnswerIsUndelivered) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(undelivered_, 1);
}

TEST_F(HttpDeliveryTest, AClientThatResetsBeforeItsAnswerIsUndelivered) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/gate", "Connection: close\r\n")));
  gate_.wait_for(1);
  client.reset();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
}

TEST_F(HttpDeliveryTest, AClientThatOnlyClosedItsSendingSideGetsItsAnswer) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/gate")));
  client.shutdown_send();
  gate_.wait_for(1);
  gate_.open();
  EXPECT_EQ(client.read().status, 200);
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpDeliveryTest, AClientThatGoesAwayInTheMiddleOfItsAnswerIsUndelivered) {
  start();
  RawClient client(port(), 4096);
  ASSERT_TRUE(client.send(get("/large")));
  ASSERT_FALSE(client.read_some().empty());
  client.close();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
}

TEST_F(HttpDeliveryTest, AClientThatDoesNotReadIsCutOffAndUndelivered) {
  options_.write_timeout = Millis{200};
  start();
  RawClient client(port(), 4096);
  ASSERT_TRUE(client.send(get("/large")));
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
  // What the kernel still held does not arrive behind the report's back.
  std::size_t received = 0;
  for (std::string more = client.read_some(); !more.empty(); more = client.read_some())
    received += more.size();
  EXPECT_LT(received, 20'000'000u);
}

TEST_F(HttpDeliveryTest, EarlierAnswersOfTheConnectionStayDelivered) {
  start();
  RawClient client(port());
  ASSERT_EQ(client.exchange(get("/v1/a")).status, 200);
  ASSERT_EQ(client.exchange(get("/v1/b")).status, 200);
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(undelivered_, 1);
}

TEST_F(HttpDeliveryTest, APipeliningClientLosesOnlyTheAnswerItDidNotGet) {
  start();
  RawClient waiting(port());
  ASSERT_TRUE(waiting.send(get("/gate")));
  gate_.wait_for(1);
  {
    RawClient pipelining(port());
    ASSERT_TRUE(pipelining.send(get("/v1/a") + get("/gate")));
    gate_.wait_for(2);
    EXPECT_EQ(pipelining.read().status, 200);
  }  // gone between its first answer and its second
  gate_.open();
  EXPECT_EQ(waiting.read().status, 200);
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
}

TEST_F(HttpDeliveryTest, AReportThatThrowsHarmsNobody) {
  handler_ = [this](const HttpRequest& request) {
    if (request.target == "/gate") gate_.wait();
    HttpResponse response = echo(request);
    response.undelivered = [this] {
      ++undelivered_;
      throw std::runtime_error("no");
    };
    return response;
  };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.reset();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  RawClient next(port());
  EXPECT_EQ(next.exchange(get("/v1/a")).status, 200);
}

// ---- while the request is handled
// ----------------------------------------------------------------

class AbandonedTest : public HttpDeliveryTest {
 protected:
  AbandonedTest() {
    handler_ = [this](const HttpRequest& request) {
      before_ = request.is_abandoned();
      gate_.wait();
      after_ = eventually([&] { return request.is_abandoned(); });
      return HttpResponse{};
    };
  }
  std::atomic<bool> before_ = true, after_ = false;
};

TEST_F(AbandonedTest, AHandlerCanAskWhetherItsClientHungUp) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/v1/a")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(all_closed());
  EXPECT_FALSE(before_);
  EXPECT_TRUE(after_);
}

TEST_F(AbandonedTest, AHandlerCanAskWhetherItsClientResetTheConnection) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/v1/a")));
  gate_.wait_for(1);
  client.reset();
  gate_.open();
  EXPECT_TRUE(all_closed());
  EXPECT_FALSE(before_);
  EXPECT_TRUE(after_);
}

// ---- the same with TLS
// ---------------------------------------------------------------------------

class TlsDeliveryTest : public HttpDeliveryTest {
 protected:
  TlsDeliveryTest() {
    write_certificate(files_, "delivery");
    options_.listeners[0].tls = files_;
  }
  TempFolder folder_;
  TlsFiles files_{folder_.path("server.pem"), folder_.path("server.key")};
};

TEST_F(TlsDeliveryTest, AnAnswerThatWasReadIsDelivered) {
  start();
  {
    RawClient client(port());
    ASSERT_TRUE(client.start_tls());
    for (int i = 0; i < 3; ++i) ASSERT_EQ(client.exchange(get("/v1/a")).status, 200);
  }
  ASSERT_TRUE(all_closed());
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(TlsDeliveryTest, AClientThatHangsUpBeforeItsAnswerIsUndelivered) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
}

TEST_F(TlsDeliveryTest, AClientThatResetsBeforeItsAnswerIsUndelivered) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_TRUE(client.send(get("/gate")));
  gate_.wait_for(1);
  client.reset();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return undelivered_ == 1; }));
  EXPECT_TRUE(all_closed());
}

}  // namespace
}  // namespace curfew::api::testing
