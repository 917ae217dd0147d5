#include "api/worker_pool.h"

#include <exception>
#include <utility>

namespace curfew::api {

WorkerPool::WorkerPool(std::size_t threads, std::size_t waiting_max, Log& log)
    : waiting_max_(waiting_max), log_(log) {
  try {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

WorkerPool::~WorkerPool() {
  stop();
}

bool WorkerPool::try_submit(std::function<void()> job) {
  {
    const std::scoped_lock lock(mutex_);
    // Idle threads take from the queue as well: what they will take does not wait.
    const std::size_t idle = threads_.size() - running_;
    if (stopped_ || queue_.size() >= waiting_max_ + idle) return false;
    queue_.push_back(std::move(job));
    if (std::exchange(waking_, true)) return true;
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::submit(std::function<void()> job) {
  {
    std::unique_lock lock(mutex_);
    if (stopped_) {
      lock.unlock();
      return run(job);
    }
    queue_.push_back(std::move(job));
    if (std::exchange(waking_, true)) return;
  }
  wake_.notify_one();
}

void WorkerPool::stop() {
  std::vector<std::thread> ending;
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    ending.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : ending) thread.join();
}

std::size_t WorkerPool::waiting() const {
  const std::scoped_lock lock(mutex_);
  return queue_.size();
}

std::size_t WorkerPool::running() const {
  const std::scoped_lock lock(mutex_);
  return running_;
}

void WorkerPool::run(const std::function<void()>& job) noexcept {
  try {
    job();
  } catch (const std::exception& error) {
    log_.error("a job of the edge failed", {{"error", error.what()}});
  } catch (...) {
    log_.error("a job of the edge failed", {{"error", "not a std::exception"}});
  }
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> job = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    const bool more = waking_ = !queue_.empty();
    lock.unlock();
    if (more) wake_.notify_one();
    run(job);
    job = nullptr;  // what it holds is let go without the lock
    lock.lock();
    --running_;
  }
}

}  // namespace curfew::api
