#pragma once

#include <map>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "broker/mount/lockout_settings.h"

namespace curfew::broker {

// What an operator can set on a mount; zero time-to-lives mean the system's.
struct MountConfig {
  Millis default_lease_ttl{0};
  Millis max_lease_ttl{0};
  bool force_no_cache = false;
  std::string listing_visibility;
  std::set<std::string> audit_non_hmac_request_keys;
  std::set<std::string> audit_non_hmac_response_keys;
  LockoutSettings lockout = {};  // of auth methods
};

enum class MountState {
  kActive,
  kUnmounting,  // refuses requests; goes when its last lease is revoked
};

// One mount as it is stored.
struct MountEntry {
  std::string path;  // ends in '/'
  std::string uuid;  // its storage
  std::string accessor;
  std::string type;
  std::string description;
  MountConfig config;
  std::map<std::string, std::string> options;
  MountState state = MountState::kActive;
};

Json to_stored(const MountEntry& entry);
MountEntry mount_entry_from_stored(const Json& stored);

// As sys/mounts and sys/internal/ui/mounts show it.
Json to_api(const MountEntry& entry);

// Applies "config" of a mount request or the body of a tune request; members that are absent, null
// or "" stay. kInvalidArgument names the member.
Status apply_config(const Json& data, MountConfig& config);

// "foo" and "/foo/" become "foo/". kInvalidArgument: empty, a reserved name, or characters that a
// path cannot have.
Result<std::string> normalise_mount_path(std::string_view path);

}  // namespace curfew::broker
