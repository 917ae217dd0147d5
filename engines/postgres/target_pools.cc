#include "engines/postgres/target_pools.h"

namespace curfew::engines::postgres {

Result<std::shared_ptr<Pool>> TargetPools::of(const TargetConfig& config) {
  ASSIGN_OR_RETURN(TargetSettings settings, parse_target(config.name, config.details));
  std::string fingerprint = settings.fingerprint();
  std::shared_ptr<Pool> replaced, current;
  {
    const std::scoped_lock lock(mutex_);
    Entry& entry = pools_[config.name];
    if (entry.pool == nullptr || entry.fingerprint != fingerprint) {
      replaced = std::move(entry.pool);
      entry = {std::move(fingerprint),
               std::make_shared<Pool>(std::move(settings), limits_, clock_, log_)};
    }
    current = entry.pool;
  }
  if (replaced != nullptr) replaced->reset();
  return current;
}

void TargetPools::reset(std::string_view name) {
  std::shared_ptr<Pool> pool;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = pools_.find(name);
    if (it == pools_.end()) return;
    pool = std::move(it->second.pool);
    pools_.erase(it);
  }
  pool->reset();
}

}  // namespace curfew::engines::postgres
