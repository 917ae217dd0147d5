#include "cli/text_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/code_point.h"
#include "base/duration.h"

namespace curfew::cli {

namespace {

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<nil>";
  return value.dump();
}

// Characters rather than bytes, so that columns line up.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

void pad_to(std::string& line, std::size_t width) {
  const std::size_t now = width_of(line);
  if (now < width) line.append(width - now, ' ');
}

void append_pretty(const Json& value, std::size_t indent, std::string& out);

void append_pretty_member(const std::string& name, std::size_t name_width, const Json& value,
                          std::size_t indent, std::string& out) {
  std::string line = std::string(indent, ' ') + printable(name);
  const bool is_nested = value.is_structured() && !value.empty();
  if (is_nested) {
    out += line + ":\n";
    append_pretty(value, indent + 2, out);
    return;
  }
  pad_to(line, indent + name_width + 4);
  if (value.is_structured() || value.is_null()) {
    out += line + "-\n";
  } else if (names_duration(name)) {
    out += line + duration_text(value) + "\n";
  } else {
    out += line + printable(scalar_text(value)) + "\n";
  }
}

// Depth is bounded by the JSON that was read.
void append_pretty(const Json& value, std::size_t indent, std::string& out) {
  if (value.is_object()) {
    std::size_t name_width = 0;
    for (const auto& [name, member] : value.items()) {
      if (!member.is_structured()) name_width = std::max(name_width, width_of(printable(name)));
    }
    for (const auto& [name, member] : value.items()) {
      append_pretty_member(name, name_width, member, indent, out);
    }
    return;
  }
  if (value.is_array()) {
    for (const Json& element : value) {
      if (!element.is_structured()) {
        out += std::string(indent, ' ') + "- " + printable(scalar_text(element)) + "\n";
        continue;
      }
      std::string block;
      append_pretty(element, indent + 2, block);
      if (block.size() > indent + 2) block[indent] = '-';
      out += block;
    }
    return;
  }
  out += std::string(indent, ' ') + printable(scalar_text(value)) + "\n";
}

}  // namespace

const Json& member(const Json& object, std::string_view name) {
  static const Json nothing = nullptr;
  if (!object.is_object()) return nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string member_text(const Json& object, std::string_view name) {
  const Json& found = member(object, name);
  return found.is_string() ? found.get<std::string>() : std::string();
}

const Json& member_list(const Json& object, std::string_view name) {
  static const Json empty = Json::array();
  const Json& found = member(object, name);
  return found.is_array() ? found : empty;
}

std::string value_text(const Json& value) {
  if (!value.is_structured()) return scalar_text(value);
  std::string text = value.is_object() ? "map[" : "[";
  bool first = true;
  for (const auto& [name, member] : value.items()) {
    if (!first) text += ' ';
    first = false;
    if (value.is_object()) text += name + ":";
    text += value_text(member);
  }
  return text + "]";
}

std::string quoted_list(const Json& list) {
  if (!list.is_array()) return "[]";
  std::string text = "[";
  for (const Json& element : list) {
    if (text.size() > 1) text += ' ';
    text += element.is_string() ? dump_json(element) : value_text(element);
  }
  return text + "]";
}

std::string duration_text(const Json& value) {
  if (value.is_number_integer()) {
    constexpr std::int64_t kSecondsMax = 1'000'000'000'000;
    const auto seconds = value.get<std::int64_t>();
    if (seconds > kSecondsMax || seconds < -kSecondsMax) return value_text(value);
    return format_duration_short(Seconds{seconds});
  }
  if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
    const Result<Millis> parsed = parse_duration(value.get_ref<const std::string&>());
    if (parsed) return format_duration_short(*parsed);
  }
  return printable(value_text(value));
}

bool names_duration(std::string_view member) {
  constexpr std::array kWords = {"ttl", "period", "duration"};
  return member == "lease_max" || member == "ttl_max" ||
         std::ranges::any_of(kWords, [&](std::string_view word) {
           if (!member.ends_with(word)) return false;
           return member.size() == word.size() || member[member.size() - word.size() - 1] == '_';
         });
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    const std::size_t length = std::max<std::size_t>(c.length, 1);
    if (c.length == 0 || c.value == '\n' || c.value == '\t' || !misleads(c.value)) {
      shown += text.substr(0, length);
    } else {
      shown +=
          c.value < 0x100 ? fmt::format("\\x{:02x}", c.value) : fmt::format("\\u{{{:x}}}", c.value);
    }
    text.remove_prefix(length);
  }
  return shown;
}

std::string one_line(std::string_view text) {
  std::string line = printable(text);
  for (const auto& [raw, spelled] : {std::pair("\n", "\\n"), std::pair("\t", "\\t")})
    for (std::size_t at = 0; (at = line.find(raw, at)) != std::string::npos; at += 2)
      line.replace(at, 1, spelled);
  return line;
}

std::string plain_text(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    if (c.length != 0 && (c.value == '\n' || !misleads(c.value))) plain += text.substr(0, c.length);
    text.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  return plain;
}

std::string table_text(const std::vector<Row>& rows) {
  constexpr std::size_t kGap = 4;
  const std::size_t columns = rows.front().size();
  std::vector<Row> cells;
  cells.reserve(rows.size() + 1);
  for (const Row& row : rows) {
    Row shown;
    for (std::size_t i = 0; i < columns; ++i) {
      const bool filled = i < row.size() && !row[i].empty();
      shown.push_back(filled ? printable(row[i]) : "n/a");
    }
    cells.push_back(std::move(shown));
    if (cells.size() == 1) {
      Row line;
      for (const std::string& title : rows.front()) line.emplace_back(width_of(title), '-');
      cells.push_back(std::move(line));
    }
  }
  std::vector<std::size_t> widths(columns, 0);
  for (const Row& row : cells) {
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const Row& row : cells) {
    std::string line;
    std::size_t end = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      line += row[i];
      end += widths[i] + kGap;
      if (i + 1 < columns) pad_to(line, end);
    }
    text += line + "\n";
  }
  return text;
}

std::string json_text(const OrderedJson& value) {
  return value.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string pretty_text(const Json& value) {
  std::string text;
  append_pretty(value, 0, text);
  return text;
}

}  // namespace curfew::cli
