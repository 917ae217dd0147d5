#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/sql_lexer.h"

// The one statement that a lease is for, where its request names one.
namespace curfew::engines::postgres {

inline constexpr std::size_t kLeasedStatementBytesMax = 16 * 1024;
inline constexpr std::size_t kLeasedParametersMax = 100;
inline constexpr std::size_t kLeasedParameterBytesMax = 16 * 1024;  // all together

struct LeasedStatement {
  std::string text;              // without what is around it: blanks, comments, the semicolon
  std::vector<Json> parameters;  // of $1, $2, …: text, numbers, booleans, null

  // {"text", "parameters"}
  Json to_json() const;
  // kInternal: it is not what to_json() made.
  static Result<LeasedStatement> from_json(const Json& stored);

  // A parameter as SQL sees it; nullopt: NULL.
  std::optional<std::string> parameter_text(std::size_t i) const;
};

// What a request's "statement" and "statement_parameters" ask for; nullopt: nothing. One statement
// that reads or changes rows (SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE, or WITH in
// front of them), as many parameters as it has. kInvalidArgument: anything else; the message says
// what is allowed. Whether the statement means anything is for the target to say.
Result<std::optional<LeasedStatement>> leased_statement(const Json& data);

}  // namespace curfew::engines::postgres
