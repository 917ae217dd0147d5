#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::cli {

enum class FlagKind {
  kSwitch,    // -force, -force=false; never takes the next word
  kText,      // -field=x or -field x; the last one counts
  kInteger,   // a whole number
  kDuration,  // "90", "15m", "1h30m"
  kWait,      // -wait or -wait=5m; never takes the next word
  kList,      // may be repeated
};

// Whether the value may be the next word.
bool takes_next_word(FlagKind kind);

// One flag of a command. One dash or two, before or after the other arguments.
struct Flag {
  std::vector<std::string> names;  // without dashes; the first is the one that help shows
  FlagKind kind = FlagKind::kText;
  std::string description;
  std::string placeholder = {};           // how help calls the value: "PATH"
  std::vector<std::string> choices = {};  // if not empty, the values that are accepted
};

// What one command was given. Values were checked against the kind of their flag. Flags are asked
// for by their first name.
class Arguments {
 public:
  bool has(std::string_view flag) const { return values_.contains(flag); }
  bool on(std::string_view flag, bool fallback = false) const;
  std::string text(std::string_view flag, std::string fallback = {}) const;
  std::optional<std::int64_t> integer(std::string_view flag) const;
  std::optional<Millis> duration(std::string_view flag) const;
  std::vector<std::string> list(std::string_view flag) const;

  // The words that are not flags, in order.
  const std::vector<std::string>& words() const { return words_; }
  bool wants_help() const { return help_; }

 private:
  friend class ArgumentParser;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> words_;
  bool help_ = false;
};

// Reads `words`, the command line after the command's name. "--" ends the flags; "-" is a word.
// kInvalidArgument: an unknown flag (with the nearest known one), a missing or malformed value.
Result<Arguments> parse_arguments(std::span<const Flag> flags, std::span<const std::string> words);

// How many words at the start of `words` are flags of `flags` with their values.
std::size_t leading_flags(std::span<const Flag> flags, std::span<const std::string> words);

// The nearest of `candidates` by edit distance, "" if none is near enough to be meant.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace curfew::cli
