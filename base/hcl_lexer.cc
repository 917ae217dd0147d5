#include "base/hcl_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace curfew::hcl {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool starts_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool continues_identifier(char c) {
  return starts_identifier(c) || is_digit(c) || c == '-' || c == '.';
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&out](std::uint32_t value) { out.push_back(static_cast<char>(value)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6);
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3F));
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

// The length of the UTF-8 sequence at the start of `rest`; 0 for a malformed one.
std::size_t sequence_length(std::string_view rest) {
  const auto lead = static_cast<unsigned char>(rest[0]);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || rest.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (!is_continuation(rest[i])) return 0;
  const auto second = static_cast<unsigned char>(rest[1]);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second > 0x9F;
  const bool beyond = lead == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

// What stands before the end marker of a <<-END text is taken off every line, provided that every
// line with something on it has it.
std::string without_indent(const std::string& body, std::string_view indent) {
  std::string out;
  for (std::size_t start = 0; start < body.size();) {
    const std::size_t end = std::min(body.find('\n', start), body.size() - 1) + 1;
    const std::string_view line = std::string_view(body).substr(start, end - start);
    const bool blank = line.find_first_not_of(" \t\r\n") == std::string_view::npos;
    if (line.starts_with(indent))
      out += line.substr(indent.size());
    else if (blank)
      out += line.substr(std::min(line.find_first_of("\r\n"), line.size()));
    else
      return body;
    start = end;
  }
  return out;
}

}  // namespace

std::optional<Position> find_bad_character(std::string_view text) {
  Position at;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0 || text[0] == '\0') return at;
    if (text[0] == '\n')
      at = {at.line + 1, 1};
    else
      ++at.column;
    text.remove_prefix(length);
  }
  return std::nullopt;
}

std::string describe(const Token& token) {
  constexpr std::size_t kShown = 40;
  // Never the characters of a string: it may be a secret of the server's configuration.
  switch (token.kind) {
    case TokenKind::kEnd: return "the end of the text";
    case TokenKind::kText: return "a string";
    default: return fmt::format("\"{}\"", std::string_view(token.text).substr(0, kShown));
  }
}

void Lexer::advance() {
  if (text_[offset_] == '\n')
    at_ = {at_.line + 1, 1};
  else if (!is_continuation(text_[offset_]))
    ++at_.column;
  ++offset_;
}

Status Lexer::skip_blanks_and_comments() {
  while (!at_end()) {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      advance();
    } else if (!json_ && (c == '#' || (c == '/' && peek(1) == '/'))) {
      while (!at_end() && peek() != '\n') advance();
    } else if (!json_ && c == '/' && peek(1) == '*') {
      const Position start = at_;
      advance();
      advance();
      while (!at_end() && !(peek() == '*' && peek(1) == '/')) advance();
      if (at_end())
        return error_at(start, "expected \"*/\" to end this comment, got the end of the text");
      advance();
      advance();
    } else {
      break;
    }
  }
  return ok();
}

Result<Token> Lexer::next() {
  RETURN_IF_ERROR(skip_blanks_and_comments());
  if (at_end()) return Token{TokenKind::kEnd, at_};
  const char c = peek();
  if (c == '"') return quoted();
  if (!json_ && c == '<' && peek(1) == '<') return heredoc();
  if (is_digit(c) || c == '-') return number();
  if (starts_identifier(c)) return identifier();
  static constexpr std::string_view kMarks = "=:,{}[]";
  static constexpr TokenKind kKinds[] = {TokenKind::kAssign,      TokenKind::kColon,
                                         TokenKind::kComma,       TokenKind::kOpenBrace,
                                         TokenKind::kCloseBrace,  TokenKind::kOpenBracket,
                                         TokenKind::kCloseBracket};
  const auto mark = kMarks.find(c);
  if (mark == std::string_view::npos) {
    std::size_t end = offset_ + 1;
    while (end < text_.size() && is_continuation(text_[end])) ++end;
    return error_at(at_, fmt::format("expected a name, a value or a closing bracket, got \"{}\"",
                                     text_.substr(offset_, end - offset_)));
  }
  Token token{kKinds[mark], at_, std::string(1, c)};
  advance();
  return token;
}

Token Lexer::identifier() {
  Token token{TokenKind::kIdentifier, at_};
  while (!at_end() && continues_identifier(peek())) {
    token.text.push_back(peek());
    advance();
  }
  return token;
}

