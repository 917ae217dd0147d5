#include <thread>

#include "tests/api/server_fixture.h"
#include "tests/api/test_certificate.h"
#include "tests/fakes/memory_log.h"

namespace curfew::api::testing {
namespace {

// What requests wait for. Thread-safe; calls `wake` under its lock, as the strictest one would.
class Bell {
 public:
  std::shared_ptr<void> subscribe(std::function<void()> wake) {
    const std::scoped_lock lock(mutex_);
    const int id = next_++;
    wakers_[id] = std::move(wake);
    return {nullptr, [this, id](void*) {
              const std::scoped_lock releasing(mutex_);
              wakers_.erase(id);
              ++released_;
            }};
  }
  void ring() {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, wake] : wakers_) wake();
  }
  std::size_t waiting() const {
    const std::scoped_lock lock(mutex_);
    return wakers_.size();
  }
  int released() const {
    const std::scoped_lock lock(mutex_);
    return released_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, std::function<void()>> wakers_;
  int next_ = 0;
  int released_ = 0;
};

// "/hold" waits for the bell, once; "/again" until its time is over. The answer says how long was
// left, and counts how often it was asked for.
class HttpHoldTest : public ServerTest {
 protected:
  HttpHoldTest() {
    handler_ = [this](const HttpRequest& request) {
      if (request.target == "/hold" || request.target == "/again")
        return held(request.target, request.target == "/again");
      return echo(request);
    };
  }
  ~HttpHoldTest() override { server_.reset(); }

  HttpResponse held(const std::string& target, bool again) {
    HttpResponse response;
    response.hold = HttpHold{
        [this](std::function<void()> wake) { return bell_.subscribe(std::move(wake)); }, time_,
        [this, target, again](Millis left) {
          ++resumed_;
          if (again && left > Millis{0}) return held(target, again);
          HttpResponse answer;
          answer.body = dump_json({{"target", target}, {"left", left.count()}});
          answer.undelivered = [this] { ++undelivered_; };
          return answer;
        }};
    return response;
  }
  std::size_t holds() const { return server_->stats().holds; }
  bool wait_for(std::size_t count) {
    return eventually([&] { return holds() == count && bell_.waiting() == count; });
  }

