#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace curfew::cli {

// ".curfew-token" in the home directory: one token, readable by its owner alone (mode 0600).

// `home` is the directory, "" if unknown.
std::string token_file_path(const std::string& home);

// An empty secret if the file does not exist. kInvalidArgument: it cannot be read, is larger than
// 64 KiB, belongs to somebody else, or others may read it (the message says how to mend that).
Result<Secret> load_token(const std::string& path);

// Replaces the file as a whole. kInvalidArgument, naming the path, if that fails; then the old one
// is as it was.
Status store_token(const std::string& path, const Secret& token);

// Puts a secret into a file that its owner alone can read, in place of what was there. Crash-safe:
// the file is the old one or the new one. `what` names it in errors, which are kInvalidArgument.
Status store_private_file(const std::string& path, const std::string& what, const Secret& secret);

}  // namespace curfew::cli
