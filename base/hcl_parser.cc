#include <fmt/format.h>

#include <charconv>

#include "base/hcl.h"
#include "base/hcl_lexer.h"

namespace curfew::hcl {
namespace {

// Recursive descent with one token of look-ahead; the depth is bounded.
class Parser {
 public:
  Parser(std::string_view text, bool json, const Limits& limits)
      : lexer_(text, json), json_(json), limits_(limits) {}

  Result<Value> document() {
    RETURN_IF_ERROR(shift());
    if (json_) {
      ASSIGN_OR_RETURN(Value root, value());
      if (current_.kind != TokenKind::kEnd) return unexpected("the end of the text");
      return root;
    }
    Value root{Kind::kObject, current_.at};
    while (current_.kind != TokenKind::kEnd) {
      ASSIGN_OR_RETURN(Item next, item());
      root.items.push_back(std::move(next));
      if (current_.kind == TokenKind::kComma) RETURN_IF_ERROR(shift());
    }
    return root;
  }

 private:
  Status shift() {
    ASSIGN_OR_RETURN(current_, lexer_.next());
    return ok();
  }

  Error unexpected(std::string_view expected) const {
    return error_at(current_.at, fmt::format("expected {}, got {}", expected, describe(current_)));
  }

  Status count() {
    if (++values_ <= limits_.values_max) return ok();
    Error error = error_at(
        current_.at, fmt::format("more than {} values; split the text up", limits_.values_max));
    error.code = Errc::kTooLarge;
    return error;
  }

  Status enter() {
    if (++depth_ <= limits_.depth_max) return ok();
    Error error = error_at(current_.at, fmt::format("lists and objects are nested deeper than {} "
                                                    "levels",
                                                    limits_.depth_max));
    error.code = Errc::kTooLarge;
    return error;
  }

  Result<Item> item() {
    Item out;
    while (true) {
      const bool name =
          current_.kind == TokenKind::kText || (current_.kind == TokenKind::kIdentifier && !json_);
      if (!name) return unexpected(key_expectation(out));
      if (out.keys.size() >= kKeysMax)
        return error_at(current_.at, fmt::format("a block has more than {} names", kKeysMax));
      out.keys.push_back({std::move(current_.text), current_.at});
      RETURN_IF_ERROR(shift());
      if (json_) {
        if (current_.kind != TokenKind::kColon) return unexpected("\":\" behind a key");
      } else if (current_.kind == TokenKind::kOpenBrace) {
        break;
      }
      if (current_.kind != TokenKind::kAssign && current_.kind != TokenKind::kColon) continue;
      // HCL knows no ':', yet it is the commonest slip: say so instead of guessing.
      if (!json_ && current_.kind == TokenKind::kColon) return unexpected("\"=\" behind a name");
      if (out.keys.size() > 1) return unexpected("\"{\" behind the names of a block");
      RETURN_IF_ERROR(shift());
      break;
    }
    ASSIGN_OR_RETURN(out.value, value());
    return out;
  }

  std::string_view key_expectation(const Item& item) const {
    if (json_) return "a key in quotes";
    if (item.keys.empty()) return "a name";
    return item.keys.size() == 1 ? "\"=\", \"{\" or a block's name" : "\"{\" or a block's name";
  }

  Result<Value> value() {
    RETURN_IF_ERROR(count());
    Value out{Kind::kText, current_.at};
    switch (current_.kind) {
      case TokenKind::kText: out.text = std::move(current_.text); break;
      case TokenKind::kNumber:
        out.kind = Kind::kNumber;
        out.text = std::move(current_.text);
        break;
      case TokenKind::kIdentifier:
        if (current_.text != "true" && current_.text != "false")
          return error_at(current_.at, json_ ? "expected a value other than null, got a bare word"
                                             : "expected a value, got a bare word (text stands in "
                                               "quotes)");
        out.kind = Kind::kBool;
        out.boolean = current_.text == "true";
        break;
      case TokenKind::kOpenBracket: return list();
      case TokenKind::kOpenBrace: return object();
      default: return unexpected("a value");
    }
    RETURN_IF_ERROR(shift());
    return out;
  }

