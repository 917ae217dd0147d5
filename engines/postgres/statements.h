#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engines/postgres/sql_lexer.h"

// The statements that an operator writes into a role.
namespace curfew::engines::postgres {

inline constexpr std::size_t kStatementBytesMax = 64 * 1024;  // one list, all elements together
inline constexpr std::size_t kStatementElementsMax = 100;

// One statement of a list, and where it stands.
struct PlacedStatement {
  std::string place;    // "creation_statements[0], line 2"
  std::string text;     // as it was written, without its semicolon
  SqlStatement tokens;  // never empty

  bool word_at(std::size_t i, std::string_view word) const;
  bool has_word(std::string_view word) const;
};

// A list of elements as its single statements. An element that is base64 of text is decoded first,
// as Vault's clients may send it. `field` names the list. kInvalidArgument, with field, element,
// line and column: something does not end, or the list is above the bounds.
Result<std::vector<PlacedStatement>> place_statements(std::string_view field,
                                                      const std::vector<std::string>& elements);

// What a list of statements means for how it is run, as far as its text tells.
struct StatementFacts {
  bool empty = true;               // nothing but blanks and comments
  bool grants_on_objects = false;  // GRANT or REVOKE … ON something; those get in each other's way
  bool only_drops_role = false;    // nothing but DROP ROLE [IF EXISTS]
  bool changes_session = false;    // leaves settings, locks or objects behind in the session
  bool limits_connections = false;  // CONNECTION LIMIT
};

// Looks at a list of statements; each element holds one or several whole statements. Refused as by
// place_statements(), and so are transaction control outside of function bodies (the broker's
// transaction is around the whole list) and COPY from or to the client.
Result<StatementFacts> examine_statements(std::string_view field,
                                          const std::vector<std::string>& elements);

// The whole list as one text, as it is sent.
std::string join_statements(const std::vector<std::string>& elements);

// The statements as they run inside the broker's transaction: with the search path that the login
// has by itself, which the broker's own statements never use.
std::string with_login_path(std::string_view statements);

// What the placeholders stand for. All values must be safe between quotes of every kind.
struct Placeholders {
  std::string name;        // {{name}} and {{username}}
  std::string password;    // {{password}}: the verifier
  std::string expiration;  // {{expiration}}
};

// Replaces the placeholders, blanks inside the braces allowed, and nothing else. A value that is
// empty leaves its placeholder as it is.
std::string fill(std::string_view text, const Placeholders& values);

// The names between the double braces in `text`, in order: also those that fill() does not know.
std::vector<std::string> placeholders_in(std::string_view text);

// Whether fill() knows the name.
bool is_placeholder(std::string_view name);

}  // namespace curfew::engines::postgres
