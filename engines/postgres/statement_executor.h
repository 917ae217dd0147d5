#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/leased_statement.h"

namespace curfew::engines::postgres {

// What the executor of a lease is made of.
struct ExecutorWork {
  std::string creation;  // the role's creation statements, in one text
  bool grants_on_objects = true;
  bool allow_dangerous = false;
  LeasedStatement statement;

  Json to_json() const;
  // kInternal: it is not what to_json() made.
  static Result<ExecutorWork> from_json(const Json& work);
};

// The statement as the target understands it.
struct BoundStatement {
  std::vector<std::string> arguments;  // SQL: values of the types that $1, $2 … have
  bool returns_rows = false;
  std::string search_path;  // SQL: schemas in quotes, pg_temp last
};

// Makes the executor of a lease for one statement inside an open transaction: a role that nobody
// can log in as and that gets what the role's creation statements give, and a schema of the same
// name with the function that runs the statement with the rights of that role. What the caller's
// session is set to has no say in what the statement means: all settings that could are pinned.
//
// The steps in their order are make_role(), bind(), make_schema(), make_function(). Nothing is in
// doubt after an error, for nothing is committed here. Errors of them: kRefused, the target refused
// something, the message says what; kUnavailable, kOverloaded. Used by one thread; the references
// outlive it.
class StatementExecutor {
 public:
  StatementExecutor(Connection& connection, const LeaseHandle& executor, const ExecutorWork& work,
                    SteadyTime deadline)
      : connection_(connection), executor_(executor), work_(work), deadline_(deadline) {}

  // `verifier`: of a password that nobody knows. Refuses a role with dangerous rights where the
  // lease's role is not allowed to have them. Gives the executor's oid.
  Result<std::uint32_t> make_role(std::string_view mark, const std::string& verifier,
                                  WallTime expires_at);

  // Reads the statement with the executor's eyes: which tables and functions it means, which types
  // its parameters have.
  Result<BoundStatement> bind();

  // The schema, and in it what the first call uses up.
  Status make_schema();

  // The function `name`, whose body is PL/pgSQL that ends in `result` ("bigint").
  Status make_function(std::string_view name, std::string_view result, std::string_view body,
                       const BoundStatement& bound);

  // Takes away what the broker's login needed to do all this.
  Status leave();

  const std::vector<std::string>& path() const { return path_; }

 private:
  Result<Rows> run(std::string_view sql);
  Status judge(std::uint32_t oid, const std::string& definers_before, WallTime expires_at);
  Status find_path();
  // What follows runs as the executor, with the statement's settings; what is in front of it does
  // not.
  std::string as_executor(std::string_view path) const;

  Connection& connection_;
  const LeaseHandle& executor_;
  const ExecutorWork& work_;
  const SteadyTime deadline_;
  std::vector<std::string> path_;  // schemas that exist and that it may use
};

// The body of the function that runs the statement once, and what the function returns.
std::string run_once_body(const LeaseHandle& executor, const ExecutorWork& work,
                          const BoundStatement& bound);
std::string_view run_once_result(const BoundStatement& bound);

// SQL that runs the statement; for the lease's holder.
std::string run_once_sql(std::string_view executor);

// SQL that drops what a lease has in its schema; the schema itself can be dropped then, unless
// somebody put more into it.
std::string drop_run_once_sql(std::string_view executor);

// SQL that turns a session, whatever ran in it, back into the broker's own.
inline constexpr const char* kAsBroker =
    "RESET ROLE;\nSET LOCAL search_path TO pg_catalog, pg_temp;\n";

}  // namespace curfew::engines::postgres
