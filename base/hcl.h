#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

// The configuration language of policies, password policies and the server's own settings (HCL,
// version 1), and the same things written as JSON. base/hcl_section.h reads the result.
namespace curfew::hcl {

// Where something stands in the text; both count from 1, columns in characters.
struct Position {
  int line = 1;
  int column = 1;
  bool operator==(const Position&) const = default;
};

// "line 3, column 14"
std::string to_string(Position at);

enum class Kind { kText, kNumber, kBool, kList, kObject };

// For error messages: "a string", "a list", …
const char* kind_name(Kind kind);

struct Item;

// A value with the place where it begins. Plain data; copies are deep.
struct Value {
  Value() = default;
  explicit Value(Kind of_kind, Position where = {});

  Kind kind = Kind::kObject;
  Position at;
  std::string text;         // kText: the characters, escapes resolved; kNumber: as written
  bool boolean = false;     // kBool
  std::vector<Value> list;  // kList
  std::vector<Item> items;  // kObject, in the order of the text; a key may come repeatedly
};

struct Key {
  std::string text;
  Position at = {};
};

// `a = value` has one key, a block `a "b" {…}` the keys a and b. A block in JSON is one object per
// key ({"a": {"b": {…}}}), just as `a = { b = {…} }` is; Section takes each form for the other.
struct Item {
  std::vector<Key> keys;  // at least one
  Value value;
};

struct Limits {
  std::size_t bytes_max = std::size_t{1} << 20;
  int depth_max = 32;                // lists and objects inside each other
  std::size_t values_max = 100'000;  // lists, objects and what they hold, together
};

// The whole text as one object. A text whose first character is '{' is JSON (where null is
// refused), everything else HCL: `#`, `//` and `/* */` comments, <<END and <<-END texts; "${" has
// no meaning. kInvalidArgument: "line L, column C: expected …, got …"; kTooLarge: over a limit.
Result<Value> parse(std::string_view text, const Limits& limits = {});

// The same value as JSON. The keys of a block become nested objects; of a repeated key the last
// one counts. A number that fits no 64-bit integer becomes a floating-point one.
Json to_json(const Value& value);

// An error at a place: "line 3, column 14: " + message.
Error error_at(Position at, std::string_view message);

}  // namespace curfew::hcl
