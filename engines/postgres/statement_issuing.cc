#include "engines/postgres/statement_issuing.h"

#include <fmt/format.h>

#include "engines/postgres/fence.h"
#include "engines/postgres/issued_rights.h"
#include "engines/postgres/issuing.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_executor.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kAttemptsMax = 4;
constexpr const char* kRun = "run";

struct Work {
  ExecutorWork executor;
  std::string password_policy;
  int iterations = kScramIterationsDefault;
  std::int64_t connection_limit = 0;  // 0: none
};

Result<Work> read_work(const Json& json) {
  const Fields fields(json);
  Work work;
  ASSIGN_OR_RETURN(work.executor, ExecutorWork::from_json(json));
  ASSIGN_OR_RETURN(work.password_policy, fields.text_or("password_policy", ""));
  ASSIGN_OR_RETURN(const auto iterations,
                   fields.integer_or("scram_iterations", kScramIterationsDefault));
  ASSIGN_OR_RETURN(work.connection_limit, fields.integer_or("connection_limit", 0));
  work.iterations = static_cast<int>(iterations);
  if (work.executor.creation.empty() || iterations < 1 || iterations > kScramIterationsMax)
    return Error{Errc::kInternal, "the plan of this lease was not made by this engine"};
  return work;
}

// One attempt, over one connection.
class Attempt {
 public:
  Attempt(Connection& connection, const std::string& mount_accessor, const DurableIntent& intent,
          const LeaseHandle& lease, const Work& work, SteadyTime deadline)
      : connection_(connection),
        mount_accessor_(mount_accessor),
        intent_(intent),
        lease_(lease),
        executor_(executor_of(lease)),
        work_(work),
        transaction_(connection, intent.lease_id(), lease, deadline),
        maker_(connection, executor_, work.executor, deadline),
        deadline_(deadline) {}

  // Facts for the lease. `verifier` is of the database role's password, `unknown` of one that
  // nobody is told.
  Result<Json> run(const std::string& verifier, const std::string& unknown) {
    hidden_ = verifier;
    RETURN_IF_ERROR(begin());
    ASSIGN_OR_RETURN(const std::uint32_t executor_oid,
                     maker_.make_role(role_mark(mount_accessor_, intent_.lease_id(), executor_),
                                      unknown, intent_.expires_at()));
    ASSIGN_OR_RETURN(const BoundStatement bound, maker_.bind());
    RETURN_IF_ERROR(make_role());
    RETURN_IF_ERROR(check_role());
    RETURN_IF_ERROR(maker_.make_schema());
    RETURN_IF_ERROR(maker_.make_function(kRun, run_once_result(bound),
                                         run_once_body(executor_, work_.executor, bound), bound));
    RETURN_IF_ERROR(let_it_run());
    RETURN_IF_ERROR(maker_.leave());
    ASSIGN_OR_RETURN(const Rows rows, commit());
    return facts_of(rows, executor_oid);
  }

 private:
  // Nothing but the last step can leave something in doubt.
  Result<Rows> step(const std::string& sql) {
    auto rows = connection_.run(sql, deadline_, {hidden_});
    if (rows || rows.error().code != Errc::kInDoubt) return rows;
    Error error = std::move(rows).error();
    error.code = Errc::kUnavailable;
    return error;
  }

  Status begin() {
    auto begun = transaction_.begin();
    if (begun) return ok();
    Error error = std::move(begun).error();
    if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
    return error;
  }

  Status make_role() {
    const std::string name = quote_identifier(lease_.database_role);
    RETURN_IF_ERROR(step(fmt::format(
        "CREATE ROLE {} LOGIN NOINHERIT CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {};\n"
        "COMMENT ON ROLE {} IS {}",
        name, work_.connection_limit > 0 ? work_.connection_limit : -1, quote_literal(hidden_),
        quote_literal(expiry_text(intent_.expires_at())), name,
        quote_literal(role_mark(mount_accessor_, intent_.lease_id(), lease_)))));
    return ok();
  }

  // Whoever may create in a schema that the statement's names are looked up in can put a function
  // of his own under them, and that would run with the executor's rights. The role may do there
  // what PUBLIC may.
  Status check_role() {
    const std::string role = quote_literal(lease_.database_role);
    std::string open;
    for (const std::string& schema : maker_.path()) {
      ASSIGN_OR_RETURN(const Rows rows,
                       step(fmt::format("SELECT pg_catalog.has_schema_privilege({}, {}, 'CREATE')",
                                        role, quote_literal(schema))));
      if (rows.empty() || rows.front().front() != "f") {
        open = schema;
        break;
      }
    }
    if (!open.empty())
      return Error{Errc::kRefused,
                   fmt::format("everybody may create objects in schema {0} and so change what the "
                               "statement does: REVOKE CREATE ON SCHEMA {0} FROM PUBLIC",
                               quote_identifier(open))};
    return let_it_connect(role);
  }

