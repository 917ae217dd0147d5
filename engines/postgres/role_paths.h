#pragma once

#include <vector>

#include "engines/engine.h"

namespace curfew::engines::postgres {

// roles/<name>. Thread-safe.
class RolePaths {
 public:
  explicit RolePaths(Services services) : services_(std::move(services)) {}

  std::vector<CallRoutes::Route> routes();

 private:
  Result<Reply> read(const Call& call) const;
  Result<Reply> write(const Call& call);
  Result<Reply> remove(const Call& call);

  Services services_;
};

}  // namespace curfew::engines::postgres
