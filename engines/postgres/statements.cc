#include "engines/postgres/statements.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/encoding.h"
#include "engines/postgres/sql_lexer.h"

namespace curfew::engines::postgres {
namespace {

bool is_word(const Token& token, std::string_view text) {
  return token.kind == TokenKind::kWord && token.text == text;
}

bool word_at(const SqlStatement& statement, std::size_t i, std::string_view text) {
  return i < statement.size() && is_word(statement[i], text);
}

bool has_word(const SqlStatement& statement, std::string_view text) {
  return std::any_of(statement.begin(), statement.end(),
                     [&](const Token& token) { return is_word(token, text); });
}

Error at(std::string_view field, std::size_t element, std::string_view message) {
  return {Errc::kInvalidArgument, fmt::format("{}[{}]: {}", field, element, message)};
}

// What of the statement the broker's transaction does not allow; empty: nothing.
std::string_view forbidden(const SqlStatement& statement) {
  constexpr std::array<std::string_view, 8> control{"begin",    "start", "commit",    "end",
                                                    "rollback", "abort", "savepoint", "release"};
  for (const std::string_view word : control)
    if (word_at(statement, 0, word)) return word;
  if (word_at(statement, 0, "prepare") && word_at(statement, 1, "transaction"))
    return "prepare transaction";
  if (word_at(statement, 0, "copy") &&
      (has_word(statement, "stdin") || has_word(statement, "stdout")))
    return "copy";
  return "";
}

bool drops_role(const SqlStatement& statement) {
  if (!word_at(statement, 0, "drop")) return false;
  if (!word_at(statement, 1, "role") && !word_at(statement, 1, "user")) return false;
  std::size_t i = 2;
  if (word_at(statement, 2, "if") && word_at(statement, 3, "exists")) i = 4;
  // The name: {{name}} in quotes is one token, without them several.
  return i < statement.size() &&
         std::none_of(statement.begin() + static_cast<std::ptrdiff_t>(i), statement.end(),
                      [](const Token& token) { return token.text == ","; });
}

bool leaves_session_changed(const SqlStatement& statement) {
  for (const std::string_view word : {"reset", "discard", "listen", "load", "prepare", "declare"})
    if (word_at(statement, 0, word)) return true;
  if (word_at(statement, 0, "set"))
    return !word_at(statement, 1, "local") && !word_at(statement, 1, "constraints");
  if (word_at(statement, 0, "create") &&
      (word_at(statement, 1, "temp") || word_at(statement, 1, "temporary")))
    return true;
  return has_word(statement, "set_config") || has_word(statement, "pg_advisory_lock");
}

// A text with statements in it that are not taken apart: the body of a function or DO block.
// Errs on the side of caution: a lock too many costs little.
void look_inside(std::string_view body, StatementFacts& facts) {
  std::string lower(body);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto holds = [&](std::string_view text) { return lower.find(text) != std::string::npos; };
  if (holds("grant") || holds("revoke")) facts.grants_on_objects = true;
  if (holds("valid until")) facts.sets_expiry = true;
  for (const char* text : {"set_config", "set ", "pg_advisory_lock", " temp"})
    if (holds(text)) facts.changes_session = true;
  if (holds("reassign owned")) facts.reassigns_owned = true;
}

void look_at(const SqlStatement& statement, StatementFacts& facts) {
  const bool grants = word_at(statement, 0, "grant") || word_at(statement, 0, "revoke");
  if (grants && has_word(statement, "on")) facts.grants_on_objects = true;
  if (word_at(statement, 0, "alter") && word_at(statement, 1, "default"))
    facts.grants_on_objects = true;
  if (word_at(statement, 0, "drop") && word_at(statement, 1, "owned"))
    facts.grants_on_objects = true;
  if (word_at(statement, 0, "reassign")) facts.reassigns_owned = true;
  if (leaves_session_changed(statement)) facts.changes_session = true;
  const bool makes_role = word_at(statement, 0, "create") || word_at(statement, 0, "alter");
  if (makes_role && (has_word(statement, "createrole") || has_word(statement, "superuser")))
    facts.can_make_roles = true;
  for (std::size_t i = 0; i < statement.size(); ++i) {
    if (word_at(statement, i, "valid") && word_at(statement, i + 1, "until"))
      facts.sets_expiry = true;
    if (statement[i].kind == TokenKind::kDollarQuote) look_inside(statement[i].text, facts);
  }
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

void look_for_placeholders(std::string_view text, StatementFacts& facts) {
  static const Placeholders known{"x", "x", "x"};
  std::size_t end = 0;
  for (std::size_t i = text.find("{{"); i != std::string_view::npos; i = text.find("{{", end)) {
    end = i + 2;
    const auto name = placeholder_at(text, i, end);
    if (name && value_of(known, *name) == nullptr) facts.unknown_placeholders.push_back(*name);
  }
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

Result<StatementFacts> examine_statements(std::string_view field,
                                          const std::vector<std::string>& elements) {
  if (elements.size() > kStatementElementsMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("{}: more than {} elements", field, kStatementElementsMax)};
  StatementFacts facts;
  std::size_t bytes = 0;
  bool all_drop = true;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    bytes += elements[i].size();
    if (bytes > kStatementBytesMax)
      return Error{Errc::kInvalidArgument,
                   fmt::format("{}: longer than {} bytes", field, kStatementBytesMax)};
    const std::string text = decoded(elements[i]);
    auto statements = split_statements(text);
    if (!statements) return at(field, i, statements.error().message);
    for (const SqlStatement& statement : *statements) {
      if (const auto word = forbidden(statement); !word.empty())
        return at(field, i,
                  fmt::format("\"{}\" at line {}, column {} is not possible here: all statements "
                              "run in one transaction of the broker; leave it out",
                              word, statement.front().line, statement.front().column));
      facts.empty = false;
      all_drop = all_drop && drops_role(statement);
      look_at(statement, facts);
    }
    look_for_placeholders(text, facts);
  }
  facts.only_drops_role = !facts.empty && all_drop;
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

}  // namespace curfew::engines::postgres
