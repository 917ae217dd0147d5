#include "base/hcl_section.h"

#include <fmt/format.h>

#include <charconv>

#include "base/duration.h"

namespace curfew::hcl {

Error Section::error_here(Position at, std::string_view message) const {
  if (what_.empty()) return error_at(at, message);
  return {Errc::kInvalidArgument, fmt::format("{}: {}: {}", what_, to_string(at), message)};
}

Error Section::error(std::string_view name, std::string_view message) const {
  return error_here(position(name), message);
}

Error Section::wrong_kind(const Value& value, std::string_view name,
                          std::string_view expected) const {
  return error_here(value.at,
                    fmt::format("{}: expected {}, got {}", name, expected, kind_name(value.kind)));
}

Position Section::position(std::string_view name) const {
  for (const Item& item : object_.items)
    if (item.keys[0].text == name) return item.keys[0].at;
  return object_.at;
}

Result<const Value*> Section::value(std::string_view name) {
  known_.emplace(name);
  const Value* found = nullptr;
  for (const Item& item : object_.items) {
    if (item.keys[0].text != name) continue;
    if (item.keys.size() > 1)
      return error_here(item.keys[1].at, fmt::format("expected \"=\" or \"{{\" behind {}, which "
                                                     "takes no label",
                                                     name));
    if (found != nullptr)
      return error_here(item.keys[0].at, fmt::format("{} is set twice; it is first set at {}", name,
                                                     to_string(position(name))));
    found = &item.value;
  }
  return found;
}

Result<std::optional<std::string>> Section::text(std::string_view name) {
  ASSIGN_OR_RETURN(const Value* found, value(name));
  if (found == nullptr) return std::optional<std::string>{};
  if (found->kind == Kind::kBool)
    return std::optional<std::string>(found->boolean ? "true" : "false");
  if (found->kind != Kind::kText && found->kind != Kind::kNumber)
    return wrong_kind(*found, name, "a string");
  return std::optional{found->text};
}

Result<std::optional<std::int64_t>> Section::integer(std::string_view name) {
  ASSIGN_OR_RETURN(const Value* found, value(name));
  if (found == nullptr) return std::optional<std::int64_t>{};
  if (found->kind != Kind::kText && found->kind != Kind::kNumber)
    return wrong_kind(*found, name, "a whole number");
  std::string_view digits = found->text;
  const bool hex = found->kind == Kind::kNumber && digits.starts_with("0x");
  if (hex) digits.remove_prefix(2);
  std::int64_t number = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, problem] = std::from_chars(digits.data(), last, number, hex ? 16 : 10);
  if (problem != std::errc{} || end != last)
    return error_here(found->at, fmt::format("{}: expected a whole number", name));
  return std::optional{number};
}

Result<std::optional<bool>> Section::boolean(std::string_view name) {
  ASSIGN_OR_RETURN(const Value* found, value(name));
  if (found == nullptr) return std::optional<bool>{};
  if (found->kind == Kind::kBool) return std::optional{found->boolean};
  if (found->text == "true" || found->text == "1") return std::optional{true};
  if (found->text == "false" || found->text == "0") return std::optional{false};
  return error_here(found->at, fmt::format("{}: expected true or false", name));
}

Result<std::optional<Millis>> Section::duration(std::string_view name) {
  ASSIGN_OR_RETURN(const Value* found, value(name));
  if (found == nullptr) return std::optional<Millis>{};
  if (found->kind != Kind::kText && found->kind != Kind::kNumber)
    return wrong_kind(*found, name, "a duration");
  const auto parsed = parse_duration(found->text);
  if (!parsed || *parsed < Millis{0} || found->text.empty())
    return error_here(found->at, fmt::format("{}: expected a duration: a number of seconds, or a "
                                             "text such as \"15m\", not negative",
                                             name));
  return std::optional{*parsed};
}

Result<std::optional<std::vector<std::string>>> Section::text_list(std::string_view name) {
  ASSIGN_OR_RETURN(const Value* found, value(name));
  if (found == nullptr) return std::optional<std::vector<std::string>>{};
  if (found->kind != Kind::kList) return wrong_kind(*found, name, "a list of strings");
  std::vector<std::string> out;
  for (const Value& element : found->list) {
    if (element.kind != Kind::kText) return wrong_kind(element, name, "a list of strings");
    out.push_back(element.text);
  }
  return std::optional{std::move(out)};
}

