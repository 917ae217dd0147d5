#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/command.h"

// The flags by which commands say which leases they mean.
namespace curfew::cli {

// -agent, -session, -trace, -token, -role, -target, -mount.
std::vector<Flag> scope_flags();

// Those that were given, as members of a request's body; {} if none was.
Json scope_asked(const Call& call);

// A scope of an answer in one line: "agent=report-bot role=ro".
std::string scope_text(const Json& scope);

}  // namespace curfew::cli