Result<Token> Lexer::number() {
  Token token{TokenKind::kNumber, at_};
  while (!at_end() && (continues_identifier(peek()) ||
                       (peek() == '+' && (token.text.back() == 'e' || token.text.back() == 'E')))) {
    token.text.push_back(peek());
    advance();
  }
  std::string_view digits = token.text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  const bool hex = !json_ && (digits.starts_with("0x") || digits.starts_with("0X"));
  const char* const last = digits.data() + digits.size();
  bool whole = false;
  if (hex) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data() + 2, last, value, 16);
    whole = error == std::errc{} && end == last;
  } else if (!digits.empty() && is_digit(digits[0])) {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), last, value);
    // 010 is eight to some and ten to others.
    const bool leading_zero = digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
    whole = error == std::errc{} && end == last && !leading_zero;
  }
  if (!whole)
    return error_at(token.at,
                    "expected a number (decimal without leading zeros, or 0x…; text stands in "
                    "quotes)");
  return token;
}

Result<Token> Lexer::quoted() {
  Token token{TokenKind::kText, at_};
  advance();
  while (true) {
    if (at_end() || peek() == '\n')
      return error_at(token.at,
                      fmt::format("expected a closing '\"' for this string, got the end of the {}",
                                  at_end() ? "text" : "line"));
    const char c = peek();
    if (c == '"') break;
    if (c == '\\') {
      RETURN_IF_ERROR(escape(token.text));
    } else {
      token.text.push_back(c);
      advance();
    }
  }
  advance();
  return token;
}

Status Lexer::escape(std::string& out) {
  const Position start = at_;
  advance();
  const char c = peek();
  static constexpr std::string_view kNames = "\"\\/abfnrtv";
  static constexpr std::string_view kMeanings = "\"\\/\a\b\f\n\r\t\v";
  if (const auto index = kNames.find(c); !at_end() && index != std::string_view::npos) {
    out.push_back(kMeanings[index]);
    advance();
    return ok();
  }
  const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0 || at_end())
    return error_at(start,
                    "expected an escape: one of \\\" \\\\ \\/ \\a \\b \\f \\n \\r \\t \\v \\xHH "
                    "\\uHHHH \\UHHHHHHHH");
  ASSIGN_OR_RETURN(const std::uint32_t code, code_point(digits));
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ||
      (digits == 2 && code > 0x7F))
    return error_at(start,
                    "expected the escape of a character: not NUL, not half a surrogate pair, "
                    "\\x only up to 7F, \\U only up to 0010FFFF");
  append_utf8(out, code);
  return ok();
}

Result<std::uint32_t> Lexer::hex_digits(int count) {
  advance();
  const std::string_view digits = text_.substr(offset_, static_cast<std::size_t>(count));
  std::uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != static_cast<std::size_t>(count) || error != std::errc{} ||
      end != digits.data() + digits.size())
    return error_at(at_, fmt::format("expected {} hexadecimal digits", count));
  for (int i = 0; i < count; ++i) advance();
  return value;
}

// Joins the two halves that JSON writes a character beyond the first 65,536 with.
Result<std::uint32_t> Lexer::code_point(int digits) {
  ASSIGN_OR_RETURN(const std::uint32_t code, hex_digits(digits));
  if (digits != 4 || code < 0xD800 || code >= 0xDC00 || peek() != '\\' || peek(1) != 'u')
    return code;
  advance();
  ASSIGN_OR_RETURN(const std::uint32_t low, hex_digits(4));
  if (low < 0xDC00 || low >= 0xE000) return code;
  return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

Result<Token> Lexer::heredoc() {
  Token token{TokenKind::kText, at_};
  advance();
  advance();
  const bool indented = peek() == '-';
  if (indented) advance();
  const std::string marker = identifier().text;
  if (peek() == '\r') advance();
  if (marker.empty() || peek() != '\n')
    return error_at(token.at, "expected a text such as <<END, with its end marker alone on a line");
  advance();
  while (!at_end()) {
    const std::size_t end = std::min(text_.find('\n', offset_), text_.size());
    std::string_view line = text_.substr(offset_, end - offset_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
    if (line.substr(indent) == marker) {
      if (indented) token.text = without_indent(token.text, line.substr(0, indent));
      while (offset_ < end) advance();
      return token;
    }
    token.text += text_.substr(offset_, end - offset_);
    token.text += '\n';
    while (offset_ < end) advance();
    if (!at_end()) advance();
  }
  return error_at(token.at, fmt::format("expected \"{}\" alone on a line to end this text, got the "
                                        "end of the text",
                                        marker.substr(0, 64)));
}

}  // namespace curfew::hcl
