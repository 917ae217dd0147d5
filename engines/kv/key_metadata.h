#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

// What is kept of a secret beside its values, and the rules of versions. Values only: no storage,
// no clock.
namespace curfew::engines::kv {

inline constexpr std::int64_t kVersionsDefault = 10;
inline constexpr std::int64_t kVersionsMax = 1000;

// Settings of a mount.
struct MountConfig {
  std::int64_t max_versions = 0;  // 0: kVersionsDefault
  bool cas_required = false;
  Millis delete_version_after{0};  // 0: never; negative: never, whatever a secret says

  Json to_json() const;  // as stored
  static Result<MountConfig> from_json(const Json& stored);
};

struct VersionMetadata {
  WallTime created;
  std::optional<WallTime> deletion;  // from then on it reads as deleted; may lie ahead
  bool destroyed = false;            // the value is gone for good

  bool readable(WallTime now) const { return !destroyed && !(deletion && *deletion <= now); }
};

struct KeyMetadata {
  std::int64_t current_version = 0;  // 0: only metadata was written so far
  std::int64_t oldest_version = 0;   // 0: none was dropped yet
  WallTime created;
  WallTime updated;
  std::int64_t max_versions = 0;  // 0: the mount's
  bool cas_required = false;
  Millis delete_version_after{0};  // 0: the mount's
  Json custom = nullptr;           // an object of strings, or null
  std::map<std::int64_t, VersionMetadata> versions = {};

  Json to_json() const;  // as stored
  static Result<KeyMetadata> from_json(const Json& stored);

  // nullptr: there is no such version (any more).
  VersionMetadata* find(std::int64_t version);
  const VersionMetadata* find(std::int64_t version) const;

  // Makes the next version the current one and returns the numbers of those that fall out of
  // max_versions: their values are to be removed.
  std::vector<std::int64_t> add_version(WallTime now, const MountConfig& config);

  // When a version that begins (again) at `now` is to be deleted: the shorter of the two settings.
  std::optional<WallTime> deletion_from(WallTime now, const MountConfig& config) const;

  // The members that describe one version in an answer. REQUIRES: find(version) != nullptr.
  Json describe_version(std::int64_t version) const;

  // The answer to a read of the metadata.
  Json describe() const;
};

// "custom_metadata" of a request: an object of at most 64 members, names of 1 to 128 bytes, values
// of 1 to 512, all printable. With `patch`, null members stay null (they remove). kInvalidArgument
// names the first member at fault.
Result<Json> check_custom_metadata(const Json& value, bool patch);

}  // namespace curfew::engines::kv
