#include <ostream>

#include "cli/commands.h"
#include "cli/help.h"

namespace curfew::cli {

namespace {

Result<int> version(Call& call) {
  return call.print.either(OrderedJson{{"version", call.table.version}}, [&](std::ostream& out) {
    out << "Curfew " << call.table.version << "\n";
  });
}

Result<int> help(Call& call) {
  std::string path;
  for (const std::string& word : call.arguments.words()) path += (path.empty() ? "" : " ") + word;
  if (path.empty()) {
    call.around.out << overview_help(call.table);
  } else if (const Command* command = call.table.find(path); command != nullptr) {
    call.around.out << command_help(*command);
  } else if (const CommandGroup* group = call.table.find_group(path); group != nullptr) {
    call.around.out << group_help(call.table, *group);
  } else {
    return local_error("There is no command \"" + path + "\"." +
                       suggestion(call.table, call.arguments.words()) + " See: curfew help");
  }
  return kExitOk;
}

}  // namespace

void add_local_commands(CommandTable& table) {
  table.commands.push_back({.path = "version",
                            .summary = "Shows this program's version",
                            .words = {0, 0},
                            .local = true,
                            .run = version});
  table.commands.push_back({.path = "help",
                            .summary = "Says what a command does and takes",
                            .synopsis = "[COMMAND]",
                            .words = {0, 4},
                            .local = true,
                            .run = help});
  table.groups.push_back({"completion", "Completion of commands and flags in the shell"});
  const std::pair<const char*, const char*> shells[] = {
      {"bash", "      eval \"$(curfew completion bash)\"\n"},
      {"zsh", "      source <(curfew completion zsh)\n"},
      {"fish", "      curfew completion fish | source\n"}};
  for (const auto& [shell, usage] : shells) {
    table.commands.push_back({.path = std::string("completion ") + shell,
                              .summary = std::string("Prints the completion script for ") + shell,
                              .words = {0, 0},
                              .details = usage,
                              .local = true,
                              .run = [name = std::string(shell)](Call& call) -> Result<int> {
                                call.around.out << completion_script(call.table, name);
                                return kExitOk;
                              }});
  }
}

}  // namespace curfew::cli
