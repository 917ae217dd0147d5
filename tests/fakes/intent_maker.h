#pragma once

#include <utility>

#include "engines/engine.h"

namespace curfew::engines {

// The same class as the lease store's, word for word, so that an engine can be tested without a
// lease store. Not for programs that make intents durable.
class DurableIntentMaker {
 public:
  static DurableIntent make(std::string lease_id, IssuePlan plan, WallTime expires_at) {
    return {std::move(lease_id), std::move(plan), expires_at};
  }
};

}  // namespace curfew::engines
