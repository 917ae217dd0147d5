#include <cstdint>
#include <cstdlib>
#include <string>

#include "engines/postgres/sql_lexer.h"
#include "engines/postgres/statement_lint.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace {

using curfew::engines::postgres::examine_statements;
using curfew::engines::postgres::fill;
using curfew::engines::postgres::join_statements;
using curfew::engines::postgres::LeaseRole;
using curfew::engines::postgres::lint_statements;
using curfew::engines::postgres::split_statements;
using curfew::engines::postgres::UsernameTemplate;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// What an operator writes: nothing crashes, and what is accepted alone is accepted when joined.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto statements = split_statements(text);
  if (statements) {
    for (const auto& statement : *statements) require(!statement.empty());
  }
  if (const auto facts = examine_statements("fuzz", {text}); facts) {
    const std::string joined = join_statements({text, "SELECT 1"});
    const auto split = split_statements(joined);
    require(split.has_value());
    // The second element stays a statement of its own.
    require(split->back().size() == 2 && split->back().front().text == "select");
  }
  LeaseRole role;
  role.creation_statements = role.revocation_statements = {text};
  (void)lint_statements(role);
  const std::string filled = fill(text, {"cf-name", "SCRAM", "2027-01-15"});
  require(filled.find("{{name}}") == std::string::npos);
  (void)UsernameTemplate::parse(text);
  return 0;
}
