#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace curfew::e2e {

// A gateway on 127.0.0.1 that fails its first requests: it passes each on, drops the connection to
// the server, and answers 502. Later ones it passes on faithfully. One connection at a time, one
// request each, without a body.
class FlakyProxy {
 public:
  enum class Drop {
    kBeforeAnswer,  // closes as soon as the request is sent
    kReset,         // the same with a reset
    kAfterAnswer,   // takes the answer and does not give it to anybody
  };

  // Passes on to 127.0.0.1:`server`.
  FlakyProxy(std::uint16_t server, int failures, Drop drop);
  ~FlakyProxy();
  FlakyProxy(const FlakyProxy&) = delete;
  FlakyProxy& operator=(const FlakyProxy&) = delete;

  std::uint16_t port() const { return port_; }
  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int requests() const { return requests_; }

 private:
  void serve();
  std::string answer_to(const std::string& request);

  const std::uint16_t server_;
  const Drop drop_;
  int failures_left_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> requests_ = 0;
  std::thread thread_;
};

}  // namespace curfew::e2e
