#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "broker/notify/notifier.h"

namespace curfew::broker {

struct PostmanOptions {
  std::size_t threads = 6;  // that deliver; one more finds what is due
  // Threads for targets whose last delivery failed, so that some are left for those that work.
  std::size_t failing_max = 3;
};

// The threads that deliver the notices of all namespaces. They run while somebody has joined.
// Thread-safe.
class Postman {
 public:
  explicit Postman(Log& log, PostmanOptions options = {}) : log_(log), options_(options) {}
  ~Postman();  // REQUIRES: all have left

  // Delivers for `notifier` from now on, until it leaves.
  void join(Notifier& notifier);
  // Waits until nothing of it is under way. Not joined is success.
  void leave(Notifier& notifier);
  // Something may be due. Cheap.
  void wake();

 private:
  struct Job {
    Notifier* notifier;
    Outbox::Due due;
  };
  void start();
  void stop();
  void find_work();
  bool find_for(Notifier& notifier);
  void work();
  std::deque<Job>::iterator next_job();

  Log& log_;
  const PostmanOptions options_;

  std::mutex life_;  // held while threads begin or end
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable job_ready_;
  std::condition_variable done_;
  // Guarded by mutex_.
  bool stopping_ = false;
  bool woken_ = false;
  std::vector<Notifier*> joined_;
  std::map<Notifier*, std::size_t> busy_;  // threads that are inside of it
  std::deque<Job> queue_;
  std::size_t on_failing_ = 0;  // threads

  std::vector<std::thread> threads_;  // guarded by life_
};

}  // namespace curfew::broker
