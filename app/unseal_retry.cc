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
  stop_.notify_all();
  thread_.join();
}

void UnsealRetry::run() {
  for (Millis pause = kPauseFirst;; pause = std::min(pause * 2, kPauseMax)) {
    {
      std::unique_lock lock(mutex_);
      if (stop_.wait_for(lock, pause, [this] { return stopping_; })) return;
    }
    const Status started = lifecycle_.start();
    if (started) return;
    const bool may_pass = started.error().code == Errc::kUnavailable;
    log_.error(may_pass ? "cannot unseal yet; tried again"
                        : "cannot unseal; not tried again before the next start",
               {{"error", started.error().message}});
    if (!may_pass) return;
  }
}

}  // namespace curfew::app
