#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace curfew {

// A mutex that can be waited for within a limit, for std::unique_lock. What std::timed_mutex waits
// by is unknown to g++ 12's thread sanitizer, which then takes every unlock for an error.
class TimedLock {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return !held_; });
    held_ = true;
  }

  // False: it is still held by another thread.
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
    std::unique_lock guard(mutex_);
    if (!changed_.wait_for(guard, limit, [this] { return !held_; })) return false;
    held_ = true;
    return true;
  }

  void unlock() {
    {
      const std::scoped_lock guard(mutex_);
      held_ = false;
    }
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;  // guarded by mutex_
};

}  // namespace curfew
