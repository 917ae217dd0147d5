#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"

namespace curfew::api {

// Threads that may block, behind a queue that may not grow. Thread-safe.
class WorkerPool {
 public:
  // At most `waiting_max` jobs wait beside those that run. REQUIRES: threads > 0. The log must
  // outlive the pool. Throws std::system_error if the threads cannot be started.
  WorkerPool(std::size_t threads, std::size_t waiting_max, Log& log);
  // As stop().
  ~WorkerPool();

  // False, and nothing happens: the queue is full or the pool is stopped.
  bool try_submit(std::function<void()> job);
  // For the few jobs that must run: the bound does not count. Once the pool is stopped the job runs
  // on the caller's thread.
  void submit(std::function<void()> job);

  // Runs what is queued, then ends the threads. Not to be called from a job.
  void stop();

  std::size_t waiting() const;
  std::size_t running() const;

 private:
  void work();
  void run(const std::function<void()>& job) noexcept;

  const std::size_t waiting_max_;
  Log& log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_, as all below
  // A thread was woken and has not taken a job yet. It wakes the next one if there is more to do:
  // waking one for each job would mostly wake threads that find the queue empty.
  bool waking_ = false;
  std::size_t running_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace curfew::api
