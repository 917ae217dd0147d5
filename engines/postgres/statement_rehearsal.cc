#include "engines/postgres/statement_rehearsal.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/postgres/evidence.h"
#include "engines/postgres/issuing.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/leased_statement.h"
#include "engines/postgres/role_privileges.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_effects.h"
#include "engines/postgres/statement_executor.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

constexpr Millis kTimeMax{10'000};
constexpr Millis kLockWait{2'000};
constexpr Millis kSampleTime{1'000};
constexpr int kSampleRows = 5;
constexpr Seconds kLifetime{600};
constexpr int kAttemptsMax = 3;

// What follows is the broker's own, whatever the statement did to the session.
constexpr const char* kMineAgain =
    "RESET ROLE;\nSET LOCAL search_path TO pg_catalog, pg_temp;\n"
    "SET LOCAL standard_conforming_strings = on;\nSET LOCAL client_encoding TO DEFAULT;\n"
    "SET LOCAL client_min_messages = warning;\n";

struct Script {
  std::string lease_id;
  LeaseHandle executor;
  ExecutorWork work;
  std::string verifier;
  WallTime expires_at;
};

// A table that changed.
struct Changed {
  std::string schema, name, full;  // full: whole and quoted
  std::int64_t inserted = 0, updated = 0, deleted = 0;
  std::string order_by;  // SQL: its primary key, or empty
  Json before = nullptr, after = nullptr;
};

std::int64_t number(const std::optional<std::string>& text) {
  return std::strtoll(text.value_or("0").c_str(), nullptr, 10);
}

class Trial {
 public:
  Trial(Connection& connection, const std::string& mount_accessor, const Script& script,
        const Clock& clock, SteadyTime deadline)
      : connection_(connection),
        mount_accessor_(mount_accessor),
        script_(script),
        clock_(clock),
        deadline_(deadline),
        transaction_(connection, script.lease_id, script.executor, deadline),
        maker_(connection, script.executor, script.work, deadline) {}

  // The rights alone.
  Result<Json> rights() {
    RETURN_IF_ERROR(make_role());
    return bounded_evidence(std::move(privileges_));
  }

  Result<Json> run() {
    RETURN_IF_ERROR(make_role());
    RETURN_IF_ERROR(bind());
    ASSIGN_OR_RETURN(const Json plan, explain());
    auto effects = statement_effects(connection_, deadline_, script_.work.statement, plan);
    if (!effects) return own(std::move(effects).error());
    ASSIGN_OR_RETURN(Json evidence, execute());
    RETURN_IF_ERROR(own(look_at_tables()));
    ASSIGN_OR_RETURN(evidence["locks"], look_at_locks());
    for (Changed& table : tables_) table.after = sample(table, "xmin");
    RETURN_IF_ERROR(step("ROLLBACK TO SAVEPOINT curfew_trial"));
    for (Changed& table : tables_) table.before = sample(table, "xmax");
    evidence["tables"] = shown_tables();
    evidence["plan"] = bounded_plan(plan);
    evidence["triggers"] = effects->triggers;
    evidence["warnings"] = effects->warnings;
    evidence.update(privileges_);
    return bounded_evidence(std::move(evidence));
  }

 private:
  // What is not committed goes with its session.
  static Error own(Error error) {
    if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
    return error;
  }
  static Status own(Status status) {
    return status ? std::move(status) : Status(own(std::move(status).error()));
  }
  Result<Rows> step(const std::string& sql) {
    auto rows = connection_.run(sql, deadline_, {script_.verifier});
    if (!rows) return own(std::move(rows).error());
    return rows;
  }

  Status make_role() {
    auto begun = transaction_.begin();
    if (!begun) return own(std::move(begun).error());
    ASSIGN_OR_RETURN(
        const std::uint32_t oid,
        maker_.make_role(role_mark(mount_accessor_, script_.lease_id, script_.executor),
                         script_.verifier, script_.expires_at));
    auto seen = role_privileges(connection_, oid, deadline_);
    if (!seen) return own(std::move(seen).error());
    privileges_ = std::move(*seen);
    return ok();
  }

  Status bind() {
    // Reading the statement waits for the locks of others, too.
    RETURN_IF_ERROR(step(fmt::format("SET LOCAL lock_timeout = {}", kLockWait.count())));
    auto bound = maker_.bind();
    // Nothing was read: the message is about the statement's own words.
    if (!bound && (bound.error().code == Errc::kRefused || connection_.sqlstate() == "55P03"))
      return Error{Errc::kInvalidArgument, bound.error().message};
    if (!bound) return std::move(bound).error();
    bound_ = std::move(*bound);
    return maker_.make_schema();
  }

  std::string schema() const { return quote_identifier(script_.executor.database_role); }

  // "… EXECUTE <text> [USING …]"
  std::string dynamic(const std::string& text) const {
    std::string sql = "EXECUTE " + quote_literal(text);
    for (std::size_t i = 0; i < bound_.arguments.size(); ++i)
      sql += (i == 0 ? " USING " : ", ") + bound_.arguments[i];
    return sql;
  }

  // Calls one of the executor's functions and takes the session back in the same round trip.
  Result<Json> call(const std::string& function, Millis time) {
    const SteadyTime until = std::min(deadline_, clock_.steady() + time);
    auto rows = connection_.run(
        fmt::format("{}SET LOCAL lock_timeout = {};\nSELECT {}.{}();\n{}",
                    connection_.time_limit(until), std::min(time, kLockWait).count(), schema(),
                    function, kMineAgain),
        deadline_);
    if (!rows) return own(std::move(rows).error());
    if (rows->empty() || rows->front().empty())
      return Error{Errc::kCorrupt, "the target does not answer as PostgreSQL does"};
    return parse_json(rows->front().front().value_or("null"));
  }

  Result<Json> explain() {
    RETURN_IF_ERROR(maker_.make_function(
        "explain", "pg_catalog.json",
        fmt::format("DECLARE plan pg_catalog.json;\nBEGIN\n  {} INTO plan{};\n  RETURN plan;\nEND",
                    "EXECUTE " + quote_literal("EXPLAIN (FORMAT JSON, VERBOSE) " +
                                               script_.work.statement.text),
                    using_clause()),
        bound_));
    auto plan = call("explain", kTimeMax);
    if (!plan) return failure_of(std::move(plan).error());
    return plan;
  }

  std::string using_clause() const {
    std::string sql;
    for (std::size_t i = 0; i < bound_.arguments.size(); ++i)
      sql += (i == 0 ? " USING " : ", ") + bound_.arguments[i];
    return sql;
  }

  // In a savepoint: after it is taken back the rows as they were bear its transaction's id.
  Result<Json> execute() {
    const std::string token = schema() + ".once";
    std::string body = fmt::format(
        "DECLARE\n  result pg_catalog.record;\n  given pg_catalog.jsonb := '[]';\n"
        "  n pg_catalog.int8 := 0;\n  mine pg_catalog.xid;\n"
        "  began pg_catalog.timestamptz := pg_catalog.clock_timestamp();\n"
        "BEGIN\n  UPDATE {0} SET unused = false RETURNING xmin INTO mine;\n",
        token);
    if (bound_.returns_rows) {
      body += fmt::format(
          "  FOR result IN {} LOOP\n    n := n OPERATOR(pg_catalog.+) 1;\n"
          "    IF n OPERATOR(pg_catalog.<=) {} THEN\n"
          "      given := given OPERATOR(pg_catalog.||) "
          "pg_catalog.jsonb_build_array(pg_catalog.to_jsonb(result));\n    END IF;\n  END LOOP;\n",
          dynamic(script_.work.statement.text), kSampleRows);
    } else {
      body += fmt::format("  {};\n  GET DIAGNOSTICS n = ROW_COUNT;\n",
                          dynamic(script_.work.statement.text));
    }
    body +=
        "  SET CONSTRAINTS ALL IMMEDIATE;\n"
        "  RETURN pg_catalog.jsonb_build_object('rows', n, 'sample', given, 'xid', "
        "mine::pg_catalog.text, 'milliseconds', pg_catalog.round((EXTRACT(epoch FROM "
        "pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began) OPERATOR(pg_catalog.*) "
        "1000)::pg_catalog.numeric, 1));\nEND";
    RETURN_IF_ERROR(maker_.make_function("trial", "pg_catalog.jsonb", body, bound_));
    RETURN_IF_ERROR(step("SAVEPOINT curfew_trial"));
    auto done = call("trial", kTimeMax);
    if (!done) return failure_of(std::move(done).error());
    xid_ = done->value("xid", "");
    done->erase("xid");
    if (!bound_.returns_rows) done->erase("sample");
    return done;
  }

  // A message may hold data that who asks has not been allowed to see: '… invalid input syntax for
  // type integer: "the secret"'. Those of these kinds name objects and nothing else.
  Error failure_of(Error error) const {
    const std::string& state = connection_.sqlstate();
    if (error.code != Errc::kRefused && state != "57014" && state != "55P03") return own(error);
    const bool plain = state.starts_with("23") || state == "42501" || state == "57014" ||
                       state == "55P03" || state == "40P01" || state == "55000";
    if (plain)
      return {Errc::kInvalidArgument,
              "statement: tried and taken back, it fails: " + error.message};
    return {Errc::kInvalidArgument,
            fmt::format("statement: tried and taken back, it fails with SQLSTATE {}; the target's "
                        "message may hold data and is not passed on",
                        state)};
  }

  Status look_at_tables() {
    ASSIGN_OR_RETURN(const Rows rows,
                     step(fmt::format(
                         R"sql(SELECT s.schemaname, s.relname,
  pg_catalog.format('%I.%I', s.schemaname, s.relname), s.n_tup_ins, s.n_tup_upd, s.n_tup_del,
  (SELECT pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY k.i)
     FROM pg_catalog.pg_index x CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::pg_catalog.int2[])
       WITH ORDINALITY AS k(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid
       AND a.attnum = k.n WHERE x.indrelid = s.relid AND x.indisprimary)
FROM pg_catalog.pg_stat_xact_user_tables s
WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname <> {}
ORDER BY 1, 2 LIMIT {})sql",
                         quote_literal(script_.executor.database_role), kEvidenceTablesMax)));
    for (const Row& row : rows) {
      if (row.size() != 7) return Error{Errc::kCorrupt, "the target's statistics are unreadable"};
      Changed table;
      table.schema = row[0].value_or("");
      table.name = row[1].value_or("");
      table.full = row[2].value_or("");
      table.inserted = number(row[3]);
      table.updated = number(row[4]);
      table.deleted = number(row[5]);
      table.order_by = row[6].value_or("");
      tables_.push_back(std::move(table));
    }
    return ok();
  }

  Result<Json> look_at_locks() {
    ASSIGN_OR_RETURN(
        const Rows rows,
        step(fmt::format(
            "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname), l.mode FROM "
            "pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN "
            "pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_database d ON "
            "d.oid = l.database WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = "
            "'relation' AND d.datname = pg_catalog.current_database() AND n.nspname NOT IN "
            "('pg_catalog', 'pg_toast', 'information_schema', {}) ORDER BY 1, 2 LIMIT {}",
            quote_literal(script_.executor.database_role), kEvidenceLocksMax)));
    Json locks = Json::array();
    for (const Row& row : rows)
      locks.push_back({{"relation", row.at(0).value_or("")}, {"mode", row.at(1).value_or("")}});
    return locks;
  }

  // Rows of a table that the trial made (xmin), or those that it took away (xmax): as far as the
  // executor may see them, and where a look through the table finds them soon. null: not.
  Json sample(const Changed& table, const char* column) {
    const bool made = std::string_view(column) == "xmin";
    if ((made ? table.inserted + table.updated : table.updated + table.deleted) == 0)
      return nullptr;
    const std::string function = fmt::format("sample_{}_{}", column, ++samples_);
    const std::string body = fmt::format(
        "DECLARE given pg_catalog.jsonb;\nBEGIN\n  SELECT pg_catalog.jsonb_agg(r.row) INTO given "
        "FROM (SELECT pg_catalog.to_jsonb(t) AS row FROM ONLY {} t WHERE t.{} "
        "OPERATOR(pg_catalog.=) {}::pg_catalog.xid {} LIMIT {}) r;\n  RETURN given;\nEND",
        table.full, column, quote_literal(xid_),
        table.order_by.empty() ? "" : "ORDER BY " + table.order_by, kSampleRows);
    if (!step("SAVEPOINT curfew_sample")) return nullptr;
    Json rows = nullptr;
    if (maker_.make_function(function, "pg_catalog.jsonb", body, bound_)) {
      auto seen = call(function, kSampleTime);
      if (seen) rows = std::move(*seen);
    }
    if (!step(std::string("ROLLBACK TO SAVEPOINT curfew_sample;\n") + kMineAgain)) return nullptr;
    return rows;
  }

  Json shown_tables() {
    Json out = Json::array();
    for (Changed& table : tables_) {
      Json one{{"table", table.full},
               {"inserted", table.inserted},
               {"updated", table.updated},
               {"deleted", table.deleted}};
      if (!table.before.is_null()) one["sample_before"] = std::move(table.before);
      if (!table.after.is_null()) one["sample_after"] = std::move(table.after);
      out.push_back(std::move(one));
    }
    return out;
  }

  Connection& connection_;
  const std::string& mount_accessor_;
  const Script& script_;
  const Clock& clock_;
  const SteadyTime deadline_;
  LeaseTransaction transaction_;
  StatementExecutor maker_;
  BoundStatement bound_;
  Json privileges_;
  std::string xid_;
  std::vector<Changed> tables_;
  int samples_ = 0;
};

}  // namespace

