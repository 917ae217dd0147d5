#include "engines/postgres/issuing.h"

#include <fmt/format.h>

#include "engines/postgres/fence.h"
#include "engines/postgres/issued_rights.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/leased_statement.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_executor.h"
#include "engines/postgres/statement_issuing.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kAttemptsMax = 4;

struct Work {
  std::string statements;
  std::string password_policy;
  int iterations = kScramIterationsDefault;
  bool grants_on_objects = false;
  bool changes_session = false;
  std::int64_t connection_limit = 0;  // to be set; 0: none is
};

Result<Work> read_work(const Json& json) {
  const Fields fields(json);
  Work work;
  ASSIGN_OR_RETURN(work.statements, fields.text_or("statements", ""));
  ASSIGN_OR_RETURN(work.password_policy, fields.text_or("password_policy", ""));
  ASSIGN_OR_RETURN(const auto iterations,
                   fields.integer_or("scram_iterations", kScramIterationsDefault));
  ASSIGN_OR_RETURN(work.grants_on_objects, fields.boolean_or("grants_on_objects", true));
  ASSIGN_OR_RETURN(work.changes_session, fields.boolean_or("changes_session", true));
  ASSIGN_OR_RETURN(work.connection_limit, fields.integer_or("connection_limit", 0));
  work.iterations = static_cast<int>(iterations);
  if (work.statements.empty() || iterations < 1 || iterations > kScramIterationsMax)
    return Error{Errc::kInternal, "the plan of this lease was not made by this engine"};
  return work;
}

std::string create_sql(const Connection& connection, const Work& work, const LeaseHandle& lease,
                       const std::string& mark, const DurableIntent& intent,
                       const PasswordPair& pair, SteadyTime deadline) {
  std::string sql = connection.begin(deadline) + lease_lock(intent.lease_id());
  if (work.grants_on_objects) sql += grant_lock();
  sql += with_login_path(fill(
      work.statements, {lease.database_role, pair.verifier, expiry_text(intent.expires_at())}));
  const std::string name = quote_identifier(lease.database_role);
  if (work.connection_limit > 0)
    sql += fmt::format("ALTER ROLE {} CONNECTION LIMIT {};\n", name, work.connection_limit);
  sql += fmt::format("COMMENT ON ROLE {} IS {};\n", name, quote_literal(mark));
  sql += deadline_fence(connection.server_seconds(deadline));
  sql += fmt::format("SELECT r.oid, {} FROM pg_catalog.pg_roles r WHERE r.rolname = {};\nCOMMIT",
                     kRightsColumn, quote_literal(lease.database_role));
  return sql;
}

// What the lease remembers of the role that was made.
Json facts_of(const Rows& rows, WallTime expires_at) {
  Json facts = Json::object();
  if (rows.empty() || rows.front().size() != 2) return facts;
  const Row& row = rows.front();
  if (row[0]) facts["role_oid"] = std::strtoul(row[0]->c_str(), nullptr, 10);
  if (const auto rights = parse_rights(row[1])) facts["rights"] = rights->to_fact(expires_at);
  return facts;
}

}  // namespace

bool worth_another_try(const Connection& connection, const Error& error) {
  if (failed_at_fence(error)) return true;
  const std::string& state = connection.sqlstate();
  return state == "40001" || state == "40P01" ||
         (state == "XX000" && error.message.find("tuple concurrently") != std::string::npos);
}

Error creation_failed(Error error) {
  if (error.code == Errc::kInDoubt) {
    error.message += "; whether the database role was created is not known, and it is removed";
  } else {
    error.message = fmt::format("failed to execute query: {}; nothing was created", error.message);
  }
  return error;
}

Result<Terms> terms_of(const IssueRequest& request, const LeaseRole& role) {
  ASSIGN_OR_RETURN(const Millis ttl, Fields(request.data).duration_or("ttl", Millis{0}));
  return Terms{role.default_ttl, role.max_ttl, ttl, true};
}

std::string password_policy_of(const LeaseRole& role, const TargetConfig& config) {
  return role.password_policy().empty() ? config.password_policy : role.password_policy();
}

