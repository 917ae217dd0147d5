#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/marker.h"
#include "engines/postgres/rehearsal.h"
#include "engines/postgres/roles.h"
#include "engines/postgres/target_pools.h"

namespace curfew::engines::postgres {

// roles/<name>. A write judges the role's statements, by their text and by a rehearsal at the
// target. Thread-safe.
class RolePaths {
 public:
  // `revoke`: see Rehearsal; `rehearsal_time`: how long one may take. The references outlive this.
  RolePaths(Services services, TargetPools& pools, Markers& markers, Millis rehearsal_time,
            Rehearsal::Revoke revoke)
      : services_(std::move(services)),
        pools_(pools),
        markers_(markers),
        rehearsal_time_(rehearsal_time),
        revoke_(std::move(revoke)) {}

  std::vector<CallRoutes::Route> routes();

 private:
  Result<Reply> read(const Call& call) const;
  Result<Reply> write(const Call& call);
  Result<Reply> remove(const Call& call);
  Status judge(const LeaseRole& role, bool wanted, std::vector<std::string>& warnings);
  Result<std::optional<std::vector<Finding>>> rehearse(const LeaseRole& role,
                                                       const TargetConfig& config,
                                                       std::vector<std::string>& warnings);

  Services services_;
  TargetPools& pools_;
  Markers& markers_;
  const Millis rehearsal_time_;
  const Rehearsal::Revoke revoke_;
};

}  // namespace curfew::engines::postgres
