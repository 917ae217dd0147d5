#pragma once

#include <vector>

#include "engines/engine.h"
#include "engines/postgres/static_rotation.h"

namespace curfew::engines::postgres {

// static-roles/<name>, static-creds/<name> and rotate-role/<name>. Writing a role and rotating one
// block while the target works on it; so does reading credentials after an interrupted change.
// Thread-safe.
class StaticRolePaths {
 public:
  // The references outlive this.
  StaticRolePaths(const Services& services, StaticRotation& rotation)
      : services_(services), rotation_(rotation) {}

  std::vector<CallRoutes::Route> routes();

 private:
  Result<Reply> read(const Call& call) const;
  Result<Reply> write(const Call& call);
  Result<Reply> remove(const Call& call);
  Result<Reply> credentials(const Call& call);
  Result<Reply> rotate(const Call& call);
  Status create(const StaticRole& role, const Json& data, std::vector<std::string>& warnings);
  Status first_rotation(const StaticRole& role);
  Status store_new(const StaticRole& role, const StaticPassword& password);
  Status forget(const StaticRole& role);
  Status check_target(const StaticRole& role) const;

  const Services& services_;
  StaticRotation& rotation_;
};

}  // namespace curfew::engines::postgres
