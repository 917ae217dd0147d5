#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/duration.h"

namespace curfew {
namespace {

// Builds the value and stops at the limits: nlohmann's own parser has none.
class BoundedBuilder {
 public:
  explicit BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t&) { return add(value); }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool key(string_t& name) {
    key_ = std::move(name);
    return count();
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_at_ = position;
    return false;
  }

  Json take() { return std::move(root_); }
  const std::string& limit_error() const { return limit_error_; }
  std::size_t error_at() const { return error_at_; }

 private:
  bool count() {
    if (++values_ <= limits_.values_max) return true;
    limit_error_ = fmt::format("more than {} JSON values", limits_.values_max);
    return false;
  }

  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_object()) {
      Json& slot = parent[key_];
      slot = std::move(value);
      return &slot;
    }
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool add(Json value) {
    if (!count()) return false;
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (!count()) return false;
    if (stack_.size() >= limits_.depth_max) {
      limit_error_ = fmt::format("JSON nested deeper than {} levels", limits_.depth_max);
      return false;
    }
    stack_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  Json root_;
  // Pointers into root_: a parent's children move only when the parent grows, and then no child is
  // open.
  std::vector<Json*> stack_;
  std::string key_;
  std::size_t values_ = 0;
  std::size_t error_at_ = 0;
  std::string limit_error_;
};

Error wrong_type(std::string_view name, std::string_view expected) {
  return {Errc::kInvalidArgument, fmt::format("field \"{}\": expected {}", name, expected)};
}

std::optional<std::string> scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return value.dump();
  return std::nullopt;
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  const auto last = text.find_last_not_of(" \t\r\n");
  return std::string(text.substr(first, last - first + 1));
}

Result<std::vector<std::string>> texts_of(const Json& array, std::string_view name) {
  std::vector<std::string> out;
  for (const Json& item : array) {
    auto text = scalar_text(item);
    if (!text) return wrong_type(name, "a list of strings");
    out.push_back(std::move(*text));
  }
  return out;
}

Error parse_error_at(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto column = before.size() - (before.rfind('\n') + 1) + 1;
  return {Errc::kInvalidArgument,
          fmt::format("error parsing JSON at line {}, column {}", line, column)};
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  // No JSON text holds a zero byte; the parser would take one for the end.
  const std::size_t zero_byte = text.find('\0');
  if (zero_byte != std::string_view::npos) return parse_error_at(text, zero_byte);
  BoundedBuilder builder(limits);
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return builder.take();
  if (!builder.limit_error().empty()) return Error{Errc::kInvalidArgument, builder.limit_error()};
  // The parser counts what it has read, the character at fault included.
  return parse_error_at(text, builder.error_at() == 0 ? 0 : builder.error_at() - 1);
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* Fields::find(std::string_view name) const {
  if (!object_.is_object()) return nullptr;
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool Fields::has(std::string_view name) const {
  return find(name) != nullptr;
}

Result<std::optional<std::string>> Fields::text(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::string>{};
  auto text = scalar_text(*value);
  if (!text) return wrong_type(name, "a string");
  return text;
}

Result<std::optional<std::int64_t>> Fields::integer(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::int64_t>{};
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (number != std::floor(number) || std::abs(number) > 9.0e15)
      return wrong_type(name, "a whole number");
    return std::optional<std::int64_t>{static_cast<std::int64_t>(number)};
  }
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX)
    return wrong_type(name, "a whole number below 2^63");
  if (value->is_number_integer()) return std::optional<std::int64_t>{value->get<std::int64_t>()};
  if (value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    if (text.empty()) return std::optional<std::int64_t>{};
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size())
      return std::optional<std::int64_t>{number};
  }
  return wrong_type(name, "a whole number");
}

Result<std::optional<bool>> Fields::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<bool>{};
  if (value->is_boolean()) return std::optional<bool>{value->get<bool>()};
  const auto text = scalar_text(*value);
  if (text == "true" || text == "1" || text == "True" || text == "TRUE" || text == "t" ||
      text == "T")
    return std::optional<bool>{true};
  if (text == "false" || text == "0" || text == "False" || text == "FALSE" || text == "f" ||
      text == "F")
    return std::optional<bool>{false};
  if (text == "") return std::optional<bool>{};
  return wrong_type(name, "true or false");
}

