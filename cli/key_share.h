#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "cli/command.h"

namespace curfew::cli {

// The share of a key that the command was given: its word, or a line of standard input for "-" or
// where nobody sits at a terminal, or what is typed at a hidden prompt. kInvalidArgument: none.
Result<Secret> key_share(Call& call, std::string_view prompt);

}  // namespace curfew::cli
