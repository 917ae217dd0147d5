// The threads that deliver, with real servers that hang.
#include "broker/notify/postman.h"

#include <condition_variable>

#include "tests/broker/notify_world.h"

namespace curfew::broker {
namespace {

class PostmanTest : public NotifyWorld {
 protected:
  // Until the server has answered so often at a path; false: not in time. Pauses pass meanwhile,
  // for what a busy machine has kept from being delivered at once.
  bool wait_for(const std::string& path, int count) {
    std::unique_lock lock(arrived_mutex_);
    for (int i = 0; i < 600; ++i) {
      if (arrived_.wait_for(lock, Millis{100}, [&] { return arrivals_[path] >= count; }))
        return true;
      clock_.advance(Seconds{1});
    }
    return false;
  }
  void count_at(const std::string& path) {
    server_.on(path, [this, path](const test::HttpsCall&) {
      const std::scoped_lock lock(arrived_mutex_);
      ++arrivals_[path];
      arrived_.notify_all();
      return test::HttpsReply{.status = 200, .body = "{}"};
    });
  }

  std::mutex arrived_mutex_;
  std::condition_variable arrived_;
  std::map<std::string, int> arrivals_;  // guarded by arrived_mutex_
};

TEST_F(PostmanTest, DeliversSoonAfterTheTransaction) {
  count_at("/hook");
  target("hook", webhook("/hook"));
  Postman postman(*log_);
  postman.join(*notifier_);
  for (int i = 0; i < 5; ++i) tell("approval.requested");
  postman.wake();
  EXPECT_TRUE(wait_for("/hook", 5));
  postman.leave(*notifier_);
  postman.leave(*notifier_);
}

TEST_F(PostmanTest, TargetsThatHangHoldUpNoOther) {
  test::HttpsServer silent;
  silent.hang(true);
  call_timeout_ = Seconds{2};
  begin();
  count_at("/hook");
  target("hook", webhook("/hook"));
  // More than there are threads for targets that fail.
  for (int i = 0; i < 5; ++i)
    target("silent" + std::to_string(i), {{"type", "webhook"},
                                          {"url", silent.url("/")},
                                          {"secret", kSecret},
                                          {"ca_pem", silent.ca_pem()}});
  Postman postman(*log_, {.threads = 3, .failing_max = 1});
  postman.join(*notifier_);
  for (int i = 0; i < 10; ++i) tell("approval.requested");
  postman.wake();
  EXPECT_TRUE(wait_for("/hook", 10));
  notifier_->request_stop();
  postman.leave(*notifier_);
  silent.hang(false);
}

TEST_F(PostmanTest, StoppingEndsACallThatHangsAndCountsNoAttempt) {
  server_.hang(true);
  target("hook", webhook("/hook"));
  Notifier patient(*database_, *records_, clock_, random_, *log_, [] {},
                   {.call_timeout = std::chrono::minutes{10}});
  ASSERT_TRUE(patient.load());
  tell("approval.requested");
  ASSERT_TRUE(patient.load());
  Postman postman(*log_);
  postman.join(patient);
  while (server_.count("/hook") == 0) std::this_thread::yield();
  patient.request_stop();
  postman.leave(patient);  // would wait for ten minutes
  server_.hang(false);
  for (const Metric& one : patient.metrics())
    EXPECT_EQ(one.value, one.name == "curfew_notifications_waiting" ? 1 : 0) << one.name;
}

}  // namespace
}  // namespace curfew::broker