  // Where PUBLIC may not connect the right comes from what the executor has.
  Status let_it_connect(const std::string& role) {
    const std::string asked =
        "SELECT pg_catalog.has_database_privilege({}, pg_catalog.current_database(), 'CONNECT'), "
        "pg_catalog.has_database_privilege({}, pg_catalog.current_database(), 'CONNECT')";
    const std::string may =
        fmt::format(fmt::runtime(asked), role, quote_literal(executor_.database_role));
    ASSIGN_OR_RETURN(Rows rows, step(may));
    if (!rows.empty() && rows.front()[0] == "t") return ok();
    const std::string database = quote_identifier(connection_.database());
    if (!rows.empty() && rows.front()[1] == "t") {
      RETURN_IF_ERROR(step(fmt::format("GRANT CONNECT ON DATABASE {} TO {}", database,
                                       quote_identifier(lease_.database_role))));
      ASSIGN_OR_RETURN(rows, step(may));
      if (!rows.empty() && rows.front()[0] == "t") return ok();
    }
    return Error{Errc::kRefused,
                 fmt::format("the leased role could not connect to database {}: GRANT CONNECT ON "
                             "DATABASE {} TO {} WITH GRANT OPTION, and let creation_statements "
                             "grant it to \"{{{{name}}}}\"",
                             database, database, quote_identifier(connection_.login()))};
  }

  Status let_it_run() {
    RETURN_IF_ERROR(
        step(fmt::format("SET LOCAL ROLE {0};\nGRANT USAGE ON SCHEMA {0} TO {1};\n"
                         "GRANT EXECUTE ON FUNCTION {0}.{2}() TO {1};\n{3}",
                         quote_identifier(executor_.database_role),
                         quote_identifier(lease_.database_role), kRun, kAsBroker)));
    return ok();
  }

  Result<Rows> commit() {
    return connection_.run(
        deadline_fence(connection_.server_seconds(deadline_)) +
            fmt::format("SELECT r.oid, {} FROM pg_catalog.pg_roles r WHERE r.rolname = {};\nCOMMIT",
                        kRightsColumn, quote_literal(lease_.database_role)),
        deadline_, {hidden_});
  }

  Json facts_of(const Rows& rows, std::uint32_t executor_oid) const {
    Json facts{{"executor_oid", executor_oid}};
    if (rows.empty() || rows.front().size() != 2) return facts;
    if (rows.front()[0]) facts["role_oid"] = std::strtoul(rows.front()[0]->c_str(), nullptr, 10);
    if (const auto rights = parse_rights(rows.front()[1]))
      facts["rights"] = rights->to_fact(intent_.expires_at());
    return facts;
  }

  Connection& connection_;
  const std::string& mount_accessor_;
  const DurableIntent& intent_;
  const LeaseHandle& lease_;
  const LeaseHandle executor_;
  const Work& work_;
  LeaseTransaction transaction_;
  StatementExecutor maker_;
  const SteadyTime deadline_;
  std::string hidden_;
};

}  // namespace

Result<Issued> issue_statement(Pool& pool, VerifierStock& stock, const std::string& mount_accessor,
                               const DurableIntent& intent, const Clock& clock,
                               SteadyTime deadline) {
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(intent.plan().handle));
  ASSIGN_OR_RETURN(const Work work, read_work(intent.plan().work));
  ASSIGN_OR_RETURN(const PasswordPair pair, stock.take(work.password_policy, work.iterations));
  ASSIGN_OR_RETURN(const PasswordPair unknown, stock.take("", work.iterations));
  for (int tries = 1;; ++tries) {
    ASSIGN_OR_RETURN(auto connection, pool.acquire(Use::kIssue, deadline));
    // The settings of its transactions end with them; what the operator's statements leave does
    // not.
    connection->taint();
    Attempt attempt(*connection, mount_accessor, intent, lease, work, deadline);
    auto facts = attempt.run(pair.verifier, unknown.verifier);
    if (facts)
      return Issued{Json{{"username", lease.database_role},
                         {"password", pair.password.reveal()},
                         {"execute", run_once_sql(lease.executor)}},
                    std::move(*facts)};
    Error error = std::move(facts).error();
    const bool again =
        tries < kAttemptsMax && clock.steady() < deadline && worth_another_try(*connection, error);
    if (!again) return creation_failed(std::move(error));
  }
}

}  // namespace curfew::engines::postgres