Result<std::optional<Millis>> Fields::duration(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<Millis>{};
  const auto text = scalar_text(*value);
  if (text == "") return std::optional<Millis>{};
  if (!text || value->is_boolean()) return wrong_type(name, "a duration");
  auto parsed = parse_duration(*text);
  if (!parsed)
    return wrong_type(name, "a duration: a number of seconds or a value such as \"15m\"");
  if (*parsed < Millis{0}) return wrong_type(name, "a duration that is not negative");
  return std::optional<Millis>{*parsed};
}

Result<std::optional<std::vector<std::string>>> Fields::comma_list(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::vector<std::string>>{};
  std::vector<std::string> items;
  if (value->is_array()) {
    ASSIGN_OR_RETURN(items, texts_of(*value, name));
  } else {
    const auto text = scalar_text(*value);
    if (!text) return wrong_type(name, "a list of strings, or one string with commas");
    std::size_t start = 0;
    while (start <= text->size()) {
      const auto comma = std::min(text->find(',', start), text->size());
      items.push_back(text->substr(start, comma - start));
      start = comma + 1;
    }
  }
  std::vector<std::string> out;
  for (const std::string& item : items) {
    std::string part = trimmed(item);
    if (!part.empty()) out.push_back(std::move(part));
  }
  return std::optional{std::move(out)};
}

Result<std::optional<std::vector<std::string>>> Fields::string_list(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::vector<std::string>>{};
  if (value->is_array()) {
    ASSIGN_OR_RETURN(auto items, texts_of(*value, name));
    return std::optional{std::move(items)};
  }
  const auto text = scalar_text(*value);
  if (!text) return wrong_type(name, "a list of strings");
  if (text->empty()) return std::optional{std::vector<std::string>{}};
  if (text->front() == '[') {
    auto parsed = parse_json(*text);
    if (parsed && parsed->is_array()) {
      ASSIGN_OR_RETURN(auto items, texts_of(*parsed, name));
      return std::optional{std::move(items)};
    }
  }
  return std::optional{std::vector<std::string>{*text}};
}

Result<std::optional<std::map<std::string, std::string>>> Fields::text_map(
    std::string_view name) const {
  using Map = std::map<std::string, std::string>;
  const Json* value = find(name);
  if (value == nullptr) return std::optional<Map>{};
  Map out;
  if (value->is_object()) {
    for (const auto& [key, item] : value->items()) {
      auto text = scalar_text(item);
      if (!text) return wrong_type(name, "an object whose values are strings");
      out[key] = std::move(*text);
    }
    return std::optional{std::move(out)};
  }
  ASSIGN_OR_RETURN(auto items, string_list(name));
  for (const std::string& item : *items) {
    const auto equals = item.find('=');
    if (equals == std::string::npos) return wrong_type(name, "an object, or a list of key=value");
    out[item.substr(0, equals)] = item.substr(equals + 1);
  }
  return std::optional{std::move(out)};
}

Result<std::optional<Json>> Fields::object(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<Json>{};
  if (!value->is_object()) return wrong_type(name, "an object");
  return std::optional<Json>{*value};
}

Result<std::string> Fields::text_or(std::string_view name, std::string fallback) const {
  ASSIGN_OR_RETURN(auto value, text(name));
  return value ? std::move(*value) : std::move(fallback);
}

Result<bool> Fields::boolean_or(std::string_view name, bool fallback) const {
  ASSIGN_OR_RETURN(auto value, boolean(name));
  return value.value_or(fallback);
}

Result<std::int64_t> Fields::integer_or(std::string_view name, std::int64_t fallback) const {
  ASSIGN_OR_RETURN(auto value, integer(name));
  return value.value_or(fallback);
}

Result<Millis> Fields::duration_or(std::string_view name, Millis fallback) const {
  ASSIGN_OR_RETURN(auto value, duration(name));
  return value.value_or(fallback);
}

}  // namespace curfew
