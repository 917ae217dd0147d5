#pragma once

#include <string>

#include "engines/engine.h"
#include "engines/static_key/key_record.h"

// How keys, their values and the grants of live leases lie in the mount's storage. Every function
// works within the transaction that it is handed.
namespace curfew::engines::static_key {

// That a lease may read a version. It is what an apply() makes and a revoke() removes.
struct Grant {
  std::string lease_id;
  std::string name;
  std::int64_t version = 0;
};

// "<name>@<version>": what leases are grouped by. Versions of a name are never numbered twice, also
// when the key is deleted and made again.
std::string resource_of(std::string_view name, std::int64_t version);

Handle handle_of(const Grant& grant);
// kCorrupt: the handle is not one of this engine.
Result<Grant> grant_of(const Handle& handle);

Result<std::optional<KeyRecord>> load_record(const StorageReader& reader, const std::string& name);
Status store_record(StorageWriter& writer, const std::string& name, const KeyRecord& record);

// nullopt: the version is gone.
Result<std::optional<Json>> load_secret(const StorageReader& reader, const std::string& name,
                                        std::int64_t version);

// What a lease's holder is given. REQUIRES: `secret` is from load_secret().
Json describe_secret(const Grant& grant, const KeyRecord& record, Json secret);

// Makes `secret` the current version; the versions that nobody needs any more are dropped. False:
// it is what the current version holds already, and nothing was changed. kOverloaded: live leases
// hold on to too many old versions.
Result<bool> add_version(StorageWriter& writer, const std::string& name, KeyRecord& record,
                         const Json& secret, WallTime now);

// Drops all but the newest `keep_versions` and those with grants. Changes `record`, does not store
// it. True: something was dropped.
Result<bool> drop_unneeded(StorageWriter& writer, const std::string& name, KeyRecord& record);

// The record, all values; remembers the last number used.
Status erase_key(StorageWriter& writer, const std::string& name, const KeyRecord& record);

// How many grants there are for a version.
Result<std::int64_t> live_grants(const StorageReader& reader, const std::string& name,
                                 std::int64_t version);

Result<bool> has_grant(const StorageReader& reader, const std::string& lease_id);
// False: the lease was ended before its grant was made, and none may be made any more.
Result<bool> add_grant(StorageWriter& writer, const Grant& grant);
// Idempotent. A lease that had no grant is remembered as ended, so that a late add_grant() fails.
Status end_grant(StorageWriter& writer, const Grant& grant, WallTime now);
Result<std::vector<Grant>> all_grants(const StorageReader& reader);
// Forgets up to 1000 ends that are older than a day: no add_grant() can still be under way.
Status forget_old_ends(StorageWriter& writer, WallTime now);

}  // namespace curfew::engines::static_key
