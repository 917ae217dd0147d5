#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/surroundings.h"

namespace curfew::cli {

// What the program adds to the commands of this library.
struct CliOptions {
  std::string version = "dev";
  std::vector<Command> more_commands = {};  // listed, completed and run like the others
};

// Every command that the library has, and `options`' own.
CommandTable make_command_table(const CliOptions& options);

// Runs `words` (the command line without the program's name) and gives its exit code. Writes to the
// streams of `around` only; no exception leaves it. One thread at a time.
int run_cli(const std::vector<std::string>& words, const CliOptions& options, Surroundings& around);

// The same in the process's own surroundings.
int run_cli(int argc, const char* const* argv, const CliOptions& options);

}  // namespace curfew::cli