Result<std::string> Section::text_or(std::string_view name, std::string fallback) {
  ASSIGN_OR_RETURN(auto found, text(name));
  return found ? std::move(*found) : std::move(fallback);
}

Result<std::int64_t> Section::integer_or(std::string_view name, std::int64_t fallback) {
  ASSIGN_OR_RETURN(auto found, integer(name));
  return found.value_or(fallback);
}

Result<bool> Section::boolean_or(std::string_view name, bool fallback) {
  ASSIGN_OR_RETURN(auto found, boolean(name));
  return found.value_or(fallback);
}

Result<Millis> Section::duration_or(std::string_view name, Millis fallback) {
  ASSIGN_OR_RETURN(auto found, duration(name));
  return found.value_or(fallback);
}

Result<std::optional<Block>> Section::block(std::string_view name) {
  ASSIGN_OR_RETURN(const auto found, blocks(name));
  if (found.empty()) return std::optional<Block>{};
  if (found.size() > 1)
    return error_here(found[1].at, fmt::format("{} is set twice; it is first set at {}", name,
                                               to_string(found[0].at)));
  return std::optional{found[0]};
}

Result<std::vector<Block>> Section::blocks(std::string_view name) {
  known_.emplace(name);
  std::vector<Block> out;
  for (const Item& item : object_.items) {
    if (item.keys[0].text != name) continue;
    if (item.keys.size() > 1)
      return error_here(item.keys[1].at, fmt::format("expected \"{{\" behind {}, which takes no "
                                                     "label",
                                                     name));
    const Position at = item.keys[0].at;
    if (item.value.kind == Kind::kObject) {
      out.push_back({"", at, &item.value});
      continue;
    }
    if (item.value.kind != Kind::kList || item.value.list.empty())
      return wrong_kind(item.value, name, "an object");
    for (const Value& element : item.value.list) {
      if (element.kind != Kind::kObject) return wrong_kind(element, name, "an object");
      out.push_back({"", element.at, &element});
    }
  }
  return out;
}

// The labels of `name = {"label" = {…}}`, one level below the name.
Status Section::add_labelled(std::string_view name, const Value& value,
                             std::vector<Block>& out) const {
  for (const Item& item : value.items) {
    const Key& label = item.keys[0];
    if (item.keys.size() > 1)
      return error_here(item.keys[1].at, fmt::format("expected one label behind {}", name));
    if (item.value.kind == Kind::kObject) {
      out.push_back({label.text, label.at, &item.value});
      continue;
    }
    const std::string expected = fmt::format("a block of the form {} \"…\" {{ … }}", name);
    if (item.value.kind != Kind::kList || item.value.list.empty())
      return wrong_kind(item.value, name, expected);
    for (const Value& element : item.value.list) {
      if (element.kind != Kind::kObject) return wrong_kind(element, name, expected);
      out.push_back({label.text, label.at, &element});
    }
  }
  return ok();
}

Result<std::vector<Block>> Section::labelled_blocks(std::string_view name) {
  known_.emplace(name);
  std::vector<Block> out;
  for (const Item& item : object_.items) {
    if (item.keys[0].text != name) continue;
    if (item.keys.size() > 2)
      return error_here(item.keys[2].at,
                        fmt::format("expected \"{{\" behind the label of {}", name));
    if (item.keys.size() == 2) {
      // The parser gives a block, which is an object, behind several keys.
      out.push_back({item.keys[1].text, item.keys[1].at, &item.value});
      continue;
    }
    if (item.value.kind == Kind::kObject) {
      RETURN_IF_ERROR(add_labelled(name, item.value, out));
      continue;
    }
    const std::string expected = fmt::format("a block of the form {} \"…\" {{ … }}", name);
    if (item.value.kind != Kind::kList || item.value.list.empty())
      return wrong_kind(item.value, name, expected);
    for (const Value& element : item.value.list) {
      if (element.kind != Kind::kObject) return wrong_kind(element, name, expected);
      RETURN_IF_ERROR(add_labelled(name, element, out));
    }
  }
  return out;
}

Status Section::finish() const {
  for (const Item& item : object_.items) {
    const Key& key = item.keys[0];
    if (known_.contains(key.text)) continue;
    std::string names;
    for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
    const std::string prefix = what_.empty() ? "" : what_ + ": ";
    return Error{Errc::kInvalidArgument,
                 fmt::format("{}invalid key \"{}\" on {}: expected one of {}", prefix,
                             std::string_view(key.text).substr(0, 64), to_string(key.at), names)};
  }
  return ok();
}

}  // namespace curfew::hcl
