#include "engines/postgres/statement_executor.h"

#include <fmt/format.h>

#include <array>

#include "engines/postgres/membership.h"
#include "engines/postgres/role_rights.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_lint.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

constexpr const char* kFunction = "run";
constexpr const char* kToken = "once";

// Every setting that a session can change and that changes what a statement means or finds. Those
// with an empty value stay as the broker's session has them: as the target is configured.
struct Pinned {
  const char* name;
  const char* value;
};
constexpr std::array<Pinned, 17> kPinned{{
    {"standard_conforming_strings", "on"},
    {"backslash_quote", "safe_encoding"},
    {"transform_null_equals", "off"},
    {"array_nulls", "on"},
    {"row_security", "on"},
    {"gin_fuzzy_search_limit", "0"},
    {"timezone", "UTC"},
    {"datestyle", "ISO, MDY"},
    {"intervalstyle", "postgres"},
    {"extra_float_digits", "1"},
    {"bytea_output", "hex"},
    {"xmlbinary", "base64"},
    {"xmloption", "content"},
    {"default_text_search_config", ""},
    {"lc_monetary", ""},
    {"lc_numeric", ""},
    {"lc_time", ""},
}};

std::string literal_of(const LeasedStatement& statement, std::size_t i) {
  const auto text = statement.parameter_text(i);
  return text ? quote_literal(*text) : "NULL";
}

Error corrupt() {
  return {Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

}  // namespace

Json ExecutorWork::to_json() const {
  return Json{{"statements", creation},
              {"grants_on_objects", grants_on_objects},
              {"allow_dangerous", allow_dangerous},
              {"statement", statement.to_json()}};
}

Result<ExecutorWork> ExecutorWork::from_json(const Json& work) {
  const Fields fields(work);
  ExecutorWork out;
  ASSIGN_OR_RETURN(out.creation, fields.text_or("statements", ""));
  ASSIGN_OR_RETURN(out.grants_on_objects, fields.boolean_or("grants_on_objects", true));
  ASSIGN_OR_RETURN(out.allow_dangerous, fields.boolean_or("allow_dangerous", false));
  ASSIGN_OR_RETURN(const auto statement, fields.object("statement"));
  ASSIGN_OR_RETURN(out.statement, LeasedStatement::from_json(statement.value_or(Json::object())));
  return out;
}

// What is not committed goes with its session.
Result<Rows> StatementExecutor::run(std::string_view sql) {
  auto rows = connection_.run(sql, deadline_);
  if (rows || rows.error().code != Errc::kInDoubt) return rows;
  Error error = std::move(rows).error();
  error.code = Errc::kUnavailable;
  return error;
}

Result<std::uint32_t> StatementExecutor::make_role(std::string_view mark,
                                                   const std::string& verifier,
                                                   WallTime expires_at) {
  std::string first = definer_functions_sql();
  if (work_.grants_on_objects) first = grant_lock() + first;
  ASSIGN_OR_RETURN(const Rows definers, run(first));
  if (definers.size() != 1 || definers.front().size() != 1) return corrupt();
  const std::string name = quote_identifier(executor_.database_role);
  std::string sql = with_login_path(
      fill(work_.creation, {executor_.database_role, verifier, expiry_text(expires_at)}));
  sql += kAsBroker;
  sql += fmt::format("ALTER ROLE {} NOLOGIN PASSWORD NULL CONNECTION LIMIT 0;\n", name);
  sql += fmt::format("COMMENT ON ROLE {} IS {};\n", name, quote_literal(mark));
  if (!connection_.is_superuser())
    sql += grant_membership(executor_.database_role, connection_.login(),
                            connection_.server_version()) +
           ";\n";
  sql += fmt::format("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {}",
                     quote_literal(executor_.database_role));
  auto rows = connection_.run(sql, deadline_, {verifier});
  if (!rows) {
    Error error = std::move(rows).error();
    if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
    return error;
  }
  if (rows->size() != 1 || rows->front().size() != 1)
    return Error{Errc::kRefused,
                 "the role's creation_statements ran and made no database role \"{{name}}\""};
  const auto oid = static_cast<std::uint32_t>(
      std::strtoul(rows->front().front().value_or("0").c_str(), nullptr, 10));
  RETURN_IF_ERROR(judge(oid, definers.front().front().value_or("{}"), expires_at));
  return oid;
}

// The same judgement as of a role that is written, of what it has become since.
Status StatementExecutor::judge(std::uint32_t oid, const std::string& definers_before,
                                WallTime expires_at) {
  ASSIGN_OR_RETURN(const Rows rows, run(role_rights_sql(oid, expires_at, definers_before,
                                                        connection_.server_version())));
  ASSIGN_OR_RETURN(auto findings,
                   read_role_rights(rows, connection_.login(), connection_.server_version()));
  if (work_.allow_dangerous) return ok();
  std::string dangerous;
  for (const Finding& finding : findings)
    if (finding.dangerous) dangerous += finding.text() + "; ";
  if (dangerous.empty()) return ok();
  return Error{Errc::kRefused, dangerous + "no lease is made of it"};
}

// The search path that a session of the leased role would have: the role's own setting, the
// database's, or what the broker's login has. Schemas that are not there, or that it may not use,
// are not searched.
Status StatementExecutor::find_path() {
  ASSIGN_OR_RETURN(const Rows rows, run(fmt::format(
                                        R"sql(SELECT COALESCE((
  SELECT pg_catalog.substr(c, 13) FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c
    WHERE s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {}))
      AND s.setdatabase IN (0, d.oid) AND pg_catalog.starts_with(c, 'search_path=')
    ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1),
  (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path')))sql",
                                        quote_literal(executor_.database_role))));
  if (rows.size() != 1 || rows.front().size() != 1) return corrupt();
  // Not a word of this but names in pg_catalog: the path may hold what others planted.
  ASSIGN_OR_RETURN(
      const Rows found,
      run(fmt::format("SET LOCAL ROLE {};\nSELECT pg_catalog.set_config('search_path', {}, true);\n"
                      "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(false));\n{}",
                      quote_identifier(executor_.database_role),
                      quote_literal(rows.front().front().value_or("")), kAsBroker)));
  const auto names =
      parse_json(found.empty() || found.front().empty() ? "" : found.front().front().value_or(""));
  if (!names || !names->is_array()) return corrupt();
  path_.clear();
  for (const Json& name : *names)
    if (name.is_string() && !name.get_ref<const std::string&>().starts_with("pg_temp"))
      path_.push_back(name.get<std::string>());
  return ok();
}

