#pragma once

#include <functional>
#include <mutex>

#include "base/random.h"
#include "base/result.h"
#include "broker/mount/mount_entry.h"
#include "broker/token/token_service.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The mount auth/token/, which is always there and can only be tuned. Thread-safe.
class TokenMount {
 public:
  TokenMount(store::Database& database, const store::Records& records, Random& random);

  // Reads what was tuned; the first time, makes the mount's accessor.
  Status load();

  MountEntry entry() const;
  TokenMountTtl ttl() const;
  Status tune(const std::function<Status(MountEntry&)>& change);

 private:
  Status store(const MountEntry& entry);

  store::Database& database_;
  const store::Records& records_;
  Random& random_;
  mutable std::mutex mutex_;
  MountEntry entry_;  // guarded by mutex_
};

}  // namespace curfew::broker