Result<Json> StatementRehearsal::attempt(const IssueRequest& request, Pool& pool,
                                         SteadyTime deadline) {
  IssueRequest trial = request;
  trial.lease_id = fmt::format("rehearsal/{}/{}", role_.name, random_base62(around_.random, 24));
  const WallTime now = around_.clock.wall();
  ASSIGN_OR_RETURN(const IssuePlan plan, plan_issue(trial, role_, config_, now, around_.random));
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(plan.handle));
  const bool has_statement = !lease.executor.empty();
  Script script{
      trial.lease_id, has_statement ? executor_of(lease) : lease, {}, "", now + kLifetime};
  if (has_statement) {
    ASSIGN_OR_RETURN(script.work, ExecutorWork::from_json(plan.work));
    RETURN_IF_ERROR(refuse_lasting_calls(script.work.statement));
  } else {
    // Whether they are too many is for those to say who look at them.
    script.work = {join_statements(role_.creation_statements), true, true, {}};
  }
  script.verifier =
      scram_verifier(random_base62(around_.random, 32),
                     random_bytes(around_.random, kScramSaltBytes), kScramIterationsDefault);
  for (int tries = 1;; ++tries) {
    ASSIGN_OR_RETURN(auto connection, pool.acquire(Use::kIssue, deadline));
    connection->taint();  // whatever the statement leaves in the session goes with it
    Trial once(*connection, around_.mount_accessor, script, around_.clock, deadline);
    auto evidence = has_statement ? once.run() : once.rights();
    if (evidence || tries == kAttemptsMax || !worth_another_try(*connection, evidence.error()))
      return evidence;
  }
}

Result<Json> StatementRehearsal::run(const IssueRequest& request, Pool& pool, SteadyTime deadline) {
  ASSIGN_OR_RETURN(const auto statement, leased_statement(request.data));
  auto evidence = attempt(request, pool, std::min(deadline, around_.clock.steady() + kTimeMax));
  if (evidence || statement) return evidence;
  return Error{Errc::kUnsupportedOperation,
               "which rights the lease would give was not found out: " + evidence.error().message};
}

}  // namespace curfew::engines::postgres
