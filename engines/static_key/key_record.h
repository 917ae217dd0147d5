#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

// What is kept of a fixed secret beside its values. Values only: no storage, no clock.
namespace curfew::engines::static_key {

inline constexpr std::size_t kSecretBytesMax = 64 * 1024;
inline constexpr std::size_t kFieldsMax = 64;  // of a secret, and of its metadata
inline constexpr std::int64_t kKeepVersionsMax = 20;
// With those that live leases pin.
inline constexpr std::size_t kVersionsMax = 100;

struct KeyVersion {
  WallTime created;
  std::optional<WallTime> superseded;  // when the next one was stored
};

struct KeyRecord {
  std::string type = "generic";
  std::string description;
  Json metadata = Json::object();  // strings
  Millis default_ttl{0};           // 0: the mount's
  Millis max_ttl{0};               // 0: the mount's
  std::int64_t keep_versions = 1;  // the newest, kept whether or not a lease needs them
  std::int64_t current_version = 0;
  std::map<std::int64_t, KeyVersion> versions = {};

  Json to_json() const;
  static Result<KeyRecord> from_json(const Json& stored);
};

// What a request to store a key names; the rest stays as it is.
struct KeyChanges {
  std::optional<Json> secret;  // {"value": text} or {"fields": {name: text}}
  std::optional<std::string> type;
  std::optional<std::string> description;
  std::optional<Json> metadata;
  std::optional<Millis> default_ttl;
  std::optional<Millis> max_ttl;
  std::optional<std::int64_t> keep_versions;
};

// kInvalidArgument names the member and the bound; no message holds a part of the secret.
Result<KeyChanges> read_changes(const Json& request);

// All but the secret. kInvalidArgument: the settings contradict each other.
Status apply_settings(const KeyChanges& changes, KeyRecord& record);

}  // namespace curfew::engines::static_key
