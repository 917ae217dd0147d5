#pragma once

#include <string>

#include "base/result.h"
#include "broker/backend.h"

namespace curfew::broker {

// What a client hears that asks which mount a path is in: the same for one that does not exist as
// for one out of reach. `path` ends in '/'.
Error out_of_reach(const std::string& path);

// What a namespace that does not exist answers without a token: as one that shows nothing to
// strangers. Thread-safe.
class Nowhere final : public Backend {
 public:
  Nowhere();
  const BackendRoutes& routes() const override { return routes_; }

 private:
  const BackendRoutes routes_;
};

}  // namespace curfew::broker
