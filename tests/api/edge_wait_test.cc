#include "api/edge.h"
#include "tests/api/server_fixture.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::api::testing {
namespace {

using broker::Request;
using broker::Response;

// Puts "wait" on hold as long as its caller waits, and streams "events". Thread-safe.
class WaitingHandler final : public broker::Handler {
 public:
  Result<Response> handle(Request request) override {
    const std::scoped_lock lock(mutex_);
    requests_.push_back(request);
    if (request.answer_headers != nullptr) request.answer_headers->push_back({"X-Round", "1"});
    if (request.path == "events") return events();
    if (!woken_ && request.hold_left > Millis{0}) return hold(request.hold_left);
    if (request.path == "fail") return Error{Errc::kPermissionDenied, "denied"};
    Response response;
    response.lease_id = request.path;
    response.data = {{"left", request.hold_left.count()}};
    return response;
  }
  void undelivered(const Response& response) override {
    const std::scoped_lock lock(mutex_);
    undelivered_.push_back(response.lease_id);
  }
  Json describe() override { return Json::object(); }

  void wake() {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
    if (wake_) wake_();
  }
  bool waits() const {
    const std::scoped_lock lock(mutex_);
    return wake_ != nullptr;
  }
  std::vector<Request> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }
  std::vector<std::string> undelivered_leases() const {
    const std::scoped_lock lock(mutex_);
    return undelivered_;
  }

 private:
  Response hold(Millis time) {
    Response response;
    response.hold = broker::Hold{[this](std::function<void()> wake) -> std::shared_ptr<void> {
                                   const std::scoped_lock lock(mutex_);
                                   if (woken_) wake();
                                   wake_ = std::move(wake);
                                   return {nullptr, [this](void*) {
                                             const std::scoped_lock releasing(mutex_);
                                             wake_ = nullptr;
                                           }};
                                 },
                                 time};
    return response;
  }
  static Response events() {
    auto stream = std::make_shared<broker::Stream>();
    stream->content_type = "text/event-stream";
    stream->time = Millis{60'000};
    stream->open = [](const std::function<void(std::string)>& send,
                      const std::function<void()>& end) -> std::shared_ptr<void> {
      send("event: hello\n\n");
      end();
      return nullptr;
    };
    Response response;
    response.stream = std::move(stream);
    return response;
  }

  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<std::string> undelivered_;
  std::function<void()> wake_;
  bool woken_ = false;
};

class EdgeWaitTest : public ServerTest {
 protected:
  EdgeWaitTest() {
    handler_ = [this](HttpRequest request) { return edge_.serve(std::move(request)); };
  }
  ~EdgeWaitTest() override { server_.reset(); }

  WaitingHandler broker_;
  fakes::SeededRandom random_;
  Edge edge_{broker_, random_, *log_};
};

TEST_F(EdgeWaitTest, TheSameRequestComesAgain) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(with_body("POST", "/v1/wait?x=y", R"({"a":1})",
                                    "Prefer: wait=20\r\nX-Vault-Token: s.token\r\n"
                                    "X-Vault-Namespace: team/\r\nX-Curfew-Purpose: why\r\n")));
  ASSERT_TRUE(eventually([&] { return broker_.waits(); }));
  broker_.wake();
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("x-vault-namespace"), "team/");
  EXPECT_EQ(answer.headers.at("x-round"), "1");
  const auto requests = broker_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(requests[0].resumed);
  EXPECT_EQ(requests[0].hold_left, Millis{20'000});
  EXPECT_TRUE(requests[1].resumed);
  EXPECT_LE(requests[1].hold_left, Millis{20'000});
  EXPECT_EQ(answer.json()["data"]["left"], requests[1].hold_left.count());
  EXPECT_EQ(answer.json()["request_id"], requests[1].id);
  for (const Request& request : requests) {
    EXPECT_EQ(request.id, requests[0].id);
    EXPECT_EQ(request.operation, Operation::kUpdate);
    EXPECT_EQ(request.path, "wait");
    EXPECT_EQ(request.data, Json({{"a", 1}}));
    EXPECT_EQ(request.token.reveal(), "s.token");
    EXPECT_EQ(request.name_space, "team");
    EXPECT_EQ(request.purpose, "why");
    EXPECT_EQ(request.remote_address, "127.0.0.1");
  }
}

TEST_F(EdgeWaitTest, TheLastTimeItMayNotWait) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/fail", "Prefer: wait=1\r\n"));
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.headers.at("x-round"), "1");
  EXPECT_EQ(broker_.requests().back().hold_left, Millis{0});
  EXPECT_TRUE(broker_.requests().back().resumed);
}

TEST_F(EdgeWaitTest, WhoDoesNotWaitIsAnsweredAtOnce) {
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/wait")).json()["data"]["left"], 0);
  EXPECT_EQ(broker_.requests().size(), 1u);
}

TEST_F(EdgeWaitTest, AnAnswerAfterAHoldIsReportedWhenNobodyGetsIt) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("HEAD /v1/wait HTTP/1.1\r\nHost: x\r\nPrefer: wait=20\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return broker_.waits(); }));
  broker_.wake();
  EXPECT_EQ(client.read(true).status, 200);
  EXPECT_EQ(broker_.undelivered_leases(), std::vector<std::string>{"wait"});
}

TEST_F(EdgeWaitTest, OneWhoHangsUpIsNotAskedFor) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/v1/wait", "Prefer: wait=20\r\n")));
  ASSERT_TRUE(eventually([&] { return broker_.waits(); }));
  client.close();
  EXPECT_TRUE(eventually([&] { return !broker_.waits(); }));
  EXPECT_EQ(broker_.requests().size(), 1u);
}

TEST_F(EdgeWaitTest, StreamsWhatTheBrokerSends) {
  start();
  RawClient client(port());
  const RawAnswer head = client.exchange(get("/v1/events", "X-Vault-Namespace: team\r\n"));
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(head.headers.at("x-vault-namespace"), "team");
  EXPECT_EQ(head.headers.at("x-round"), "1");
  EXPECT_EQ(client.read_chunk(), "event: hello\n\n");
  EXPECT_EQ(client.read_chunk(), "");
}

}  // namespace
}  // namespace curfew::api::testing
