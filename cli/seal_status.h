#pragma once

#include "base/result.h"
#include "cli/command.h"

namespace curfew::cli {

// Asks who leads, adds that to `seal_status` (an answer of sys/seal-status or sys/unseal), and
// prints the two as one. Gives kExitOk or the error of the call.
Result<int> show_seal_status(Call& call, Json seal_status);

}  // namespace curfew::cli
