#include "cli/arguments.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace curfew::cli {

namespace {

const Flag* find_flag(std::span<const Flag> flags, std::string_view name) {
  for (const Flag& flag : flags) {
    for (const std::string& known : flag.names) {
      if (known == name) return &flag;
    }
  }
  return nullptr;
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> to_boolean(std::string_view text) {
  if (text == "true" || text == "1" || text == "t") return true;
  if (text == "false" || text == "0" || text == "f") return false;
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

// A word such as "-format=json" taken apart.
struct FlagWord {
  std::string_view name;
  std::optional<std::string_view> value;
};

std::optional<FlagWord> as_flag(std::string_view word) {
  if (word.size() < 2 || word[0] != '-') return std::nullopt;
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return FlagWord{word, std::nullopt};
  return FlagWord{word.substr(0, equals), word.substr(equals + 1)};
}

Status check_value(const Flag& flag, const std::string& value) {
  const std::string name = "-" + flag.names.front();
  const auto wrong = [&](const std::string& expected) {
    return Error{Errc::kInvalidArgument,
                 "flag " + name + ": expected " + expected + ", got \"" + value + "\""};
  };
  switch (flag.kind) {
    case FlagKind::kSwitch:
      if (!to_boolean(value)) return wrong("true or false");
      break;
    case FlagKind::kInteger:
      if (!to_integer(value)) return wrong("a whole number");
      break;
    case FlagKind::kWait:
      if (value == "true") break;
      [[fallthrough]];
    case FlagKind::kDuration: {
      const Result<Millis> duration = parse_duration(value);
      if (!duration || *duration < Millis{0}) return wrong("a duration such as 90s, 15m or 1h30m");
      break;
    }
    case FlagKind::kText:
    case FlagKind::kList: break;
  }
  if (!flag.choices.empty() && std::ranges::find(flag.choices, value) == flag.choices.end()) {
    return wrong("one of " + joined(flag.choices, ", "));
  }
  return ok();
}

Error unknown_flag(std::span<const Flag> flags, std::string_view word, std::string_view name) {
  std::vector<std::string> known = {"help"};
  for (const Flag& flag : flags) known.insert(known.end(), flag.names.begin(), flag.names.end());
  const std::string near = nearest(name, known);
  std::string message = "there is no flag \"" + std::string(word.substr(0, word.find('='))) + "\"";
  if (!near.empty()) message += "; did you mean -" + near + "?";
  message += " (an argument that begins with a dash goes after --)";
  return {Errc::kInvalidArgument, message};
}

// Letters added, left out, replaced, or swapped with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row.back();
}

}  // namespace

bool takes_next_word(FlagKind kind) {
  return kind != FlagKind::kSwitch && kind != FlagKind::kWait;
}

class ArgumentParser {
 public:
  ArgumentParser(std::span<const Flag> flags, std::span<const std::string> words)
      : flags_(flags), words_(words) {}

  Result<Arguments> parse() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word == "--") {
        for (; next_ < words_.size(); ++next_) result_.words_.push_back(words_[next_]);
        break;
      }
      const std::optional<FlagWord> parts = as_flag(word);
      if (!parts) {
        result_.words_.push_back(word);
      } else if (parts->name == "h" || parts->name == "help") {
        result_.help_ = true;
      } else {
        RETURN_IF_ERROR(take(word, *parts));
      }
    }
    return std::move(result_);
  }

 private:
  Status take(const std::string& word, const FlagWord& parts) {
    const Flag* flag = find_flag(flags_, parts.name);
    if (flag == nullptr) return unknown_flag(flags_, word, parts.name);
    std::string value = "true";
    if (parts.value) {
      value = *parts.value;
    } else if (takes_next_word(flag->kind)) {
      if (next_ == words_.size()) {
        return Error{Errc::kInvalidArgument, "flag -" + flag->names.front() + " needs a value"};
      }
      value = words_[next_++];
    }
    RETURN_IF_ERROR(check_value(*flag, value));
    std::vector<std::string>& values = result_.values_[flag->names.front()];
    if (flag->kind != FlagKind::kList) values.clear();
    values.push_back(std::move(value));
    return ok();
  }

  std::span<const Flag> flags_;
  std::span<const std::string> words_;
  std::size_t next_ = 0;
  Arguments result_;
};

Result<Arguments> parse_arguments(std::span<const Flag> flags, std::span<const std::string> words) {
  return ArgumentParser(flags, words).parse();
}

std::size_t leading_flags(std::span<const Flag> flags, std::span<const std::string> words) {
  std::size_t count = 0;
  while (count < words.size()) {
    const std::optional<FlagWord> parts = as_flag(words[count]);
    if (!parts || words[count] == "--") break;
    const Flag* flag = find_flag(flags, parts->name);
    if (flag == nullptr) break;
    const bool takes_next = !parts->value && takes_next_word(flag->kind);
    if (takes_next && count + 1 == words.size()) break;
    count += takes_next ? 2 : 1;
  }
  return count;
}

bool Arguments::on(std::string_view flag, bool fallback) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? fallback : to_boolean(found->second.back()).value_or(fallback);
}

std::string Arguments::text(std::string_view flag, std::string fallback) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? fallback : found->second.back();
}

std::optional<std::int64_t> Arguments::integer(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? std::nullopt : to_integer(found->second.back());
}

std::optional<Millis> Arguments::duration(std::string_view flag) const {
  const auto found = values_.find(flag);
  if (found == values_.end()) return std::nullopt;
  const Result<Millis> duration = parse_duration(found->second.back());
  return duration ? std::optional(*duration) : std::nullopt;
}

std::vector<std::string> Arguments::list(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t kWordMax = 64;
  if (word.size() > kWordMax) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace curfew::cli