std::string StatementExecutor::as_executor(std::string_view path) const {
  std::string sql;
  for (const auto& [name, value] : kPinned)
    if (*value != '\0') sql += fmt::format("SET LOCAL {} = {};\n", name, quote_literal(value));
  return fmt::format("{}SET LOCAL ROLE {};\nSET LOCAL search_path = {};\n", sql,
                     quote_identifier(executor_.database_role), path);
}

Result<BoundStatement> StatementExecutor::bind() {
  RETURN_IF_ERROR(find_path());
  BoundStatement bound;
  for (const std::string& schema : path_) bound.search_path += quote_identifier(schema) + ", ";
  bound.search_path += "pg_temp";
  RETURN_IF_ERROR(run(as_executor(bound.search_path)));
  auto described = connection_.describe(work_.statement.text, deadline_);
  if (!described) {
    Error error = std::move(described).error();
    error.message = "statement: " + error.message;
    return error;
  }
  bound.returns_rows = described->columns > 0;
  const std::vector<std::uint32_t>& types = described->parameter_types;
  if (types.size() != work_.statement.parameters.size())
    return Error{Errc::kRefused,
                 fmt::format("statement: the target finds {} parameters in it, and {} are given",
                             types.size(), work_.statement.parameters.size())};
  RETURN_IF_ERROR(run(kAsBroker));
  if (types.empty()) return bound;
  std::string oids;
  for (const std::uint32_t type : types) oids += (oids.empty() ? "" : ",") + std::to_string(type);
  ASSIGN_OR_RETURN(
      const Rows rows,
      run(fmt::format("SELECT pg_catalog.format('%I.%I', n.nspname, t.typname) FROM ROWS FROM ("
                      "pg_catalog.unnest('{{{}}}'::pg_catalog.oid[])) WITH ORDINALITY AS a(oid, i) "
                      "JOIN pg_catalog.pg_type t ON t.oid = a.oid JOIN pg_catalog.pg_namespace n "
                      "ON n.oid = t.typnamespace ORDER BY a.i",
                      oids)));
  if (rows.size() != types.size()) return corrupt();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::string argument =
        fmt::format("CAST({} AS {})", literal_of(work_.statement, i), rows[i].front().value_or(""));
    // Tried here, so that the error names the parameter.
    auto tried =
        run(fmt::format("{}SELECT {};\n{}", as_executor(bound.search_path), argument, kAsBroker));
    if (!tried) {
      Error error = std::move(tried).error();
      error.message = fmt::format("statement_parameters[{}]: {}", i, error.message);
      return error;
    }
    bound.arguments.push_back(std::move(argument));
  }
  return bound;
}

