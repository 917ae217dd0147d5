#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The statements that an operator writes into a role.
namespace curfew::engines::postgres {

inline constexpr std::size_t kStatementBytesMax = 64 * 1024;  // one list, all elements together
inline constexpr std::size_t kStatementElementsMax = 100;

// What a list of statements does, as far as its text tells.
struct StatementFacts {
  bool empty = true;               // nothing but blanks and comments
  bool grants_on_objects = false;  // GRANT or REVOKE … ON something; those get in each other's way
  bool sets_expiry = false;        // VALID UNTIL
  bool only_drops_role = false;    // nothing but DROP ROLE [IF EXISTS]
  bool changes_session = false;    // leaves settings, locks or objects behind in the session
  bool reassigns_owned = false;    // REASSIGN OWNED
  bool can_make_roles = false;     // gives CREATEROLE or SUPERUSER
  std::vector<std::string> unknown_placeholders = {};  // {{…}} that fill() leaves alone
};

// Looks at a list of statements; each element holds one or several whole statements. Refused
// (kInvalidArgument, with field, element, line and column): what does not end, transaction control
// outside of function bodies (the broker's transaction is around the whole list), COPY from or to
// the client, and lists above the bounds. `field` names the list in messages.
Result<StatementFacts> examine_statements(std::string_view field,
                                          const std::vector<std::string>& elements);

// The whole list as one text, as it is sent. An element that is base64 of text is decoded first,
// as Vault's clients may send it.
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

}  // namespace curfew::engines::postgres
