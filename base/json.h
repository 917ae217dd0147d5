#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace curfew {

using Json = nlohmann::json;

struct JsonLimits {
  std::size_t depth_max = 64;
  std::size_t values_max = 100'000;  // objects, arrays, keys and scalars together
};

// One JSON text. Duplicate keys: the last one counts. Errors name line and column, never the text.
// kInvalidArgument: not JSON, too deep, too many values, or not UTF-8.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// Compact text; bytes that are not UTF-8 are replaced, so this never fails.
std::string dump_json(const Json& value);

// Reads the members of a request body the way Vault's clients send them: numbers may come as
// strings and strings as numbers, lists as arrays or comma-separated, durations as "15m", "900" or
// 900. Each getter gives nullopt for a member that is absent or null, and kInvalidArgument, naming
// the member and what was expected, for one that cannot be read. Does not own the object.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool has(std::string_view name) const;
  Result<std::optional<std::string>> text(std::string_view name) const;
  Result<std::optional<std::int64_t>> integer(std::string_view name) const;
  Result<std::optional<bool>> boolean(std::string_view name) const;
  Result<std::optional<Millis>> duration(std::string_view name) const;  // >= 0
  // ["a","b"] or "a,b"; parts are trimmed, empty ones dropped.
  Result<std::optional<std::vector<std::string>>> comma_list(std::string_view name) const;
  // ["a","b"]; a bare string is one element; a string that is itself a JSON array is that array.
  Result<std::optional<std::vector<std::string>>> string_list(std::string_view name) const;
  // {"a":"b"}, or a list of "a=b".
  Result<std::optional<std::map<std::string, std::string>>> text_map(std::string_view name) const;
  // The member itself, if it is an object.
  Result<std::optional<Json>> object(std::string_view name) const;

  // As above with a default; the error stays an error.
  Result<std::string> text_or(std::string_view name, std::string fallback) const;
  Result<bool> boolean_or(std::string_view name, bool fallback) const;
  Result<std::int64_t> integer_or(std::string_view name, std::int64_t fallback) const;
  Result<Millis> duration_or(std::string_view name, Millis fallback) const;

 private:
  const Json* find(std::string_view name) const;

  const Json& object_;
};

}  // namespace curfew
