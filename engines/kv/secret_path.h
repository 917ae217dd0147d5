#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

// What both versions of the store share: the paths of secrets, their listing, and bounds.
namespace curfew::engines::kv {

// The first part of every storage key, by layout.
inline constexpr std::string_view kV1Prefix = "v1/";
inline constexpr std::string_view kV2Prefix = "v2/";

inline constexpr std::size_t kPathBytesMax = 1024;
inline constexpr std::size_t kSecretBytesMax = 1024 * 1024;

// A path that a secret may be written at: 1 to 1024 bytes, no empty, "." or ".." segment, no
// control character. kInvalidArgument.
Status check_secret_path(std::string_view path);

// The map of a secret, as JSON text, is at most 1 MiB. kTooLarge.
Status check_secret_size(const Json& data);

// What to list below: "" for the root, else `path` with one '/' at its end.
std::string list_prefix(std::string_view path);

// The part of `names` (sorted) that the request's "after" (exclusive) and "limit" (0: all) leave.
// kNotFound without a message when nothing is left, as for every empty list.
Result<Json> list_page(std::vector<std::string> names, const Json& request);

// A read miss: no message, because clients expect an empty list of errors.
Error not_found();

}  // namespace curfew::engines::kv
