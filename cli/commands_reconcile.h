#pragma once

#include "cli/command.h"

namespace curfew::cli {

// Adds "reconcile" to the table.
void add_reconcile_commands(CommandTable& table);
// Adds "observe status" and "observe accept".
void add_observe_commands(CommandTable& table);

}  // namespace curfew::cli
