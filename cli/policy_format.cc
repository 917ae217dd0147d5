#include "cli/policy_format.h"

#include <algorithm>
#include <vector>

namespace curfew::cli {

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// One line at a time, with what has to be remembered between lines.
class PolicyFormatter {
 public:
  std::string format(std::string_view text) {
    for (const std::string_view line : lines_of(text)) add(line);
    while (out_.ends_with("\n\n")) out_.pop_back();
    return out_;
  }

 private:
  void add(std::string_view line) {
    if (!here_end_.empty()) {
      out_ += std::string(line) + "\n";
      if (trimmed(line) == here_end_) here_end_.clear();
      return;
    }
    const bool comment_goes_on = in_comment_;
    line = trimmed(line);
    if (line.empty()) {
      if (!out_.empty() && !out_.ends_with("\n\n")) out_ += "\n";
      return;
    }
    int closing = 0;  // brackets that this line begins with belong to the line that opened them
    while (static_cast<std::size_t>(closing) < line.size() && !comment_goes_on &&
           (line[closing] == '}' || line[closing] == ']')) {
      ++closing;
    }
    const int indent = std::max(0, depth_ - closing);
    const std::string content = scan(line);
    out_ += std::string(static_cast<std::size_t>(2 * indent), ' ') + content + "\n";
  }

  // Counts brackets outside strings and comments, and sets the blanks around "=".
  std::string scan(std::string_view line) {
    std::string shown;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string_view rest = line.substr(i);
      if (in_comment_) {
        shown += line[i];
        if (rest.starts_with("*/")) {
          shown += line[++i];
          in_comment_ = false;
        }
      } else if (rest.starts_with('#') || rest.starts_with("//")) {
        return shown + std::string(rest);
      } else if (rest.starts_with("/*")) {
        shown += "/*";
        ++i;
        in_comment_ = true;
      } else if (line[i] == '"') {
        const std::size_t end = string_end(line, i);
        shown += line.substr(i, end - i);
        i = end - 1;
      } else if (rest.starts_with("<<")) {
        here_end_ = trimmed(rest.substr(rest.starts_with("<<-") ? 3 : 2));
        return shown + std::string(rest);
      } else if (line[i] == '=') {
        while (shown.ends_with(' ') || shown.ends_with('\t')) shown.pop_back();
        shown += " = ";
        while (i + 1 < line.size() && (line[i + 1] == ' ' || line[i + 1] == '\t')) ++i;
      } else {
        if (line[i] == '{' || line[i] == '[') ++depth_;
        if (line[i] == '}' || line[i] == ']') depth_ = std::max(0, depth_ - 1);
        shown += line[i];
      }
    }
    return std::string(trimmed(shown));
  }

  // The place behind the closing quote, or the line's end.
  static std::size_t string_end(std::string_view line, std::size_t start) {
    for (std::size_t i = start + 1; i < line.size(); ++i) {
      if (line[i] == '\\') {
        ++i;
      } else if (line[i] == '"') {
        return i + 1;
      }
    }
    return line.size();
  }

  std::string out_;
  int depth_ = 0;
  bool in_comment_ = false;
  std::string here_end_;
};

}  // namespace

std::string format_policy(std::string_view text) {
  return PolicyFormatter().format(text);
}

}  // namespace curfew::cli
