#include "engines/postgres/statements.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/encoding.h"
#include "engines/postgres/sql_lexer.h"

namespace curfew::engines::postgres {
namespace {

// What of the statement the broker's transaction does not allow; empty: nothing.
std::string_view forbidden(const PlacedStatement& statement) {
  constexpr std::array<std::string_view, 8> control{"begin",    "start", "commit",    "end",
                                                    "rollback", "abort", "savepoint", "release"};
  for (const std::string_view word : control)
    if (statement.word_at(0, word)) return word;
  if (statement.word_at(0, "prepare") && statement.word_at(1, "transaction"))
    return "prepare transaction";
  if (statement.word_at(0, "copy") && (statement.has_word("stdin") || statement.has_word("stdout")))
    return "copy";
  return "";
}

bool drops_role(const PlacedStatement& statement) {
  if (!statement.word_at(0, "drop")) return false;
  if (!statement.word_at(1, "role") && !statement.word_at(1, "user")) return false;
  std::size_t i = 2;
  if (statement.word_at(2, "if") && statement.word_at(3, "exists")) i = 4;
  // {{name}} in quotes is one token, without them several. Other roles are dropped as written.
  std::string name;
  for (; i < statement.tokens.size(); ++i) name += statement.tokens[i].text;
  std::erase(name, ' ');
  return name == "{{name}}" || name == "{{username}}";
}

bool leaves_session_changed(const PlacedStatement& statement) {
  for (const std::string_view word : {"reset", "discard", "listen", "load", "prepare", "declare"})
    if (statement.word_at(0, word)) return true;
  if (statement.word_at(0, "set"))
    return !statement.word_at(1, "local") && !statement.word_at(1, "constraints");
  if (statement.word_at(0, "create") &&
      (statement.word_at(1, "temp") || statement.word_at(1, "temporary")))
    return true;
  return statement.has_word("set_config") || statement.has_word("pg_advisory_lock");
}

// A text with statements in it that are not taken apart: the body of a function or DO block.
// Errs on the side of caution: a lock too many costs little.
void look_inside(std::string_view body, StatementFacts& facts) {
  std::string lower(body);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto holds = [&](std::string_view text) { return lower.find(text) != std::string::npos; };
  if (holds("grant") || holds("revoke")) facts.grants_on_objects = true;
  for (const char* text : {"set_config", "set ", "pg_advisory_lock", " temp"})
    if (holds(text)) facts.changes_session = true;
  if (holds("connection limit")) facts.limits_connections = true;
}

void look_at(const PlacedStatement& statement, StatementFacts& facts) {
  const bool grants = statement.word_at(0, "grant") || statement.word_at(0, "revoke");
  if (grants && statement.has_word("on")) facts.grants_on_objects = true;
  if (statement.word_at(0, "alter") && statement.word_at(1, "default"))
    facts.grants_on_objects = true;
  if (statement.word_at(0, "drop") && statement.word_at(1, "owned")) facts.grants_on_objects = true;
  if (leaves_session_changed(statement)) facts.changes_session = true;
  for (std::size_t i = 0; i + 1 < statement.tokens.size(); ++i)
    if (statement.word_at(i, "connection") && statement.word_at(i + 1, "limit"))
      facts.limits_connections = true;
  for (const Token& token : statement.tokens)
    if (token.kind == TokenKind::kDollarQuote) look_inside(token.text, facts);
}

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin));
}

// "{{ name }}" → "name"; the position behind the closing braces in `end`. nullopt: not one.
std::optional<std::string> placeholder_at(std::string_view text, std::size_t at, std::size_t& end) {
  if (text.substr(at, 2) != "{{") return std::nullopt;
  const std::string_view near = text.substr(at + 2, 64);
  const auto close = near.find("}}");
  if (close == std::string_view::npos) return std::nullopt;
  end = at + 2 + close + 2;
  return trimmed(near.substr(0, close));
}

const std::string* value_of(const Placeholders& values, std::string_view name) {
  if (name == "name" || name == "username") return &values.name;
  if (name == "password") return &values.password;
  if (name == "expiration") return &values.expiration;
  return nullptr;
}