Result<IssuePlan> plan_issue(const IssueRequest& request, const LeaseRole& role,
                             const TargetConfig& config, WallTime now, Random& random) {
  ASSIGN_OR_RETURN(const auto facts,
                   examine_statements("creation_statements", role.creation_statements));
  if (facts.empty) return Error{Errc::kRefused, "empty creation statements"};
  ASSIGN_OR_RETURN(const Terms terms, terms_of(request, role));
  ASSIGN_OR_RETURN(auto statement, leased_statement(request.data));

  LeaseHandle lease{config.name, default_username(role.name, request.lease_id)};
  if (const std::string text = config.username_template(); !text.empty()) {
    ASSIGN_OR_RETURN(
        lease.database_role,
        templated_username(text, {request.attribution.display_name, role.name, now}, random));
  }
  lease.revocation_statements = role.revocation_statements;
  lease.renew_statements = role.renew_statements;
  lease.rollback_statements = role.rollback_statements;
  lease.entity = request.attribution.entity_id;
  lease.trace = request.attribution.trace_id;
  lease.entity_name = request.attribution.entity_name;
  lease.human = request.attribution.human;
  lease.sub_agent = request.attribution.sub_agent;
  lease.requested_by = request.attribution.display_name;
  Json work{{"statements", join_statements(role.creation_statements)},
            {"password_policy", password_policy_of(role, config)},
            {"scram_iterations", config.scram_iterations()},
            {"grants_on_objects", facts.grants_on_objects},
            {"changes_session", facts.changes_session},
            {"connection_limit", facts.limits_connections ? 0 : role.connection_limit}};
  if (statement) {
    lease.executor = executor_name(lease.database_role);
    work["connection_limit"] = role.connection_limit;
    work.update(ExecutorWork{join_statements(role.creation_statements), facts.grants_on_objects,
                             role.allow_dangerous, std::move(*statement)}
                    .to_json());
  }
  return IssuePlan{role.name, lease.to_handle(), terms, std::move(work)};
}

Result<Issued> issue(Pool& pool, VerifierStock& stock, const std::string& mount_accessor,
                     const DurableIntent& intent, const Clock& clock, SteadyTime deadline) {
  if (intent.plan().work.contains("statement"))
    return issue_statement(pool, stock, mount_accessor, intent, clock, deadline);
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(intent.plan().handle));
  ASSIGN_OR_RETURN(const Work work, read_work(intent.plan().work));
  ASSIGN_OR_RETURN(const PasswordPair pair, stock.take(work.password_policy, work.iterations));
  const std::string mark = role_mark(mount_accessor, intent.lease_id(), lease);
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(auto connection, pool.acquire(Use::kIssue, deadline));
    auto rows = connection->run(create_sql(*connection, work, lease, mark, intent, pair, deadline),
                                deadline, {pair.verifier, pair.password.reveal()});
    if (work.changes_session) connection->taint();
    if (rows) {
      return Issued{Json{{"username", lease.database_role}, {"password", pair.password.reveal()}},
                    facts_of(*rows, intent.expires_at())};
    }
    Error error = std::move(rows).error();
    if (failed_at_fence(error)) connection->taint();
    const bool again = attempt < kAttemptsMax && worth_another_try(*connection, error) &&
                       clock.steady() < deadline;
    if (!again) return creation_failed(std::move(error));
  }
}

Status renew(Pool& pool, const std::string& lease_id, const LeaseHandle& lease, WallTime expires_at,
             SteadyTime deadline) {
  ASSIGN_OR_RETURN(const auto facts,
                   examine_statements("renew_statements", lease.renew_statements));
  constexpr const char* kBuiltIn = "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';\n";
  const std::string own = facts.empty ? "" : join_statements(lease.renew_statements);
  ASSIGN_OR_RETURN(auto connection, pool.acquire(Use::kIssue, deadline));
  const auto failed = [&](Error error) {
    error.message = fmt::format("moving the expiry of database role \"{}\": {}",
                                lease.database_role, error.message);
    return error;
  };
  LeaseTransaction transaction(*connection, lease_id, lease, deadline);
  auto role = transaction.begin();
  if (!role) return failed(std::move(role).error());
  if (!*role) return failed({Errc::kRefused, "it does not exist any more"});
  if (!is_issued_name((*role)->name))
    return failed({Errc::kRefused,
                   fmt::format("somebody renamed it to {}, which no statement is run with; rename "
                               "it back, or revoke the lease",
                               quote_identifier((*role)->name))});
  // Of a lease for one statement the operator's statements are about what has the rights.
  const bool apart = !lease.executor.empty();
  std::string statements;
  if (apart || facts.empty)
    statements = fill(kBuiltIn, {(*role)->name, "", expiry_text(expires_at)});
  statements += fill(own, {apart ? lease.executor : (*role)->name, "", expiry_text(expires_at)});
  auto rows = transaction.commit((facts.grants_on_objects ? grant_lock() : "") +
                                 with_login_path(statements));
  if (facts.changes_session) connection->taint();
  if (!rows) return failed(std::move(rows).error());
  return ok();
}

}  // namespace curfew::engines::postgres
