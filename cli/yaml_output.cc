#include <algorithm>
#include <cctype>

#include "cli/text_output.h"

namespace curfew::cli {

namespace {

// True for words that need no quotes in any schema: they begin with a letter, hold nothing that
// means something in YAML, and are no boolean, null or number under another name.
bool is_plain(const std::string& text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  const bool simple = std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '/';
  });
  if (!simple) return false;
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kReserved[] = {"true", "false", "yes", "no",  "on", "off",
                                            "null", "y",     "n",   "nan", "inf"};
  return std::ranges::find(kReserved, lower) == std::end(kReserved);
}

// A JSON string is a double-quoted YAML string too.
std::string scalar(const OrderedJson& value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) {
    return value.get<std::string>();
  }
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void append(const OrderedJson& value, std::size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  for (const auto& [name, member] : value.items()) {
    out += margin + (value.is_object() ? scalar(OrderedJson(name)) + ":" : "-");
    if (!member.is_structured() || member.empty()) {
      out += " " + scalar(member) + "\n";
    } else if (value.is_object()) {
      out += "\n";
      append(member, indent + 2, out);
    } else {
      // The element's first line stands behind its dash.
      std::string block;
      append(member, indent + 2, block);
      out += " " + block.substr(indent + 2);
    }
  }
}

}  // namespace

std::string yaml_text(const OrderedJson& value) {
  if (!value.is_structured() || value.empty()) return scalar(value) + "\n";
  std::string text;
  append(value, 0, text);
  return text;
}

}  // namespace curfew::cli
