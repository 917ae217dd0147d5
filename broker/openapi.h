#pragma once

#include <string>

#include "base/json.h"
#include "broker/auth/auth_mounts.h"
#include "broker/backend.h"
#include "broker/mount/mount_table.h"

namespace curfew::broker {

// An OpenAPI 3.0 document of the paths that are served now, made from the tables that serve them.
Json describe_api(const Backend& system, const Backend& token_backend,
                  const Backend& identity_backend, const AuthMounts& auth_mounts,
                  const MountTable& mounts, const std::string& version);

}  // namespace curfew::broker
