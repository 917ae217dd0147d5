#pragma once

#include <span>
#include <string>

#include "cli/command.h"

// Help, from the command table. Pure functions.
namespace curfew::cli {

std::string overview_help(const CommandTable& table);
std::string group_help(const CommandTable& table, const CommandGroup& group);
std::string command_help(const Command& command);

// " Did you mean `curfew read`?" for words that name no command, "" if nothing is near.
std::string suggestion(const CommandTable& table, std::span<const std::string> words);

// A script for "bash", "zsh" or "fish"; "" for another shell.
std::string completion_script(const CommandTable& table, std::string_view shell);

}  // namespace curfew::cli