  Result<Value> list() {
    Value out{Kind::kList, current_.at};
    RETURN_IF_ERROR(enter());
    RETURN_IF_ERROR(shift());
    while (current_.kind != TokenKind::kCloseBracket) {
      ASSIGN_OR_RETURN(Value element, value());
      out.list.push_back(std::move(element));
      if (current_.kind == TokenKind::kCloseBracket) break;
      if (current_.kind != TokenKind::kComma) return unexpected("\",\" or \"]\" in a list");
      RETURN_IF_ERROR(shift());
      if (json_ && current_.kind == TokenKind::kCloseBracket) return unexpected("a value");
    }
    --depth_;
    RETURN_IF_ERROR(shift());
    return out;
  }

  Result<Value> object() {
    Value out{Kind::kObject, current_.at};
    RETURN_IF_ERROR(enter());
    RETURN_IF_ERROR(shift());
    while (current_.kind != TokenKind::kCloseBrace) {
      if (current_.kind == TokenKind::kEnd)
        return unexpected(fmt::format("\"}}\" for the \"{{\" of {}", to_string(out.at)));
      RETURN_IF_ERROR(count());
      ASSIGN_OR_RETURN(Item next, item());
      out.items.push_back(std::move(next));
      const bool comma = current_.kind == TokenKind::kComma;
      if (json_ && !comma && current_.kind != TokenKind::kCloseBrace)
        return unexpected("\",\" or \"}\" in an object");
      if (comma) RETURN_IF_ERROR(shift());
      if (json_ && comma && current_.kind == TokenKind::kCloseBrace)
        return unexpected("a key in quotes");
    }
    --depth_;
    RETURN_IF_ERROR(shift());
    return out;
  }

  static constexpr std::size_t kKeysMax = 8;

  Lexer lexer_;
  const bool json_;
  const Limits limits_;
  Token current_;
  int depth_ = 0;
  std::size_t values_ = 0;
};

Json number_to_json(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  }
  const char* const last = digits.data() + digits.size();
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), last, magnitude, base);
  if (error == std::errc{} && end == last) {
    if (!negative) return magnitude;
    if (magnitude <= INT64_MAX) return -static_cast<std::int64_t>(magnitude);
  }
  double number = 0;
  std::from_chars(digits.data(), last, number);
  return negative ? -number : number;
}

}  // namespace

Value::Value(Kind of_kind, Position where) : kind(of_kind), at(where) {}

std::string to_string(Position at) {
  return fmt::format("line {}, column {}", at.line, at.column);
}

Error error_at(Position at, std::string_view message) {
  return {Errc::kInvalidArgument, fmt::format("{}: {}", to_string(at), message)};
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kText: return "a string";
    case Kind::kNumber: return "a number";
    case Kind::kBool: return "true or false";
    case Kind::kList: return "a list";
    case Kind::kObject: return "an object";
  }
  return "a value";
}

Result<Value> parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max)
    return Error{Errc::kTooLarge, fmt::format("the text has {} bytes; at most {} are read",
                                              text.size(), limits.bytes_max)};
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (const auto bad = find_bad_character(text))
    return error_at(*bad, "expected UTF-8 text, got a byte that is none");
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && text[first] == '{';
  return Parser(text, json, limits).document();
}

Json to_json(const Value& value) {
  switch (value.kind) {
    case Kind::kText: return value.text;
    case Kind::kNumber: return number_to_json(value.text);
    case Kind::kBool: return value.boolean;
    case Kind::kList: {
      Json out = Json::array();
      for (const Value& element : value.list) out.push_back(to_json(element));
      return out;
    }
    case Kind::kObject: break;
  }
  Json out = Json::object();
  for (const Item& item : value.items) {
    Json* slot = &out;
    for (const Key& key : item.keys) {
      if (!slot->is_object()) *slot = Json::object();
      slot = &(*slot)[key.text];
    }
    *slot = to_json(item.value);
  }
  return out;
}

}  // namespace curfew::hcl
