#include "cli/help.h"

#include <algorithm>
#include <map>

namespace curfew::cli {

namespace {

constexpr std::size_t kLineWidth = 88;

// Breaks `text` at blanks, each line behind `margin` blanks.
std::string wrapped(std::string_view text, std::size_t margin) {
  std::string out;
  std::string line(margin, ' ');
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t blank = std::min(text.find(' ', start), text.size());
    const std::string_view word = text.substr(start, blank - start);
    if (line.size() > margin && line.size() + 1 + word.size() > kLineWidth) {
      out += line + "\n";
      line.assign(margin, ' ');
    }
    if (line.size() > margin) line += ' ';
    line += word;
    start = blank + 1;
  }
  return out + line + "\n";
}

std::string flag_lines(std::span<const Flag> flags) {
  std::string text;
  for (const Flag& flag : flags) {
    std::string line = "  ";
    for (std::size_t i = 0; i < flag.names.size(); ++i) {
      line += (i == 0 ? "-" : ", -") + flag.names[i];
    }
    if (!flag.choices.empty()) {
      line += "=";
      for (std::size_t i = 0; i < flag.choices.size(); ++i) {
        line += (i == 0 ? "" : "|") + flag.choices[i];
      }
    } else if (flag.kind == FlagKind::kWait) {
      line += "[=DURATION]";
    } else if (flag.kind != FlagKind::kSwitch) {
      line += "=" + (flag.placeholder.empty() ? "VALUE" : flag.placeholder);
    }
    text += line + "\n" + wrapped(flag.description, 6);
  }
  return text;
}

std::string aligned(const std::vector<std::pair<std::string, std::string>>& lines) {
  std::size_t width = 0;
  for (const auto& [name, summary] : lines) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, summary] : lines) {
    text += "  " + name + std::string(width - name.size() + 3, ' ') + summary + "\n";
  }
  return text;
}

}  // namespace

std::string overview_help(const CommandTable& table) {
  std::vector<std::pair<std::string, std::string>> single;
  std::vector<std::pair<std::string, std::string>> groups;
  for (const Command& command : table.commands) {
    if (command.path.find(' ') == std::string::npos) {
      single.emplace_back(command.path, command.summary);
    }
  }
  for (const CommandGroup& group : table.groups) {
    if (group.name.find(' ') == std::string::npos) groups.emplace_back(group.name, group.summary);
  }
  return "Usage: curfew COMMAND [flags] [arguments]\n\nCommands:\n" + aligned(single) +
         "\nGroups of commands:\n" + aligned(groups) +
         "\nThe server is named by CURFEW_ADDR (https://127.0.0.1:8200 if unset), the token by\n"
         "CURFEW_TOKEN or `curfew login`. `curfew help COMMAND` says more.\n";
}

std::string group_help(const CommandTable& table, const CommandGroup& group) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Command& command : table.commands) {
    if (command.path.starts_with(group.name + " "))
      lines.emplace_back(command.path, command.summary);
  }
  return "Usage: curfew " + group.name + " COMMAND [flags] [arguments]\n\n" +
         wrapped(group.summary, 2) + "\nCommands:\n" + aligned(lines) +
         "\n`curfew help COMMAND` says more.\n";
}

std::string command_help(const Command& command) {
  std::string text = "Usage: curfew " + command.path;
  if (!command.synopsis.empty()) text += " " + command.synopsis;
  text += "\n\n" + wrapped(command.summary, 2);
  if (!command.details.empty()) text += "\n" + command.details;
  if (!text.ends_with('\n')) text += '\n';
  if (!command.flags.empty()) text += "\nFlags:\n" + flag_lines(command.flags);
  return text + "\nFlags of all commands:\n" + flag_lines(common_flags(command.local));
}

std::string suggestion(const CommandTable& table, std::span<const std::string> words) {
  std::string typed;
  for (const std::string& word : words) typed += (typed.empty() ? "" : " ") + word;
  std::vector<std::string> known;
  for (const Command& command : table.commands) known.push_back(command.path);
  for (const CommandGroup& group : table.groups) known.push_back(group.name);
  const std::string near = nearest(typed, known);
  return near.empty() ? "" : " Did you mean `curfew " + near + "`?";
}

}  // namespace curfew::cli
