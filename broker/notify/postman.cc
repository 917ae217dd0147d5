#include "broker/notify/postman.h"

#include <algorithm>

#include "base/contained.h"

namespace curfew::broker {
namespace {

// Pauses end by a clock that nobody tells of: look again after a second at the latest.
constexpr Millis kLookAgain = Seconds{1};
// Where a transaction is about to be through.
constexpr Millis kLookSoon{50};

}  // namespace

Postman::~Postman() {
  const std::scoped_lock life(life_);
  stop();
}

void Postman::join(Notifier& notifier) {
  const std::scoped_lock life(life_);
  {
    const std::scoped_lock lock(mutex_);
    if (std::find(joined_.begin(), joined_.end(), &notifier) == joined_.end())
      joined_.push_back(&notifier);
  }
  if (threads_.empty()) start();
  wake();
}

void Postman::leave(Notifier& notifier) {
  const std::scoped_lock life(life_);
  bool last = false;
  {
    std::unique_lock lock(mutex_);
    std::erase(joined_, &notifier);
    std::erase_if(queue_, [&](const Job& job) { return job.notifier == &notifier; });
    done_.wait(lock, [&] { return !busy_.contains(&notifier); });
    last = joined_.empty();
  }
  if (last) stop();
}

void Postman::wake() {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

void Postman::start() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
  }
  threads_.emplace_back([this] { find_work(); });
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

void Postman::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  job_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// Whether it expects more at once.
bool Postman::find_for(Notifier& notifier) {
  {
    const std::scoped_lock lock(mutex_);
    if (std::find(joined_.begin(), joined_.end(), &notifier) == joined_.end()) return false;
    ++busy_[&notifier];
  }
  std::vector<Outbox::Due> due;
  (void)contained(log_, "looking for notifications", [&]() -> Status {
    due = notifier.take_due();
    return ok();
  });
  const bool more = notifier.expects_some();
  const std::scoped_lock lock(mutex_);
  // What has left meanwhile forgets what it gave.
  if (std::find(joined_.begin(), joined_.end(), &notifier) != joined_.end())
    for (Outbox::Due& one : due) queue_.push_back({&notifier, std::move(one)});
  if (--busy_[&notifier] == 0) busy_.erase(&notifier);
  job_ready_.notify_all();
  done_.notify_all();
  return more;
}

void Postman::find_work() {
  for (;;) {
    std::vector<Notifier*> joined;
    {
      const std::scoped_lock lock(mutex_);
      joined = joined_;
    }
    bool soon = false;
    for (Notifier* notifier : joined) soon = find_for(*notifier) || soon;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, soon ? kLookSoon : kLookAgain, [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

std::deque<Postman::Job>::iterator Postman::next_job() {
  return std::find_if(queue_.begin(), queue_.end(), [this](const Job& job) {
    return !job.due.target_failed || on_failing_ < options_.failing_max;
  });
}

void Postman::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    job_ready_.wait(lock, [this] { return stopping_ || next_job() != queue_.end(); });
    if (stopping_) return;
    const auto next = next_job();
    const Job job = std::move(*next);
    queue_.erase(next);
    ++busy_[job.notifier];
    if (job.due.target_failed) ++on_failing_;
    lock.unlock();
    job.notifier->deliver(job.due);
    lock.lock();
    if (job.due.target_failed) --on_failing_;
    if (--busy_[job.notifier] == 0) busy_.erase(job.notifier);
    done_.notify_all();
    job_ready_.notify_one();
    woken_ = true;  // its target may have more
    wake_.notify_one();
  }
}

}  // namespace curfew::broker
