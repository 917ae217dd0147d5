#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "broker/notify/notifier.h"
#include "broker/notify/webhook_signature.h"
#include "tests/broker/broker_world.h"
#include "tests/support/https_server.h"

namespace curfew::broker {

// A notifier of its own over the broker's store, with real servers to deliver to.
class NotifyWorld : public BrokerWorld {
 protected:
  NotifyWorld() { begin(); }

  // A new notifier over the same store, as after a crash.
  void begin() {
    notifier_ = nullptr;
    records_ = std::make_unique<store::Records>(*keyring_);
    notifier_ = std::make_unique<Notifier>(
        *database_, *records_, clock_, random_, *log_, [this] { ++wakes_; },
        NotifierOptions{.call_timeout = call_timeout_,
                        .outbox = {.waiting_max = waiting_max_, .dead_max = 3}});
    const Status loaded = notifier_->load();
    ASSERT_TRUE(loaded) << loaded.error().message;
  }

  Json webhook(const std::string& path, Json more = Json::object()) {
    Json out = {{"type", "webhook"},
                {"url", server_.url(path)},
                {"secret", kSecret},
                {"ca_pem", server_.ca_pem()}};
    out.update(more);
    return out;
  }
  void target(const std::string& name, const Json& data) {
    const Status put = notifier_->targets().put(name, data);
    ASSERT_TRUE(put) << put.error().message;
  }
  // Writes a notice down, as the change that it tells of.
  void tell(const std::string& event, std::vector<std::string> targets = {},
            const std::string& id = "r1") {
    const Notice notice{.event = event,
                        .approval_id = id,
                        .view = {{"id", id}, {"path", "db/creds/x"}, {"role", "x"}},
                        .targets = std::move(targets),
                        .at = clock_.wall()};
    const Status written =
        database_->write([&](store::Writer& writer) { return notifier_->enqueue(writer, notice); });
    ASSERT_TRUE(written) << written.error().message;
  }
  // Has the server answer so from now on, and keeps what comes.
  void serve(const std::string& path, int status = 200) {
    server_.on(path, [this, status](const test::HttpsCall& call) {
      const std::scoped_lock lock(mutex_);
      calls_.push_back(call);
      return test::HttpsReply{.status = status, .body = "{}"};
    });
  }
  std::vector<test::HttpsCall> calls() {
    server_.settle();
    const std::scoped_lock lock(mutex_);
    return calls_;
  }
  // How often the server was called, in all.
  std::size_t count() { return calls().size(); }
  Json body_of(const test::HttpsCall& call) {
    const auto body = parse_json(call.body);
    EXPECT_TRUE(body) << call.body;
    return body ? *body : Json::object();
  }
  double metric(const std::string& name) {
    for (const Metric& one : notifier_->metrics())
      if (one.name == name) return one.value;
    ADD_FAILURE() << name;
    return -1;
  }

  static constexpr const char* kSecret = "a key of the signature";
  Millis call_timeout_ = std::chrono::minutes{1};  // from the next begin() on
  std::size_t waiting_max_ = 100;
  std::mutex mutex_;
  std::vector<test::HttpsCall> calls_;  // guarded by mutex_
  test::HttpsServer server_;            // its thread ends before what it writes to
  std::atomic<int> wakes_{0};
  std::unique_ptr<store::Records> records_;
  std::unique_ptr<Notifier> notifier_;
};

}  // namespace curfew::broker
