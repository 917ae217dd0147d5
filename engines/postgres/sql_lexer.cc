#include "engines/postgres/sql_lexer.h"

#include <fmt/format.h>

#include <optional>

namespace curfew::engines::postgres {
namespace {

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool continues_name(char c) {
  return starts_name(c) || (c >= '0' && c <= '9') || c == '$';
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  // nullopt: the end.
  Result<std::optional<Token>> next() {
    RETURN_IF_ERROR(skip_blank());
    mark();
    if (at_ >= sql_.size()) return std::optional<Token>{};
    const char c = peek();
    if (c == '\'') return quoted('\'', false);
    if (c == '"') return quoted('"', false);
    if (c == '$') return dollar();
    if (starts_name(c)) return word();
    if (c >= '0' && c <= '9') return number();
    advance(1);
    return token(TokenKind::kPunctuation, std::string(1, c));
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
  }

  void advance(std::size_t count) {
    for (; count > 0 && at_ < sql_.size(); --count, ++at_) {
      if (sql_[at_] == '\n') {
        ++line_;
        column_ = 1;
      } else {
        ++column_;
      }
    }
  }

  void mark() {
    token_line_ = line_;
    token_column_ = column_;
    token_begin_ = at_;
  }

  Error unterminated(std::string_view what) const {
    return {Errc::kInvalidArgument, fmt::format("{} that begins at line {}, column {} has no end",
                                                what, token_line_, token_column_)};
  }

  std::optional<Token> token(TokenKind kind, std::string text) const {
    return Token{kind, std::move(text), token_line_, token_column_, token_begin_, at_};
  }

  Status skip_blank() {
    while (at_ < sql_.size()) {
      if (is_space(peek())) {
        advance(1);
      } else if (peek() == '-' && peek(1) == '-') {
        while (at_ < sql_.size() && peek() != '\n' && peek() != '\r') advance(1);
      } else if (peek() == '/' && peek(1) == '*') {
        RETURN_IF_ERROR(skip_comment());
      } else {
        break;
      }
    }
    return ok();
  }

  Status skip_comment() {
    mark();
    int depth = 0;
    do {
      if (at_ >= sql_.size()) return unterminated("a comment");
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        advance(2);
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        advance(2);
      } else {
        advance(1);
      }
    } while (depth > 0);
    return ok();
  }

  // '…' or "…", at the opening quote. `escapes`: a backslash takes the next character with it.
  Result<std::optional<Token>> quoted(char quote, bool escapes) {
    advance(1);
    std::string inside;
    while (true) {
      if (at_ >= sql_.size()) return unterminated(quote == '"' ? "a quoted name" : "a string");
      const char c = peek();
      if (c == quote && peek(1) != quote) break;
      if (escapes && c == '\\' && at_ + 1 < sql_.size()) inside += c, advance(1);
      const bool doubled = c == quote;
      inside += peek();
      advance(doubled ? 2 : 1);
    }
    advance(1);
    return token(quote == '"' ? TokenKind::kQuotedName : TokenKind::kString, std::move(inside));
  }

  // $$…$$ or $tag$…$tag$; a lone '$' is punctuation.
  Result<std::optional<Token>> dollar() {
    std::size_t end = at_ + 1;
    if (end < sql_.size() && starts_name(sql_[end]))
      while (end < sql_.size() && continues_name(sql_[end]) && sql_[end] != '$') ++end;
    if (end >= sql_.size() || sql_[end] != '$') {
      advance(1);
      return token(TokenKind::kPunctuation, "$");
    }
    const std::string_view tag = sql_.substr(at_, end + 1 - at_);
    const std::size_t close = sql_.find(tag, end + 1);
    if (close == std::string_view::npos)
      return unterminated(fmt::format("a {} quoted text", tag.size() <= 66 ? tag : "dollar"));
    std::string inside(sql_.substr(end + 1, close - end - 1));
    advance(close + tag.size() - at_);
    return token(TokenKind::kDollarQuote, std::move(inside));
  }