// SQL always has a blank in it, and base64 never.
std::string decoded(const std::string& element) {
  const std::string text = trimmed(element);
  if (text.size() < 12 || text.find_first_of(" \t\r\n;'\"") != std::string::npos) return element;
  const auto bytes = base64_decode(text);
  if (!bytes || bytes->find(' ') == std::string::npos) return element;
  const bool printable = std::all_of(bytes->begin(), bytes->end(), [](char c) {
    return c == '\n' || c == '\r' || c == '\t' || (c >= 0x20 && c <= 0x7e);
  });
  return printable ? *bytes : element;
}

}  // namespace

bool PlacedStatement::word_at(std::size_t i, std::string_view word) const {
  return i < tokens.size() && tokens[i].kind == TokenKind::kWord && tokens[i].text == word;
}

bool PlacedStatement::has_word(std::string_view word) const {
  return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
    return token.kind == TokenKind::kWord && token.text == word;
  });
}

Result<std::vector<PlacedStatement>> place_statements(std::string_view field,
                                                      const std::vector<std::string>& elements) {
  if (elements.size() > kStatementElementsMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("{}: more than {} elements", field, kStatementElementsMax)};
  std::vector<PlacedStatement> placed;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    bytes += elements[i].size();
    if (bytes > kStatementBytesMax)
      return Error{Errc::kInvalidArgument,
                   fmt::format("{}: longer than {} bytes", field, kStatementBytesMax)};
    const std::string text = decoded(elements[i]);
    auto statements = split_statements(text);
    if (!statements)
      return Error{Errc::kInvalidArgument,
                   fmt::format("{}[{}]: {}", field, i, statements.error().message)};
    for (SqlStatement& tokens : *statements) {
      const std::size_t begin = tokens.front().begin;
      placed.push_back({fmt::format("{}[{}], line {}", field, i, tokens.front().line),
                        text.substr(begin, tokens.back().end - begin), std::move(tokens)});
    }
  }
  return placed;
}

Result<StatementFacts> examine_statements(std::string_view field,
                                          const std::vector<std::string>& elements) {
  ASSIGN_OR_RETURN(const auto statements, place_statements(field, elements));
  StatementFacts facts;
  facts.empty = statements.empty();
  facts.only_drops_role = !statements.empty();
  for (const PlacedStatement& statement : statements) {
    if (const auto word = forbidden(statement); !word.empty())
      return Error{Errc::kInvalidArgument,
                   fmt::format("{}, column {}: \"{}\" is not possible here: all statements run in "
                               "one transaction of the broker; leave it out",
                               statement.place, statement.tokens.front().column, word)};
    facts.only_drops_role = facts.only_drops_role && drops_role(statement);
    look_at(statement, facts);
  }
  return facts;
}

std::string join_statements(const std::vector<std::string>& elements) {
  std::string out;
  // The line break ends a comment that an element ends with.
  for (const std::string& element : elements) out += decoded(element) + "\n;\n";
  return out;
}

std::string with_login_path(std::string_view statements) {
  return "SET LOCAL search_path TO DEFAULT;\n" + std::string(statements) +
         "SET LOCAL search_path TO pg_catalog, pg_temp;\n";
}

std::string fill(std::string_view text, const Placeholders& values) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = std::min(text.find("{{", at), text.size());
    out += text.substr(at, open - at);
    if (open == text.size()) break;
    std::size_t end = 0;
    const auto name = placeholder_at(text, open, end);
    const std::string* value = name ? value_of(values, *name) : nullptr;
    if (value != nullptr && !value->empty()) {
      out += *value;
      at = end;
    } else {
      out += '{';
      at = open + 1;
    }
  }
  return out;
}

std::vector<std::string> placeholders_in(std::string_view text) {
  std::vector<std::string> names;
  std::size_t end = 0;
  for (std::size_t i = text.find("{{"); i != std::string_view::npos; i = text.find("{{", end)) {
    end = i + 2;
    if (auto name = placeholder_at(text, i, end)) names.push_back(std::move(*name));
  }
  return names;
}

bool is_placeholder(std::string_view name) {
  return value_of(Placeholders{}, name) != nullptr;
}

}  // namespace curfew::engines::postgres
