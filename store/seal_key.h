#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::store {

inline constexpr std::size_t kSealKeyBytes = 32;

// 32 bytes out of base64 (44 characters) or hexadecimal (64); white space around it is ignored.
// `origin` says in the message where the text came from. kInvalidArgument: anything else.
Result<Secret> parse_seal_key(const Secret& text, std::string_view origin);

// The text in the file at `path`, without the white space around it, under the same conditions as
// read_key_file(). `what` names it in messages ("key file").
Result<Secret> read_private_file(const std::string& path, std::string_view what);

// The environment variable `name`, or nullopt where it is not set; overwrites it in place, so that
// it is gone from /proc too, and unsets it. REQUIRES: no other thread uses the environment.
std::optional<Secret> take_environment(const std::string& name);

// The key in the file at `path`, which must be an ordinary file of the user that runs the server,
// or of root, that nobody else can read. kUnavailable: it does not exist or cannot be read;
// kPreconditionFailed: the wrong kind of file, owner or mode; kInvalidArgument: no key in it.
Result<Secret> read_key_file(const std::string& path);

// As read_key_file(); makes a new key when there is no file: mode 600, on disk when this returns.
// Never writes to a file that exists.
Result<Secret> read_or_create_key_file(const std::string& path, Random& random);

// The key in the environment variable `name`, by take_environment(). kPreconditionFailed: not set;
// kInvalidArgument: no key in it.
Result<Secret> take_environment_key(const std::string& name);

}  // namespace curfew::store
