#pragma once

#include <map>

#include "engines/engine.h"

namespace curfew::fakes {

// The phases of one revocation, in memory. For one thread.
class MemoryPhases final : public engines::PhaseRecord {
 public:
  bool is_done(engines::Phase phase) const override { return notes_.contains(phase); }

  Status done(engines::Phase phase, Json note) override {
    if (fail_in_ > 0 && --fail_in_ == 0)
      return Error{Errc::kUnavailable, "the phase was not recorded, as the test asked"};
    notes_[phase] = std::move(note);
    return ok();
  }

  // The n-th call of done() from now on (1: the next) fails with kUnavailable; 0: none does.
  void fail_done(int n) { fail_in_ = n; }
  const std::map<engines::Phase, Json>& notes() const { return notes_; }

 private:
  std::map<engines::Phase, Json> notes_;
  int fail_in_ = 0;
};

}  // namespace curfew::fakes
