#include "cli/run.h"

#include <algorithm>
#include <exception>
#include <ostream>
#include <span>

#include "cli/commands.h"
#include "cli/commands_incident.h"
#include "cli/commands_reconcile.h"
#include "cli/help.h"

namespace curfew::cli {

namespace {

int exit_code(const Error& error) {
  return error.code == Errc::kInvalidArgument ? kExitLocal : kExitServer;
}

// A server's words may hold anything; the terminal gets text.
void report(Surroundings& around, const Error& error) {
  around.err << printable(error.message) << "\n";
}

// How many of `words` name the command; 0 if they name none.
std::size_t command_length(const CommandTable& table, std::span<const std::string> words) {
  constexpr std::size_t kPathWordsMax = 3;
  std::string path;
  std::size_t length = 0;
  for (std::size_t i = 0; i < std::min(words.size(), kPathWordsMax); ++i) {
    path += (i == 0 ? "" : " ") + words[i];
    if (table.find(path) != nullptr) length = i + 1;
  }
  return length;
}

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool asks_for_help(const std::string& word) {
  return word == "-h" || word == "-help" || word == "--help";
}

// Words that are no command: a group by itself, help for a group, or a slip of the pen.
int run_no_command(const CommandTable& table, std::span<const std::string> words,
                   Surroundings& around) {
  if (words.empty()) {
    around.err << overview_help(table);
    return kExitLocal;
  }
  if (asks_for_help(words[0])) {
    around.out << overview_help(table);
    return kExitOk;
  }
  if (words[0] == "-v" || words[0] == "-version" || words[0] == "--version") {
    around.out << "Curfew " << table.version << "\n";
    return kExitOk;
  }
  // A group's own name may be followed by flags, but not by a command of another group.
  for (std::size_t length = std::min<std::size_t>(words.size(), 2); length > 0; --length) {
    const CommandGroup* group = table.find_group(joined(words.first(length)));
    if (group == nullptr) continue;
    if (words.size() > length && asks_for_help(words[length])) {
      around.out << group_help(table, *group);
      return kExitOk;
    }
    if (words.size() == length) {
      around.err << group_help(table, *group);
      return kExitLocal;
    }
    around.err << "There is no command \"" << printable(joined(words.first(length + 1))) << "\"."
               << suggestion(table, words.first(length + 1)) << " See: curfew " << group->name
               << " -help\n";
    return kExitLocal;
  }
  if (words[0].starts_with('-')) {
    around.err << "The flag \"" << printable(words[0])
               << "\" stands before the command and is not one of those that all commands take. "
                  "See: curfew help\n";
    return kExitLocal;
  }
  around.err << "There is no command \"" << printable(words[0]) << "\"."
             << suggestion(table, words.first(1)) << " See: curfew help\n";
  return kExitLocal;
}

Status check_words(const Command& command, const Arguments& arguments) {
  const std::size_t count = arguments.words().size();
  if (count >= command.words.min && count <= command.words.max) return ok();
  const std::string what = count < command.words.min ? "too few" : "too many";
  return local_error(what + " arguments: it takes `curfew " + command.path + " " +
                     command.synopsis + "`");
}

Result<Format> format_for(const Arguments& arguments, const Surroundings& around) {
  std::string text = arguments.text("format");
  if (text.empty()) text = first_set(around, {"CURFEW_FORMAT", "VAULT_FORMAT"});
  return parse_format(text.empty() ? "table" : text);
}

Result<int> run_with_server(const Command& command, Call call) {
  ASSIGN_OR_RETURN(Settings settings, load_settings(call.arguments, call.around));
  settings.http.user_agent = "curfew/" + call.table.version;
  ApiClient api(std::move(settings), call.around);
  call.api_or_null = &api;
  Result<int> code = command.run(call);
  if (!code && api.printed_curl()) return kExitOk;
  return code;
}

int run_command(const CommandTable& table, const Command& command,
                std::span<const std::string> words, Surroundings& around) {
  std::vector<Flag> flags = command.flags;
  for (Flag& flag : common_flags(command.local)) flags.push_back(std::move(flag));
  const auto misuse = [&](const Error& error) {
    around.err << "curfew " << command.path << ": " << printable(error.message) << ".\nSee: curfew "
               << command.path << " -help\n";
    return kExitLocal;
  };
  const Result<Arguments> arguments = parse_arguments(flags, words);
  if (!arguments) return misuse(arguments.error());
  if (arguments->wants_help()) {
    around.out << command_help(command);
    return kExitOk;
  }
  if (Status enough = check_words(command, *arguments); !enough) return misuse(enough.error());
  const Result<Format> format = format_for(*arguments, around);
  if (!format) return misuse(format.error());

  Printer print(*format, arguments->text("field"), around);
  Call call{table, *arguments, around, print, nullptr};
  const Result<int> code = command.local ? command.run(call) : run_with_server(command, call);
  if (!code) {
    report(around, code.error());
    return exit_code(code.error());
  }
  around.out.flush();
  if (!around.out) {
    around.err << "The result could not be written to standard output.\n";
    return kExitLocal;
  }
  return *code;
}

}  // namespace

CommandTable make_command_table(const CliOptions& options) {
  CommandTable table;
  table.version = options.version;
  add_basic_commands(table);
  add_login_commands(table);
  add_kv_commands(table);
  add_kv_metadata_commands(table);
  add_lease_commands(table);
  add_quarantine_commands(table);
  add_incident_commands(table);
  add_observe_commands(table);
  add_reconcile_commands(table);
  add_token_commands(table);
  add_policy_commands(table);
  add_secrets_commands(table);
  add_auth_commands(table);
  add_audit_commands(table);
  add_agent_commands(table);
  add_approval_commands(table);
  add_request_commands(table);
  add_watch_commands(table);
  add_namespace_commands(table);
  add_clock_commands(table);
  add_operator_commands(table);
  add_rekey_commands(table);
  add_generate_root_commands(table);
  add_target_commands(table);
  add_local_commands(table);
  for (const Command& command : options.more_commands) table.commands.push_back(command);
  return table;
}

int run_cli(const std::vector<std::string>& words, const CliOptions& options,
            Surroundings& around) try {
  const CommandTable table = make_command_table(options);
  // Flags of all commands may stand before the command's name.
  std::vector<Flag> global = common_flags(false);
  global.push_back(field_flag());
  const std::size_t ahead = leading_flags(global, words);
  const std::span<const std::string> rest = std::span(words).subspan(ahead);
  const std::size_t length = command_length(table, rest);
  if (length == 0) return run_no_command(table, rest, around);
  const Command* command = table.find(joined(rest.first(length)));
  std::vector<std::string> arguments(words.begin(),
                                     words.begin() + static_cast<std::ptrdiff_t>(ahead));
  arguments.insert(arguments.end(), rest.begin() + static_cast<std::ptrdiff_t>(length), rest.end());
  return run_command(table, *command, arguments, around);
} catch (const std::exception& failure) {
  around.err << "The command failed: " << failure.what() << "\n";
  return kExitLocal;
}

int run_cli(int argc, const char* const* argv, const CliOptions& options) {
  Surroundings around = system_surroundings();
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  return run_cli(words, options, around);
}

}  // namespace curfew::cli