  Bell bell_;
  Millis time_{30'000};
  std::atomic<int> resumed_ = 0;
};

TEST_F(HttpHoldTest, TheAnswerComesWhenItIsWoken) {
  options_.workers = 1;  // nobody waits on a worker
  start();
  RawClient first(port()), second(port());
  ASSERT_TRUE(first.send(get("/hold")));
  ASSERT_TRUE(second.send(get("/hold")));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(RawClient(port()).exchange(get("/v1/other")).status, 200);
  bell_.ring();
  for (RawClient* client : {&first, &second}) {
    const RawAnswer answer = client->read();
    EXPECT_EQ(answer.status, 200);
    EXPECT_GT(answer.json()["left"], 1'000);
    EXPECT_LE(answer.json()["left"], 30'000);
    EXPECT_EQ(client->exchange(get("/v1/next")).status, 200);
  }
  EXPECT_EQ(resumed_, 2);
  EXPECT_EQ(bell_.released(), 2);
  EXPECT_EQ(holds(), 0u);
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpHoldTest, TheAnswerComesWhenTheTimeIsOver) {
  time_ = Millis{50};
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/hold")).json()["left"], 0);
  time_ = Millis{0};
  EXPECT_EQ(client.exchange(get("/hold")).json()["left"], 0);
  EXPECT_EQ(bell_.released(), 2);
}

TEST_F(HttpHoldTest, NoHoldIsLongerThanTheServerAllows) {
  options_.hold_time_max = Millis{60};
  time_ = Millis{30'000};
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/again")));
  ASSERT_TRUE(wait_for(1));
  bell_.ring();
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.json()["left"], 0);
  EXPECT_GE(resumed_, 1);
}

TEST_F(HttpHoldTest, ARequestMayBeOnHoldAgain) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/again")));
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(wait_for(1));
    bell_.ring();
    ASSERT_TRUE(eventually([&] { return resumed_ == round && bell_.released() == round; }));
  }
  ASSERT_TRUE(wait_for(1));
}

TEST_F(HttpHoldTest, OneThatWouldWaitForeverIsAnError) {
  fakes::MemoryLog log;
  handler_ = [](const HttpRequest&) {
    static const auto forever = [](auto& self) -> HttpResponse {
      HttpResponse response;
      response.hold = HttpHold{[](const std::function<void()>&) { return nullptr; }, Millis{0},
                               [&self](Millis) { return self(self); }};
      return response;
    };
    return forever(forever);
  };
  server_ = std::move(*HttpServer::start(options_, handler_, clock_, log));
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/hold")).status, 500);
  EXPECT_EQ(client.exchange(get("/hold")).status, 500);
  server_.reset();
  EXPECT_NE(log.text.find("on hold again"), std::string::npos);
}

TEST_F(HttpHoldTest, WakingWithinSubscribeAndManyTimesAsksOnce) {
  std::mutex mutex;
  std::vector<std::function<void()>> wakers;
  handler_ = [&](const HttpRequest&) {
    HttpResponse response = held("/early", false);
    response.hold->subscribe = [&](const std::function<void()>& wake) {
      wake();
      wake();
      const std::scoped_lock lock(mutex);
      wakers.push_back(wake);
      return bell_.subscribe([] {});
    };
    return response;
  };
  start();
  RawClient client(port());
  for (int round = 1; round <= 50; ++round) {
    ASSERT_EQ(client.exchange(get("/early")).status, 200);
    const std::scoped_lock lock(mutex);
    for (const auto& wake : wakers) wake();  // also after the answer, and of earlier requests
    ASSERT_EQ(resumed_, round);
  }
  client.close();
  ASSERT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  const std::scoped_lock lock(mutex);
  for (const auto& wake : wakers) wake();
  EXPECT_EQ(resumed_, 50);
  EXPECT_EQ(bell_.released(), 50);
}

TEST_F(HttpHoldTest, ManyThreadsThatWakeAskOnce) {
  start();
  std::atomic<bool> done = false;
  std::vector<std::thread> ringers;
  for (int i = 0; i < 3; ++i)
    ringers.emplace_back([&] {
      while (!done) {
        bell_.ring();
        std::this_thread::yield();
      }
    });
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&] {
      RawClient client(port());
      for (int round = 0; round < 50; ++round)
        if (client.exchange(get("/hold")).status == 200) ++answered;
    });
  for (std::thread& client : clients) client.join();
  done = true;
  for (std::thread& ringer : ringers) ringer.join();
  EXPECT_EQ(answered, 200);
  EXPECT_EQ(resumed_, 200);
  EXPECT_EQ(bell_.released(), 200);
}

TEST_F(HttpHoldTest, AClientThatHangsUpIsLetGo) {
  start();
  RawClient closing(port()), resetting(port()), waiting(port());
  for (RawClient* client : {&closing, &resetting, &waiting})
    ASSERT_TRUE(client->send(get("/hold")));
  ASSERT_TRUE(wait_for(3));
  closing.close();
  resetting.reset();
  ASSERT_TRUE(wait_for(1));
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 1; }));
  bell_.ring();
  EXPECT_EQ(waiting.read().status, 200);
  EXPECT_EQ(resumed_, 1);
  EXPECT_EQ(bell_.released(), 3);
}

TEST_F(HttpHoldTest, WhatWasSentBehindWaitsItsTurn) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/hold") + get("/v1/second")));
  ASSERT_TRUE(wait_for(1));
  ASSERT_TRUE(client.send(get("/hold") + get("/v1/fourth")));  // while the first is on hold
  bell_.ring();
  EXPECT_EQ(client.read().json()["target"], "/hold");
  EXPECT_EQ(client.read().json()["target"], "/v1/second");
  ASSERT_TRUE(wait_for(1));
  bell_.ring();
  EXPECT_EQ(client.read().json()["target"], "/hold");
  EXPECT_EQ(client.read().json()["target"], "/v1/fourth");
}

TEST_F(HttpHoldTest, AClientThatSentMoreAndHangsUpIsSeenAsWell) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/hold")));
  ASSERT_TRUE(wait_for(1));
  ASSERT_TRUE(client.send(get("/v1/more")));
  client.close();
  EXPECT_TRUE(wait_for(0));
  EXPECT_EQ(resumed_, 0);
}

