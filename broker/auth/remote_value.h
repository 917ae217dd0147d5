#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::broker {

struct RemoteLimits {
  Millis fresh{10 * 60'000};   // after this it is fetched again by whoever needs it
  Millis usable{60 * 60'000};  // so long an old one serves while fetching fails
  Millis between{10'000};      // at least so long from one fetch to the next
  int waiters_max = 4;         // threads that wait for a fetch of another one
};

// Something that another server has and that changes rarely: fetched when it is needed first, kept
// for a while, and fetched again when it grew old or a caller needs a newer one. One fetch at a
// time, and few threads wait for it: a server that hangs must not hold up those who need nothing of
// it. Time is the injected clock's steady one. Thread-safe.
template <class T>
class RemoteValue {
 public:
  using Value = std::shared_ptr<const T>;

  // `fetch` blocks within a bound of its own. `clock` outlives this.
  RemoteValue(std::function<Result<T>()> fetch, const Clock& clock, RemoteLimits limits = {})
      : fetch_(std::move(fetch)), clock_(clock), limits_(limits) {}

  // The value. The error of the last fetch where there is none that is usable; kOverloaded: too
  // many wait for the fetch that is under way.
  Result<Value> get() { return obtain(nullptr); }

  // A value that was fetched after `seen`, or `seen` where that is all that may be had now. Errors
  // as above.
  Result<Value> newer_than(const Value& seen) { return obtain(seen); }

 private:
  bool younger_than(Millis age) const { return value_ && clock_.steady() - fetched_at_ < age; }
  bool may_fetch() const {
    return !fetching_ && (!tried_ || clock_.steady() - tried_at_ >= limits_.between);
  }

  Result<Value> obtain(const Value& seen) {
    std::unique_lock lock(mutex_);
    if (younger_than(limits_.fresh) && value_ != seen) return value_;
    if (may_fetch()) return fetch_now(lock);
    if (fetching_) {
      if (younger_than(limits_.usable) && value_ != seen) return value_;
      if (waiting_ >= limits_.waiters_max)
        return Error{Errc::kOverloaded,
                     "too many logins wait for the identity provider; try again later"};
      ++waiting_;
      fetched_.wait(lock, [&] { return !fetching_; });
      --waiting_;
    }
    return best();
  }

  Result<Value> fetch_now(std::unique_lock<std::mutex>& lock) {
    fetching_ = tried_ = true;
    lock.unlock();
    auto fetched = fetch_();
    lock.lock();
    fetching_ = false;
    tried_at_ = clock_.steady();
    if (fetched) {
      value_ = std::make_shared<const T>(std::move(*fetched));
      fetched_at_ = tried_at_;
    } else {
      error_ = std::move(fetched).error();
    }
    fetched_.notify_all();
    return best();
  }

  Result<Value> best() const {
    if (younger_than(limits_.usable)) return value_;
    return error_;
  }

  const std::function<Result<T>()> fetch_;
  const Clock& clock_;
  const RemoteLimits limits_;
  std::mutex mutex_;
  std::condition_variable fetched_;
  // Guarded by mutex_.
  Value value_;
  Error error_{Errc::kUnavailable, "nothing was fetched yet"};
  SteadyTime fetched_at_{};
  SteadyTime tried_at_{};
  bool tried_ = false;
  bool fetching_ = false;
  int waiting_ = 0;
};

// How many may do something at once; the others are told so, and wait for nothing. Thread-safe.
class Slots {
 public:
  explicit Slots(int most) : free_(most) {}

  class Taken {
   public:
    explicit Taken(Slots* slots) : slots_(slots) {}
    Taken(Taken&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Taken& operator=(Taken&&) = delete;
    ~Taken() {
      if (slots_ != nullptr) slots_->put_back();
    }

   private:
    Slots* slots_;
  };

  // kOverloaded: none is free.
  Result<Taken> take() {
    const std::scoped_lock lock(mutex_);
    if (free_ == 0)
      return Error{Errc::kOverloaded, "too many logins of this kind at once; try again later"};
    --free_;
    return Taken(this);
  }

 private:
  void put_back() {
    const std::scoped_lock lock(mutex_);
    ++free_;
  }

  std::mutex mutex_;
  int free_;  // guarded by mutex_
};

}  // namespace curfew::broker
