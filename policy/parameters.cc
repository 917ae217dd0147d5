#include "policy/parameters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace curfew::policy {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool text_fits(std::string_view pattern, std::string_view text) {
  const bool open_start = pattern.starts_with('*');
  const bool open_end = pattern.size() > 1 && pattern.ends_with('*');
  if (open_start) pattern.remove_prefix(1);
  if (open_end) pattern.remove_suffix(1);
  if (open_start && open_end) return text.find(pattern) != std::string_view::npos;
  if (open_start) return text.ends_with(pattern);
  if (open_end) return text.starts_with(pattern);
  return text == pattern;
}

// A scalar as text, in a buffer that must outlive the result; nullopt for lists and objects.
using Buffer = std::array<char, 64>;
std::optional<std::string_view> scalar_text(const Json& value, Buffer& buffer) {
  std::to_chars_result end{buffer.data(), std::errc{}};
  switch (value.type()) {
    case Json::value_t::string: return std::string_view(value.get_ref<const std::string&>());
    case Json::value_t::boolean: return value.get<bool>() ? "true" : "false";
    case Json::value_t::null: return "";
    case Json::value_t::number_integer:
      end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value.get<std::int64_t>());
      break;
    case Json::value_t::number_unsigned:
      end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value.get<std::uint64_t>());
      break;
    case Json::value_t::number_float:
      end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value.get<double>());
      break;
    default: return std::nullopt;
  }
  return std::string_view(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
}

bool fits(const Json& listed, const Json& value) {
  if (listed.is_string() && value.is_string())
    return text_fits(listed.get_ref<const std::string&>(), value.get_ref<const std::string&>());
  return listed == value;
}

bool fits_loosely(const Json& listed, const Json& value) {
  if (fits(listed, value)) return true;
  Buffer listed_buffer, value_buffer;
  const auto listed_text = scalar_text(listed, listed_buffer);
  const auto value_text = scalar_text(value, value_buffer);
  return listed_text && value_text && text_fits(*listed_text, *value_text);
}

}  // namespace

bool NameLess::operator()(std::string_view a, std::string_view b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return static_cast<unsigned char>(lower(x)) < static_cast<unsigned char>(lower(y));
  });
}

bool ParameterRules::add(std::string_view name, Values values) {
  return rules_.try_emplace(std::string(name), std::move(values)).second;
}

const ParameterRules::Values* ParameterRules::find(std::string_view name) const {
  const auto it = rules_.find(name);
  return it == rules_.end() ? nullptr : &it->second;
}

void ParameterRules::merge(const ParameterRules& other) {
  for (const auto& [name, theirs] : other.rules_) {
    const auto [it, is_new] = rules_.try_emplace(name, theirs);
    Values& ours = it->second;
    if (is_new || ours.empty()) continue;
    if (theirs.empty())
      ours.clear();
    else
      ours.insert(ours.end(), theirs.begin(), theirs.end());
  }
}

bool has_parameter(const Json& object, const std::string& name) {
  if (object.contains(name)) return true;
  for (auto it = object.begin(); it != object.end(); ++it) {
    const std::string& key = it.key();
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [](char given, char written) { return given == lower(written); }))
      return true;
  }
  return false;
}

bool value_is_listed(const Json& value, const std::vector<Json>& allowed) {
  return allowed.empty() || std::any_of(allowed.begin(), allowed.end(),
                                        [&](const Json& listed) { return fits(listed, value); });
}

bool value_is_denied(const Json& value, const std::vector<Json>& denied) {
  if (denied.empty()) return true;
  if (std::any_of(denied.begin(), denied.end(),
                  [&](const Json& listed) { return fits_loosely(listed, value); }))
    return true;
  return value.is_array() && std::any_of(value.begin(), value.end(), [&](const Json& element) {
           return value_is_denied(element, denied);
         });
}

}  // namespace curfew::policy
