#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/api_client.h"
#include "cli/arguments.h"
#include "cli/printer.h"
#include "cli/surroundings.h"

namespace curfew::cli {

// What a command gives back to the shell.
inline constexpr int kExitOk = 0;
inline constexpr int kExitLocal = 1;   // the command line, a file, the terminal
inline constexpr int kExitServer = 2;  // the server refused, could not be reached, or has nothing

struct Call;

// How many words a command takes beside its flags.
struct WordCount {
  std::size_t min = 0;
  std::size_t max = 0;
};
inline constexpr std::size_t kManyWords = 10'000;

// One line of the table from which dispatch, help and completion are made.
struct Command {
  std::string path;           // "kv get"
  std::string summary;        // one line, for the list of commands
  std::string synopsis = {};  // what follows the name: "[flags] PATH"
  WordCount words = {};
  std::vector<Flag> flags = {};  // its own; those of all commands are added
  std::string details = {};      // paragraphs and examples, indented by two
  bool local = false;            // calls no server: Call::api is not there
  // kInvalidArgument ends the program with kExitLocal, any other error with kExitServer.
  std::function<Result<int>(Call&)> run;
};

// A first word that several commands share.
struct CommandGroup {
  std::string name;
  std::string summary;
};

struct CommandTable {
  std::vector<CommandGroup> groups;
  std::vector<Command> commands;
  std::string version;

  const Command* find(std::string_view path) const;
  const CommandGroup* find_group(std::string_view name) const;
};

// One run of one command. Refers to what run_cli owns.
struct Call {
  const CommandTable& table;
  const Arguments& arguments;
  Surroundings& around;
  Printer& print;
  ApiClient* api_or_null;

  // REQUIRES: the command is not local.
  ApiClient& api() const { return *api_or_null; }
  const std::string& word(std::size_t index) const { return arguments.words()[index]; }
  std::size_t word_count() const { return arguments.words().size(); }
};

// -format, and what the server is called by.
std::vector<Flag> common_flags(bool local);

// -field, for commands whose answer has members.
Flag field_flag();

// An error of the caller's own making.
Error local_error(std::string message);

// Something that was asked for is not there; prints nothing itself.
Error missing_error(std::string message);

// Prints the keys of a listing of `path`; kNotFound if there are none.
Result<int> show_keys(Call& call, const ApiReply& reply, const std::string& path);

}  // namespace curfew::cli
