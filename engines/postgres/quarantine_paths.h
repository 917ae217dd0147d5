#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/quarantine.h"
#include "engines/postgres/quarantine_log.h"

namespace curfew::engines::postgres {

// quarantine/<target>: what leased roles left behind with data in it. Thread-safe.
class QuarantinePaths {
 public:
  using PoolOf = std::function<Result<std::shared_ptr<Pool>>(const std::string& target)>;

  // The references outlive this. `time`: for one request, at the target.
  QuarantinePaths(QuarantineLog& log, const Clock& clock, Millis time, PoolOf pool_of)
      : log_(log), clock_(clock), time_(time), pool_of_(std::move(pool_of)) {}

  std::vector<CallRoutes::Route> routes();

 private:
  Result<Reply> list(const Call& call);
  Result<Reply> show(const Call& call);
  Result<Reply> release(const Call& call);
  Result<Reply> drop(const Call& call);
  SteadyTime deadline() const { return clock_.steady() + time_; }
  Status forget(const Call& call, const QuarantinedObject& object);

  QuarantineLog& log_;
  const Clock& clock_;
  const Millis time_;
  const PoolOf pool_of_;
};

}  // namespace curfew::engines::postgres
