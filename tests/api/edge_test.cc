#include "api/edge.h"

#include <deque>

#include "tests/api/server_fixture.h"
#include "tests/fakes/memory_log.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::api::testing {
namespace {

using broker::Request;
using broker::Response;

// Answers as the test says; remembers what it was asked and what nobody got. Thread-safe.
class FakeHandler final : public broker::Handler {
 public:
  std::function<Result<Response>(const Request&)> answer = [](const Request&) {
    return Response{};
  };

  Result<Response> handle(Request request) override {
    Result<Response> result = answer(request);
    const std::scoped_lock lock(mutex_);
    requests_.push_back(std::move(request));
    return result;
  }
  void undelivered(const Response& response) override {
    const std::scoped_lock lock(mutex_);
    undelivered_.push_back(response.lease_id);
  }
  Json describe() override { return Json::object(); }

  Request last() const {
    const std::scoped_lock lock(mutex_);
    return requests_.empty() ? Request{} : requests_.back();
  }
  std::vector<std::string> undelivered_leases() const {
    const std::scoped_lock lock(mutex_);
    return undelivered_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<std::string> undelivered_;
};

Response lease(const std::string& id) {
  Response response;
  response.lease_id = id;
  response.lease_duration = Millis{60'000};
  response.data = {{"username", "u"}};
  return response;
}

class EdgeTest : public ServerTest {
 protected:
  EdgeTest() {
    handler_ = [this](HttpRequest request) { return edge_.serve(std::move(request)); };
  }

  FakeHandler broker_;
  fakes::SeededRandom random_;
  Edge edge_{broker_, random_, *log_};
};

TEST_F(EdgeTest, CarriesARequestToTheBrokerAndItsAnswerBack) {
  broker_.answer = [](const Request&) { return lease("database/creds/ro/x"); };
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(with_body(
      "PUT", "/v1/database/creds/ro", "{\"a\":1}",
      "X-Vault-Token: s.token\r\nX-Curfew-Purpose: why\r\nContent-Type: application/json\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(answer.json()["lease_id"], "database/creds/ro/x");
  const Request seen = broker_.last();
  EXPECT_EQ(answer.json()["request_id"], seen.id);
  EXPECT_EQ(seen.operation, Operation::kUpdate);
  EXPECT_EQ(seen.path, "database/creds/ro");
  EXPECT_EQ(seen.data, Json({{"a", 1}}));
  EXPECT_EQ(seen.token.reveal(), "s.token");
  EXPECT_EQ(seen.purpose, "why");
  EXPECT_EQ(seen.remote_address, "127.0.0.1");
  EXPECT_NE(seen.remote_port, 0);
}

TEST_F(EdgeTest, NoContentAndErrorsInVaultsForm) {
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(with_body("POST", "/v1/a", "")).status, 204);
  broker_.answer = [](const Request&) {
    return Error{Errc::kPermissionDenied, "permission denied"};
  };
  const RawAnswer denied = client.exchange(get("/v1/a"));
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.body, R"({"errors":["permission denied"]})");
  const RawAnswer elsewhere = client.exchange(get("/nope"));
  EXPECT_EQ(elsewhere.status, 404);
  EXPECT_EQ(elsewhere.body, R"({"errors":[]})");
  EXPECT_EQ(elsewhere.headers.at("cache-control"), "no-store");
  const RawAnswer bad = client.exchange(with_body("POST", "/v1/a", "{bad"));
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.first_error(), "error parsing JSON at line 1, column 2");
}

TEST_F(EdgeTest, TheNamespaceIsSentBack) {
  start();
  RawClient client(port());
  const RawAnswer answer = client.exchange(get("/v1/a", "X-Vault-Namespace: team/a/\r\n"));
  EXPECT_EQ(answer.headers.at("x-vault-namespace"), "team/a/");
  EXPECT_EQ(broker_.last().name_space, "team/a");
  const RawAnswer without = client.exchange(get("/v1/a", "X-Vault-Namespace: \r\n"));
  EXPECT_FALSE(without.headers.contains("x-vault-namespace"));
  EXPECT_EQ(broker_.last().name_space, "");
}

TEST_F(EdgeTest, WhatNobodyReceivedIsReportedToTheBroker) {
  broker_.answer = [this](const Request& request) {
    if (request.path == "slow") gate_.wait();
    return lease(request.path);
  };
  start();
  RawClient client(port());
  ASSERT_EQ(client.exchange(get("/v1/kept")).status, 200);
  ASSERT_TRUE(client.send(get("/v1/slow")));
  gate_.wait_for(1);
  client.close();
  gate_.open();
  EXPECT_TRUE(eventually([&] { return !broker_.undelivered_leases().empty(); }));
  EXPECT_EQ(broker_.undelivered_leases(), std::vector<std::string>{"slow"});
}

TEST_F(EdgeTest, OnlyAnswersThatSomebodyWouldTakeBackAreWatched) {
  HttpRequest http;
  http.method = "GET";
  http.target = "/v1/a";
  broker_.answer = [](const Request&) { return Response{.data = {{"a", 1}}}; };
  EXPECT_FALSE(edge_.serve(http).undelivered);
  broker_.answer = [](const Request&) { return lease("x"); };
  EXPECT_TRUE(edge_.serve(http).undelivered);
  broker_.answer = [](const Request&) {
    Response response;
    response.auth.emplace();
    return response;
  };
  EXPECT_TRUE(edge_.serve(http).undelivered);
  broker_.answer = [](const Request&) {
    Response response;
    response.wrap_info.emplace();
    return response;
  };
  EXPECT_TRUE(edge_.serve(http).undelivered);
}

TEST_F(EdgeTest, ALeaseThatHeadCannotShowIsReportedAtOnce) {
  broker_.answer = [](const Request&) { return lease("hidden"); };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("HEAD /v1/database/creds/ro HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(client.read(true).status, 200);
  EXPECT_EQ(broker_.last().operation, Operation::kRead);
  EXPECT_EQ(broker_.undelivered_leases(), std::vector<std::string>{"hidden"});
}

TEST_F(EdgeTest, AHandlerThatThrowsIsA500) {
  broker_.answer = [](const Request&) -> Result<Response> { throw std::runtime_error("boom"); };
  start();
  RawClient client(port());
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 500);
  broker_.answer = [](const Request&) { return Response{}; };
  EXPECT_EQ(client.exchange(get("/v1/a")).status, 204);
}

TEST(EdgeLogTest, LogsTheDetailOfAFailureAndNeverTokenOrBody) {
  FakeHandler broker;
  broker.answer = [](const Request&) {
    return Error{Errc::kInDoubt, "the target did not answer", "connection lost after BEGIN"};
  };
  fakes::SeededRandom random;
  fakes::MemoryLog log;
  Edge edge(broker, random, log);
  HttpRequest http;
  http.method = "PUT";
  http.target = "/v1/database/creds/ro";
  http.headers = {{"X-Vault-Token", "s.token"}};
  http.body = R"({"password":"hunter2"})";
  const HttpResponse response = edge.serve(std::move(http));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, R"({"errors":["the target did not answer"]})");
  EXPECT_NE(log.text.find("connection lost after BEGIN"), std::string::npos);
  EXPECT_NE(log.text.find(broker.last().id), std::string::npos);
  EXPECT_EQ(log.text.find("s.token"), std::string::npos);
  EXPECT_EQ(log.text.find("hunter2"), std::string::npos);
}

TEST(EdgeLogTest, WhatTheCallerDidWrongIsNotLogged) {
  FakeHandler broker;
  broker.answer = [](const Request&) {
    return Error{Errc::kPermissionDenied, "permission denied"};
  };
  fakes::SeededRandom random;
  fakes::MemoryLog log;
  Edge edge(broker, random, log);
  HttpRequest http;
  http.method = "GET";
  http.target = "/v1/a";
  EXPECT_EQ(edge.serve(std::move(http)).status, 403);
  EXPECT_EQ(log.text, "");
}

}  // namespace
}  // namespace curfew::api::testing
