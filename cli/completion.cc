#include <algorithm>
#include <map>
#include <set>

#include "cli/help.h"

namespace curfew::cli {

namespace {

// What may follow each beginning of a command: "" -> read, kv, …; "kv" -> get, put, ….
using NextWords = std::map<std::string, std::set<std::string>>;

NextWords next_words(const CommandTable& table) {
  NextWords next;
  for (const Command& command : table.commands) {
    std::string before;
    std::size_t start = 0;
    while (start <= command.path.size()) {
      const std::size_t blank = std::min(command.path.find(' ', start), command.path.size());
      const std::string word = command.path.substr(start, blank - start);
      next[before].insert(word);
      before += (before.empty() ? "" : " ") + word;
      start = blank + 1;
    }
  }
  return next;
}

std::vector<Flag> all_flags(const Command& command) {
  std::vector<Flag> flags = command.flags;
  for (Flag& flag : common_flags(command.local)) flags.push_back(std::move(flag));
  return flags;
}

std::string flag_words(const Command& command) {
  std::string words = "-help";
  for (const Flag& flag : all_flags(command)) {
    for (const std::string& name : flag.names) {
      words += " -" + name + (takes_next_word(flag.kind) ? "=" : "");
    }
  }
  return words;
}

// One line of a case statement for each beginning: what may follow it, and its flags.
std::string shell_cases(const CommandTable& table) {
  std::map<std::string, std::string> lines;
  for (const auto& [before, words] : next_words(table)) {
    std::string joined;
    for (const std::string& word : words) joined += (joined.empty() ? "" : " ") + word;
    lines[before] += " words='" + joined + "'";
  }
  for (const Command& command : table.commands) {
    lines[command.path] += " flags='" + flag_words(command) + "'";
  }
  std::string cases;
  for (const auto& [path, settings] : lines) cases += "    '" + path + "')" + settings + " ;;\n";
  return cases;
}

// Walks the words before the cursor: `path` grows while the words name commands.
std::string shell_function(const CommandTable& table) {
  return "_curfew_words() {\n"
         "  case \"$1\" in\n" +
         shell_cases(table) +
         "  esac\n"
         "}\n"
         "_curfew_complete() {\n"
         "  local current=\"$1\" path='' words='' flags='' word next\n"
         "  shift\n"
         "  _curfew_words ''\n"
         "  for word in \"$@\"; do\n"
         "    case \"$word\" in -*) continue ;; esac\n"
         "    case \" $words \" in *\" $word \"*) ;; *) break ;; esac\n"
         "    next=\"${path:+$path }$word\"\n"
         "    path=\"$next\" words='' flags=''\n"
         "    _curfew_words \"$path\"\n"
         "  done\n"
         "  case \"$current\" in\n"
         "    -*) printf '%s\\n' $flags ;;\n"
         "    *) printf '%s\\n' $words ;;\n"
         "  esac\n"
         "}\n";
}

std::string bash_script(const CommandTable& table) {
  return "# Completion of curfew for bash: eval \"$(curfew completion bash)\"\n" +
         shell_function(table) +
         "_curfew() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
         "  COMPREPLY=($(compgen -W \"$(_curfew_complete \"$current\" "
         "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\" -- \"$current\"))\n"
         "  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi\n"
         "}\n"
         "complete -F _curfew curfew\n";
}

std::string zsh_script(const CommandTable& table) {
  return "#compdef curfew\n"
         "# Completion of curfew for zsh: source <(curfew completion zsh)\n" +
         shell_function(table) +
         "_curfew() {\n"
         "  setopt local_options sh_word_split\n"
         "  local -a candidates\n"
         "  candidates=(${(f)\"$(_curfew_complete \"${words[CURRENT]}\" "
         "\"${(@)words[2,CURRENT-1]}\")\"})\n"
         "  compadd -a candidates\n"
         "}\n"
         "compdef _curfew curfew\n";
}

std::string fish_quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fish_script(const CommandTable& table) {
  std::string script =
      "# Completion of curfew for fish: curfew completion fish | source\n"
      "function __curfew_at\n"
      "  set -l typed (commandline -opc)\n"
      "  set -l path (string match -v -- '-*' $typed[2..-1])\n"
      "  test (string join ' ' -- $path) = \"$argv[1]\"\n"
      "end\n"
      "function __curfew_under\n"
      "  set -l typed (commandline -opc)\n"
      "  set -l path (string join ' ' -- (string match -v -- '-*' $typed[2..-1]))\n"
      "  test \"$path\" = \"$argv[1]\"; or string match -q -- \"$argv[1] *\" \"$path\"\n"
      "end\n";
  for (const auto& [before, words] : next_words(table)) {
    for (const std::string& word : words) {
      const std::string path = before.empty() ? word : before + " " + word;
      const Command* command = table.find(path);
      const CommandGroup* group = table.find_group(path);
      const std::string summary = command != nullptr ? command->summary
                                  : group != nullptr ? group->summary
                                                     : "";
      script += "complete -c curfew -f -n " + fish_quote("__curfew_at " + fish_quote(before)) +
                " -a " + word + " -d " + fish_quote(summary) + "\n";
    }
  }
  for (const Command& command : table.commands) {
    for (const Flag& flag : all_flags(command)) {
      script += "complete -c curfew -n " +
                fish_quote("__curfew_under " + fish_quote(command.path)) + " -o " +
                flag.names.front() + (takes_next_word(flag.kind) ? " -r" : "") + " -d " +
                fish_quote(flag.description) + "\n";
    }
  }
  return script;
}

}  // namespace

std::string completion_script(const CommandTable& table, std::string_view shell) {
  if (shell == "bash") return bash_script(table);
  if (shell == "zsh") return zsh_script(table);
  if (shell == "fish") return fish_script(table);
  return "";
}

}  // namespace curfew::cli