  Result<std::optional<Token>> word() {
    std::string text;
    while (at_ < sql_.size() && continues_name(peek())) {
      text += lower(peek());
      advance(1);
    }
    if (peek() == '\'' && (text == "e" || text == "b" || text == "x" || text == "n"))
      return quoted('\'', text == "e");
    if (text == "u" && peek() == '&' && (peek(1) == '\'' || peek(1) == '"')) {
      advance(1);
      return quoted(peek(), false);
    }
    return token(TokenKind::kWord, std::move(text));
  }

  Result<std::optional<Token>> number() {
    std::string text;
    while (at_ < sql_.size() && peek() >= '0' && peek() <= '9') {
      text += peek();
      advance(1);
    }
    return token(TokenKind::kPunctuation, std::move(text));
  }

  const std::string_view sql_;
  std::size_t at_ = 0;
  int line_ = 1, column_ = 1;
  int token_line_ = 1, token_column_ = 1;
  std::size_t token_begin_ = 0;
};

// Follows the nesting in which a semicolon does not end a statement.
class Nesting {
 public:
  bool inside() const { return parentheses_ > 0 || blocks_ > 0; }

  void see(const SqlStatement& statement) {
    const Token& token = statement.back();
    if (token.kind == TokenKind::kPunctuation) {
      if (token.text == "(") ++parentheses_;
      if (token.text == ")" && parentheses_ > 0) --parentheses_;
      return;
    }
    if (token.kind != TokenKind::kWord || !makes_routine(statement)) return;
    if (token.text == "atomic" && follows_begin(statement)) ++blocks_;
    if (token.text == "case" && blocks_ > 0) ++blocks_;
    if (token.text == "end" && blocks_ > 0) --blocks_;
  }

  void reset() { parentheses_ = blocks_ = 0; }

 private:
  static bool word_at(const SqlStatement& statement, std::size_t i, std::string_view text) {
    return i < statement.size() && statement[i].kind == TokenKind::kWord &&
           statement[i].text == text;
  }

  // CREATE [OR REPLACE] FUNCTION | PROCEDURE
  static bool makes_routine(const SqlStatement& statement) {
    if (!word_at(statement, 0, "create")) return false;
    const std::size_t i = word_at(statement, 1, "or") && word_at(statement, 2, "replace") ? 3 : 1;
    return word_at(statement, i, "function") || word_at(statement, i, "procedure");
  }

  static bool follows_begin(const SqlStatement& statement) {
    return statement.size() >= 2 && word_at(statement, statement.size() - 2, "begin");
  }

  int parentheses_ = 0;
  int blocks_ = 0;
};

}  // namespace

Result<std::vector<SqlStatement>> split_statements(std::string_view sql) {
  if (sql.find('\0') != std::string_view::npos)
    return Error{Errc::kInvalidArgument, "a zero byte, which SQL text cannot hold"};
  std::vector<SqlStatement> statements;
  SqlStatement current;
  Nesting nesting;
  Lexer lexer(sql);
  while (true) {
    ASSIGN_OR_RETURN(auto token, lexer.next());
    if (!token) break;
    const bool semicolon = token->kind == TokenKind::kPunctuation && token->text == ";";
    if (semicolon && !nesting.inside()) {
      if (!current.empty()) statements.push_back(std::move(current));
      current.clear();
      nesting.reset();
      continue;
    }
    current.push_back(std::move(*token));
    nesting.see(current);
  }
  if (nesting.inside())
    return Error{Errc::kInvalidArgument,
                 fmt::format("the statement that begins at line {}, column {} has an open "
                             "parenthesis or BEGIN ATOMIC that is never closed",
                             current.front().line, current.front().column)};
  if (!current.empty()) statements.push_back(std::move(current));
  return statements;
}

}  // namespace curfew::engines::postgres
