#include "app/unseal_retry.h"

#include <algorithm>

namespace curfew::app {
namespace {

constexpr Millis kPauseFirst{1'000};
constexpr Millis kPauseMax{60'000};

}  // namespace

UnsealRetry::UnsealRetry(broker::Lifecycle& lifecycle, Log& log)
    : lifecycle_(lifecycle), log_(log), thread_([this] { run(); }) {}

UnsealRetry::~UnsealRetry() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<Status> UnsealRetry::first_outcome(Millis patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [this] { return first_.has_value(); });
  return first_;
}

void UnsealRetry::run() {
  for (Millis pause = kPauseFirst;; pause = std::min(pause * 2, kPauseMax)) {
    const Status started = lifecycle_.start();
    if (!started) log_.error("cannot unseal", {{"error", started.error().message}});
    std::unique_lock lock(mutex_);
    if (!first_) first_ = started;
    changed_.notify_all();
    if (started || changed_.wait_for(lock, pause, [this] { return stopping_; })) return;
  }
}

}  // namespace curfew::app
