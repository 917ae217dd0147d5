#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lifecycle.h"

namespace curfew::app {

// Opens a seal whose key is in an HSM, which may be away, fail or hang: at once, after a second and
// then ever less often, until it is open or waits for a migration. Every error is tried again: a
// token that failed once may work the next time, and a PIN that was refused is not sent again until
// its file holds another. In a thread of its own, which ends with this object (and not before the
// HSM has answered).
class UnsealRetry {
 public:
  // References outlive this object.
  UnsealRetry(broker::Lifecycle& lifecycle, Log& log);
  ~UnsealRetry();
  UnsealRetry(const UnsealRetry&) = delete;
  UnsealRetry& operator=(const UnsealRetry&) = delete;

  // What became of the first attempt; nullopt: it is still under way after `patience`.
  std::optional<Status> first_outcome(Millis patience);

 private:
  void run();

  broker::Lifecycle& lifecycle_;
  Log& log_;
  std::mutex mutex_;  // protects what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<Status> first_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace curfew::app
