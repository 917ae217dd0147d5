#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/command.h"

// What the commands of secrets engines and of auth methods have in common.
namespace curfew::cli {

// Flags of "enable" and "tune" that set a mount's configuration.
std::vector<Flag> mount_config_flags();

// The configuration's members that those flags name, without the TTLs.
Json mount_config(const Arguments& arguments);

// A mount's options from -options and -version; null if neither was given.
Result<Json> mount_options(const Arguments& arguments);

// The body of a call that mounts `type`.
Result<Json> enable_body(const Arguments& arguments, const std::string& type);

// The body of a call that changes a mount's configuration. A TTL of "" stays as it is.
Result<Json> tune_body(const Arguments& arguments);

// Prints a listing of mounts by path. `type_title` heads the column of types in the detailed form.
Result<int> show_mounts(Call& call, const ApiReply& reply, const std::string& type_title);

// -detailed
Flag detailed_flag();

}  // namespace curfew::cli