TEST_F(HttpHoldTest, TheirNumberIsBounded) {
  options_.holds_max = 2;
  start();
  RawClient first(port()), second(port()), third(port());
  ASSERT_TRUE(first.send(get("/hold")));
  ASSERT_TRUE(second.send(get("/hold")));
  ASSERT_TRUE(wait_for(2));
  const RawAnswer refused = third.exchange(get("/hold"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(server_->stats().overloads, 1u);
  bell_.ring();
  EXPECT_EQ(first.read().status, 200);
  ASSERT_TRUE(third.send(get("/hold")));
  EXPECT_TRUE(eventually([&] { return bell_.waiting() == 1; }));
}

TEST_F(HttpHoldTest, ABodyCountsForAsLongAsItIsHeld) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(with_body("POST", "/hold", std::string(5'000, 'x'))));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(server_->stats().body_bytes, 5'000u);
  client.close();
  EXPECT_TRUE(eventually([&] { return server_->stats().body_bytes == 0; }));
}

TEST_F(HttpHoldTest, StoppingAsksForTheLastTime) {
  start();
  RawClient once(port()), again(port());
  ASSERT_TRUE(once.send(get("/hold")));
  ASSERT_TRUE(again.send(get("/again")));
  ASSERT_TRUE(wait_for(2));
  std::thread stopping([&] { server_->stop(Millis{20'000}); });
  for (RawClient* client : {&once, &again}) {
    const RawAnswer answer = client->read();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.json()["left"], 0);
    EXPECT_EQ(answer.headers.at("connection"), "close");
    client->close();
  }
  stopping.join();
  EXPECT_EQ(bell_.released(), 2);
  EXPECT_EQ(undelivered_, 0);
}

TEST_F(HttpHoldTest, NothingIsPutOnHoldWhileTheServerStops) {
  handler_ = [this](const HttpRequest& request) {
    gate_.wait();
    return held(request.target, false);
  };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/late")));
  gate_.wait_for(1);
  const auto port_before = port();
  std::thread stopping([&] { server_->stop(Millis{20'000}); });
  EXPECT_TRUE(eventually([&] { return !RawClient(port_before).connected(); }));
  gate_.open();
  const RawAnswer answer = client.read();
  client.close();
  stopping.join();
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["left"], 0);
}

TEST_F(HttpHoldTest, WhatWasSubscribedToIsLetGoBeforeItIsAskedAgain) {
  std::atomic<int> subscribed = -1;
  handler_ = [&](const HttpRequest&) {
    HttpResponse response = held("/one", false);
    response.hold->resume = [&](Millis) {
      subscribed = static_cast<int>(bell_.waiting());
      return HttpResponse{};
    };
    return response;
  };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/one")));
  ASSERT_TRUE(wait_for(1));
  bell_.ring();
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(subscribed, 0);
}

TEST_F(HttpHoldTest, StoppingWithoutGraceLetsGo) {
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->send(get("/hold")));
  }
  ASSERT_TRUE(wait_for(20));
  server_->stop(Millis{0});
  EXPECT_EQ(bell_.released(), 20);
  EXPECT_EQ(bell_.waiting(), 0u);
}

TEST_F(HttpHoldTest, AHandlerThatCannotBeWaitedForIsA500) {
  handler_ = [this](const HttpRequest&) {
    HttpResponse response = held("/broken", false);
    response.hold->subscribe = [](const std::function<void()>&) -> std::shared_ptr<void> {
      throw std::runtime_error("no more room");
    };
    return response;
  };
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/broken")).status, 500);
  EXPECT_EQ(holds(), 0u);
}

TEST_F(HttpHoldTest, WorksOverTls) {
  TempFolder folder;
  const TlsFiles files{folder.path("server.pem"), folder.path("server.key")};
  write_certificate(files, "first");
  options_.listeners[0].tls = files;
  start();
  RawClient client(port()), leaving(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_TRUE(leaving.start_tls());
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(client.send(get("/hold")));
    ASSERT_TRUE(wait_for(1));
    ASSERT_TRUE(client.send(get("/v1/behind")));
    bell_.ring();
    EXPECT_EQ(client.read().json()["target"], "/hold");
    EXPECT_EQ(client.read().json()["target"], "/v1/behind");
  }
  ASSERT_TRUE(leaving.send(get("/hold")));
  ASSERT_TRUE(wait_for(1));
  leaving.close();
  EXPECT_TRUE(wait_for(0));
  EXPECT_EQ(resumed_, 3);
}

}  // namespace
}  // namespace curfew::api::testing
