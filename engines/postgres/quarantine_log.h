#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/lease_role.h"

namespace curfew::engines::postgres {

// What the mount remembers of objects that were given to the quarantine role: whose they were and
// since when. What is there is what the target's catalog says; this says where it came from, for
// names may change and the receipt of a lease is not kept for ever. Thread-safe.
class QuarantineLog {
 public:
  // Outlives this.
  explicit QuarantineLog(MountStorage& storage) : storage_(storage) {}

  // Durable when it returns success. To be called before the commit that gives the objects away: an
  // entry for what is not there harms nobody, one that is missing would.
  Status add(const std::string& lease_id, const LeaseHandle& handle, const std::string& database,
             const std::vector<KeptObject>& objects, WallTime now);

  // Database, oid of the catalog, own oid.
  using Key = std::tuple<std::string, std::uint32_t, std::uint32_t>;
  // Where each object of a target came from: {"lease", "database_role", "requested_by", "entity",
  // "trace", "since"}.
  Result<std::map<Key, Json>> origins(std::string_view target) const;

  // The object was released or dropped. Success also where nothing was known of it.
  Status forget(std::string_view target, const Key& key);

 private:
  Status add_record(const std::string& lease_id, const LeaseHandle& handle,
                    const std::string& database, std::span<const KeptObject> objects, WallTime now);

  MountStorage& storage_;
};

}  // namespace curfew::engines::postgres
