#pragma once

#include <string>
#include <string_view>

#include "base/hcl.h"
#include "base/result.h"

namespace curfew::hcl {

enum class TokenKind {
  kEnd,
  kIdentifier,
  kText,
  kNumber,
  kAssign,
  kColon,
  kComma,
  kOpenBrace,
  kCloseBrace,
  kOpenBracket,
  kCloseBracket,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Position at = {};
  std::string text = {};  // of a kText the characters meant, of the others as written
};

// How a token is called in an error message.
std::string describe(const Token& token);

// Cuts a text into tokens. Does not own the text. For one thread.
class Lexer {
 public:
  // `json`: comments and heredocs are not recognised.
  Lexer(std::string_view text, bool json) : text_(text), json_(json) {}

  // The next token; after the last one kEnd, again and again.
  Result<Token> next();

 private:
  bool at_end() const { return offset_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return offset_ + ahead < text_.size() ? text_[offset_ + ahead] : '\0';
  }
  void advance();
  Status skip_blanks_and_comments();
  Result<Token> quoted();
  Status escape(std::string& out);
  Result<std::uint32_t> hex_digits(int count);
  Result<std::uint32_t> code_point(int digits);
  Result<Token> heredoc();
  Result<Token> number();
  Token identifier();

  std::string_view text_;
  bool json_;
  std::size_t offset_ = 0;
  Position at_;
};

// The place of the first byte that is no UTF-8 or NUL; nullopt where there is none.
std::optional<Position> find_bad_character(std::string_view text);

}  // namespace curfew::hcl
