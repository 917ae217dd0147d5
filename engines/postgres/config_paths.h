#pragma once

#include <vector>

#include "engines/engine.h"
#include "engines/postgres/root_rotation.h"
#include "engines/postgres/target_pools.h"

namespace curfew::engines::postgres {

// config/<name>, reset/<name> and rotate-root/<name>. Writing a configuration and rotating its
// password block while the target is asked. Thread-safe.
class ConfigPaths {
 public:
  // The references outlive this.
  ConfigPaths(Services services, TargetPools& pools, RootRotation& root, Millis verify_time)
      : services_(std::move(services)), pools_(pools), root_(root), verify_time_(verify_time) {}

  std::vector<CallRoutes::Route> routes();

 private:
  Result<Reply> read(const Call& call) const;
  Result<Reply> write(const Call& call);
  Result<Reply> remove(const Call& call);
  Result<Reply> list(const Call& call) const;
  Result<Reply> reset(const Call& call);
  Result<Reply> rotate_root(const Call& call);
  Status try_config(const std::optional<TargetConfig>& stored, TargetConfig& config,
                    bool& was_replaced, std::vector<std::string>& warnings) const;
  Status check_unused(const std::string& name, bool force,
                      std::vector<std::string>& warnings) const;
  Status verify(const TargetConfig& config, std::vector<std::string>& warnings) const;
  Result<std::vector<std::string>> groups_of(const std::string& target) const;

  Services services_;
  TargetPools& pools_;
  RootRotation& root_;
  const Millis verify_time_;
};

// The names behind a stored prefix, as a list answers them. kNotFound: there are none.
Result<Reply> list_names(const MountStorage& storage, std::string_view prefix);

}  // namespace curfew::engines::postgres
