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

  using PoolInCharge =
      std::function<Result<std::shared_ptr<Pool>>(const std::string& target, SteadyTime deadline)>;

  // The references outlive this. `time`: for one request, at the target. `pool_in_charge`: for what
  // changes something there.
  QuarantinePaths(QuarantineLog& log, const Clock& clock, Millis time, PoolOf pool_of,
                  PoolInCharge pool_in_charge)
      : log_(log),
        clock_(clock),
        time_(time),
        pool_of_(std::move(pool_of)),
        pool_in_charge_(std::move(pool_in_charge)) {}

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
  const PoolInCharge pool_in_charge_;
};

}  // namespace curfew::engines::postgres