// The executor owns all of it from the beginning, so that nobody's default privileges open it. The
// table is unlogged: nothing of it is replicated, and after a crash of the server it is empty,
// which means used up.
Status StatementExecutor::make_schema() {
  const std::string name = quote_identifier(executor_.database_role);
  auto made =
      run(fmt::format("CREATE SCHEMA {0} AUTHORIZATION {0};\nSET LOCAL ROLE {0};\n"
                      "CREATE UNLOGGED TABLE {0}.{1} (unused pg_catalog.bool PRIMARY KEY);\n"
                      "INSERT INTO {0}.{1} VALUES (true);\n{2}",
                      name, kToken, kAsBroker));
  if (made) return ok();
  Error error = std::move(made).error();
  if (connection_.sqlstate() == "42501")
    error.message += fmt::format(
        "; leases for one statement need a schema of their own: GRANT CREATE ON DATABASE {} TO {}",
        quote_identifier(connection_.database()), quote_identifier(connection_.login()));
  return error;
}

Status StatementExecutor::make_function(std::string_view name, std::string_view result,
                                        std::string_view body, const BoundStatement& bound) {
  const std::string schema = quote_identifier(executor_.database_role);
  std::string settings = "SET search_path = " + bound.search_path;
  for (const auto& [setting, value] : kPinned)
    settings += *value == '\0' ? fmt::format(" SET {} FROM CURRENT", setting)
                               : fmt::format(" SET {} = {}", setting, quote_literal(value));
  RETURN_IF_ERROR(
      run(fmt::format("SET LOCAL ROLE {0};\nCREATE FUNCTION {0}.{1}() RETURNS {2} LANGUAGE plpgsql "
                      "VOLATILE SECURITY DEFINER {3} AS {4};\n"
                      "REVOKE ALL ON FUNCTION {0}.{1}() FROM PUBLIC;\n{5}",
                      schema, name, result, settings, quote_literal(body), kAsBroker)));
  return ok();
}

Status StatementExecutor::leave() {
  if (connection_.is_superuser()) return ok();
  RETURN_IF_ERROR(run(revoke_membership({executor_.database_role, connection_.login(), ""},
                                        connection_.server_version())));
  return ok();
}

std::string_view run_once_result(const BoundStatement& bound) {
  return bound.returns_rows ? "SETOF pg_catalog.jsonb" : "pg_catalog.int8";
}

// Whoever takes the row has the call: a second caller waits for the row's lock, and finds it gone,
// or is refused because of its older snapshot. A call that is rolled back gives the row back.
// Constraints and triggers that wait for the end of the transaction run here and now, with the
// rights that the statement ran with.
std::string run_once_body(const LeaseHandle& executor, const ExecutorWork& work,
                          const BoundStatement& bound) {
  const std::string schema = quote_identifier(executor.database_role);
  std::string with = quote_literal(work.statement.text);
  if (!bound.arguments.empty()) with += " USING " + joined(bound.arguments);
  std::string body = fmt::format(
      "DECLARE\n  result pg_catalog.record;\n  changed pg_catalog.int8;\nBEGIN\n"
      "  DELETE FROM {}.{} WHERE unused;\n"
      "  IF NOT FOUND THEN\n"
      "    RAISE EXCEPTION 'the statement of this lease was run already'\n"
      "      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Ask for another lease.';\n"
      "  END IF;\n",
      schema, kToken);
  if (bound.returns_rows) {
    body += fmt::format(
        "  FOR result IN EXECUTE {} LOOP\n    RETURN NEXT pg_catalog.to_jsonb(result);\n"
        "  END LOOP;\n  SET CONSTRAINTS ALL IMMEDIATE;\nEND",
        with);
  } else {
    body += fmt::format(
        "  EXECUTE {};\n  GET DIAGNOSTICS changed = ROW_COUNT;\n  SET CONSTRAINTS ALL IMMEDIATE;\n"
        "  RETURN changed;\nEND",
        with);
  }
  return body;
}

std::string run_once_sql(std::string_view executor) {
  return fmt::format("SELECT * FROM {}.{}()", quote_identifier(executor),
                     quote_identifier(kFunction));
}

std::string drop_run_once_sql(std::string_view executor) {
  return fmt::format("DROP FUNCTION IF EXISTS {0}.{1}(); DROP TABLE IF EXISTS {0}.{2}",
                     quote_identifier(executor), kFunction, kToken);
}

}  // namespace curfew::engines::postgres
