#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "broker/lifecycle.h"

namespace curfew::app {

// Tries again to open a seal whose key could not be reached when the server started, first after a
// second and then ever less often, until it is open or the reason is one that waiting does not
// remove. In a thread of its own, which ends with this object.
class UnsealRetry {
 public:
  // References outlive this object.
  UnsealRetry(broker::Lifecycle& lifecycle, Log& log);
  ~UnsealRetry();
  UnsealRetry(const UnsealRetry&) = delete;
  UnsealRetry& operator=(const UnsealRetry&) = delete;

 private:
  void run();

  broker::Lifecycle& lifecycle_;
  Log& log_;
  std::mutex mutex_;  // protects stopping_
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace curfew::app
