#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "api/http_server.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "tests/api/raw_client.h"
#include "tests/fakes/manual_clock.h"

namespace curfew::api::testing {

// Something that handlers wait at until the test opens it. Thread-safe.
class Gate {
 public:
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  // Until so many are at the gate or past it.
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int arrived_ = 0;
};

// A server on a free port, with small limits, that tells what it was asked unless a test sets
// another handler.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.listeners = {ListenerOptions{}};
    options_.workers = 4;
  }
  // The gate must not hold the server's end back.
  ~ServerTest() override { gate_.open(); }

  void start() {
    auto started = HttpServer::start(options_, handler_, clock_, *log_);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  std::uint16_t port() const { return server_->port(); }

  static HttpResponse echo(const HttpRequest& request) {
    Json headers = Json::object();
    for (const HttpHeader& header : request.headers) headers[header.name] = header.value;
    Json certificates = Json::array();
    if (request.peer_certificate != nullptr)
      for (const std::string& der : request.peer_certificate->chain)
        certificates.push_back(hex_encode(sha256(der)));
    const Json told = {{"method", request.method},
                       {"target", request.target},
                       {"body", request.body},
                       {"headers", headers},
                       {"remote", request.remote_address},
                       {"encrypted", request.encrypted},
                       {"certificates", certificates}};
    HttpResponse response;
    response.body = dump_json(told);
    return response;
  }

  fakes::ManualClock clock_{from_unix_millis(1'795'139'664'000)};
  std::unique_ptr<Log> log_ = make_null_log();
  Gate gate_;
  std::atomic<int> undelivered_ = 0;
  HttpServerOptions options_;
  HttpHandler handler_ = echo;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace curfew::api::testing
