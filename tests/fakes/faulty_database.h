#pragma once

#include <mutex>

#include "store/sql.h"

namespace curfew::fakes {

// A database whose calls fail when the test says so. Thread-safe.
class FaultyDatabase final : public store::Database {
 public:
  enum class Moment {
    kBefore,  // the call does nothing
    kAfter,   // the call does its work, and its caller is told that it failed
  };

  // `inner` outlives this object.
  explicit FaultyDatabase(store::Database& inner) : inner_(inner) {}

  // The n-th write from now on (1: the next) fails with `code`; 0: none does.
  void fail_write(int n, Moment moment = Moment::kBefore, Errc code = Errc::kUnavailable);
  // The n-th read from now on fails with `code`; 0: none does.
  void fail_read(int n, Errc code = Errc::kUnavailable);
  // Runs when one of these faults strikes, in the thread of the call, which does not return before.
  void on_fault(std::function<void()> struck);
  // Everything fails with kUnavailable until it is switched off.
  void set_down(bool down);

  // Whether a fault waits to strike.
  bool is_armed() const;
  // Calls so far, failed ones included.
  int reads() const;
  int writes() const;

  Status read(const std::function<Status(const store::Reader&)>& reader) const override;
  Status write(const std::function<Status(store::Writer&)>& writer) override;
  Status forget_deleted() override;  // a write, as far as faults are concerned

 private:
  struct Fault {
    int in = 0;
    Moment moment = Moment::kBefore;
    Errc code = Errc::kUnavailable;
    int calls = 0;

    bool is_due();
    Error error() const;
  };

  store::Database& inner_;
  mutable std::mutex mutex_;  // protects what follows
  bool down_ = false;
  mutable Fault read_fault_;
  Fault write_fault_;
  std::function<void()> struck_;
};

}  // namespace curfew::fakes
