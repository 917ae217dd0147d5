#pragma once

#include <map>

#include "engines/engine.h"

namespace curfew::engines::postgres {

// The phases of a revocation that is done whole or, after a crash, from its beginning again.
class ForgottenPhases final : public PhaseRecord {
 public:
  bool is_done(Phase phase) const override { return notes_.contains(phase); }
  Status done(Phase phase, Json note) override {
    notes_[phase] = std::move(note);
    return ok();
  }
  // nullptr: not done.
  const Json* note(Phase phase) const {
    const auto it = notes_.find(phase);
    return it == notes_.end() ? nullptr : &it->second;
  }

 private:
  std::map<Phase, Json> notes_;
};

}  // namespace curfew::engines::postgres
