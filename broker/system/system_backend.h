#pragma once

#include "broker/backend.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {

// The paths below sys/. Thread-safe.
class SystemBackend final : public Backend {
 public:
  explicit SystemBackend(SystemParts parts);
  const BackendRoutes& routes() const override { return routes_; }
  Result<std::vector<Metric>> metrics(WallTime now) const { return namespace_metrics(parts_, now); }

 private:
  const SystemParts parts_;
  const BackendRoutes routes_;
};

}  // namespace curfew::broker
