#pragma once

#include "cli/command.h"

namespace curfew::cli {

void add_incident_commands(CommandTable& table);  // revoke, lockdown …, whois

}  // namespace curfew::cli
