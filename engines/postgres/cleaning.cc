#include "engines/postgres/cleaning.h"

#include <fmt/format.h>

#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kListedMax = 100;
constexpr const char* kDependentObjectsStillExist = "2BP01";

// What the role owns that holds data or is needed by data: what it is, and the statement that
// gives it away. Schemas first: a new owner of a table must be allowed to create in its schema.
// Temporary objects went with their sessions; what belongs to a table goes with the table.
std::string holders_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT kind || ' ' || name, 'ALTER ' || upper(kind) || ' ' || name || ' OWNER TO {1}',
  kind IN ('table', 'foreign table', 'materialized view', 'sequence', 'large object', 'database'),
  relation FROM (
  SELECT 1 AS turn, 'schema' AS kind, format('%I', n.nspname) AS name, 0::oid AS relation
    FROM pg_catalog.pg_namespace n
    WHERE n.nspowner = {0} AND n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 2, 'type', format('%I.%I', n.nspname, t.typname), 0
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typowner = {0} AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
      AND n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 3, CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'materialized view'
      WHEN 'f' THEN 'foreign table' ELSE 'table' END, format('%I.%I', n.nspname, c.relname), c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relowner = {0} AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.deptype IN ('a', 'i'))
  UNION ALL
  SELECT 4, 'large object', l.oid::text, 0 FROM pg_catalog.pg_largeobject_metadata l
    WHERE l.lomowner = {0}
  UNION ALL
  SELECT 5, 'database', format('%I', d.datname), 0 FROM pg_catalog.pg_database d
    WHERE d.datdba = {0}) AS held ORDER BY turn, name)sql",
      oid, kQuarantineRole);
}

// Code that runs when others use the tables which the role made or may change: its triggers, rules
// and policies. Each row is what it is and the statement that drops it.
std::string callers_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT what || ' on ' || place,
  format('DROP %s %I ON %s', split_part(what, ' ', 1), name, place) FROM (
  SELECT 'trigger ' || t.tgname AS what, t.tgname AS name, t.tgrelid::regclass::text AS place
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND (c.relowner = {0} OR p.proowner = {0})
  UNION ALL
  SELECT 'rule ' || r.rulename, r.rulename, r.ev_class::regclass::text
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    WHERE c.relowner = {0} AND c.relkind IN ('r', 'p', 'f') AND r.rulename <> '_RETURN'
  UNION ALL
  SELECT 'policy ' || y.polname, y.polname, y.polrelid::regclass::text
    FROM pg_catalog.pg_policy y JOIN pg_catalog.pg_class c ON c.oid = y.polrelid
    WHERE c.relowner = {0}) AS called ORDER BY 1)sql",
      oid);
}

// Everything else that the role owns here, by its description.
std::string owned_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = {}
  AND d.deptype = 'o' AND b.datname = pg_catalog.current_database() ORDER BY 1 LIMIT {})sql",
      oid, kListedMax + 1);
}

// Statements that take functions and views of the role out of everybody's reach.
std::string unreachable_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT format('REVOKE ALL ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure, w.who)
FROM pg_catalog.pg_proc p CROSS JOIN LATERAL (
  SELECT 'PUBLIC' AS who UNION SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC'
    ELSE a.grantee::regrole::text END
  FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee <> p.proowner) w
WHERE p.proowner = {0}
UNION ALL
SELECT format('ALTER ROUTINE %s SECURITY INVOKER', p.oid::regprocedure)
FROM pg_catalog.pg_proc p WHERE p.proowner = {0} AND p.prosecdef
UNION ALL
SELECT format('REVOKE ALL ON TABLE %s FROM %s CASCADE', c.oid::regclass,
  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
WHERE c.relowner = {0} AND c.relkind IN ('v', 'm') AND a.grantee <> c.relowner)sql",
      oid);
}

Error explained(Error error, const FoundRole& role, const Connection& connection) {
  error.message =
      fmt::format("cleaning up behind database role \"{}\": {}", role.name, error.message);
  if (!connection.is_superuser() && connection.sqlstate() == "42501")
    error.message += fmt::format(
        "; the broker's login {} may not do this: let it own the schema, GRANT CREATE ON SCHEMA … "
        "TO {} for what is kept, or clean up by hand",
        connection.login(), kQuarantineRole);
  return error;
}

class Cleaning {
 public:
  Cleaning(LeaseTransaction& transaction, const FoundRole& role)
      : transaction_(transaction), role_(role), name_(quote_identifier(role.name)) {}

  Result<Cleaned> run() {
    auto done = steps();
    if (!done) return explained(std::move(done).error(), role_, transaction_.connection());
    return std::move(cleaned_);
  }

 private:
  Status steps() {
    RETURN_IF_ERROR(transaction_.run(grant_lock()));
    Connection& connection = transaction_.connection();
    if (!connection.is_superuser())
      RETURN_IF_ERROR(transaction_.run(
          fmt::format("GRANT {} TO {}", name_, quote_identifier(connection.login()))));
    RETURN_IF_ERROR(drop_callers());
    RETURN_IF_ERROR(keep_data());
    RETURN_IF_ERROR(drop_owned());
    if (joined_quarantine_)
      RETURN_IF_ERROR(transaction_.run(
          fmt::format("REVOKE {} FROM {}", kQuarantineRole, quote_identifier(connection.login()))));
    return ok();
  }

  Status drop_callers() {
    ASSIGN_OR_RETURN(const Rows rows, transaction_.run(callers_sql(role_.oid)));
    for (const Row& row : rows) {
      auto dropped = transaction_.attempt(*row[1]);
      if (dropped) {
        list(cleaned_.dropped, *row[0]);
      } else if (!transaction_.connection().in_transaction()) {
        return std::move(dropped).error();
      } else {
        cleaned_.warnings.push_back(
            fmt::format("{} could not be dropped: {}", *row[0], dropped.error().message));
      }
    }
    return ok();
  }

  Status keep_data() {
    ASSIGN_OR_RETURN(const Rows rows, transaction_.run(holders_sql(role_.oid)));
    bool has_data = false;
    for (const Row& row : rows) has_data = has_data || row[2] == "t";
    if (!has_data) return ok();
    RETURN_IF_ERROR(prepare_quarantine());
    for (const Row& row : rows) {
      RETURN_IF_ERROR(transaction_.run(*row[1]));
      list(cleaned_.quarantined, *row[0]);
    }
    return ok();
  }

  Status prepare_quarantine() {
    if (quarantine_ready_) return ok();
    const std::string look = fmt::format(
        "SELECT r.rolcanlogin OR r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = '{}'",
        kQuarantineRole);
    ASSIGN_OR_RETURN(Rows rows, transaction_.run(look));
    if (rows.empty()) {
      // Another broker may make it at the same moment; then the second look finds it.
      auto made = transaction_.attempt(fmt::format("CREATE ROLE {} NOLOGIN", kQuarantineRole));
      if (!made && !transaction_.connection().in_transaction()) return std::move(made).error();
      ASSIGN_OR_RETURN(rows, transaction_.run(look));
      if (rows.empty()) return made ? ok() : Status(std::move(made).error());
    }
    if (rows.front().front() == "t")
      return Error{Errc::kRefused,
                   fmt::format("role {0} can log in or is a superuser, so nothing is safe with it; "
                               "ALTER ROLE {0} NOLOGIN NOSUPERUSER",
                               kQuarantineRole)};
    Connection& connection = transaction_.connection();
    if (!connection.is_superuser()) {
      RETURN_IF_ERROR(transaction_.run(
          fmt::format("GRANT {} TO {}", kQuarantineRole, quote_identifier(connection.login()))));
      joined_quarantine_ = true;
    }
    quarantine_ready_ = true;
    return ok();
  }

  Status drop_owned() {
    ASSIGN_OR_RETURN(const Rows owned, transaction_.run(owned_sql(role_.oid)));
    auto dropped = transaction_.attempt("DROP OWNED BY " + name_);
    if (dropped) {
      for (const Row& row : owned) list(cleaned_.dropped, row[0].value_or("?"));
      return ok();
    }
    if (transaction_.attempt_sqlstate() != kDependentObjectsStillExist)
      return std::move(dropped).error();
    return keep_what_others_need(owned);
  }

  // Objects of other people hang on something that the role owns: nothing of it is dropped, and
  // nobody can use it.
  Status keep_what_others_need(const Rows& owned) {
    ASSIGN_OR_RETURN(const Rows statements, transaction_.run(unreachable_sql(role_.oid)));
    for (const Row& row : statements) RETURN_IF_ERROR(transaction_.run(*row[0]));
    RETURN_IF_ERROR(prepare_quarantine());
    RETURN_IF_ERROR(
        transaction_.run(fmt::format("REASSIGN OWNED BY {} TO {}", name_, kQuarantineRole)));
    RETURN_IF_ERROR(transaction_.run("DROP OWNED BY " + name_));
    for (const Row& row : owned) list(cleaned_.quarantined, row[0].value_or("?"));
    cleaned_.warnings.push_back(
        fmt::format("objects that the role made are used by objects of others; they were kept, "
                    "belong to {} now and can be called by nobody",
                    kQuarantineRole));
    return ok();
  }

  static void list(std::vector<std::string>& names, std::string name) {
    if (names.size() < kListedMax) {
      names.push_back(std::move(name));
    } else if (names.size() == kListedMax) {
      names.emplace_back("…");
    }
  }

  LeaseTransaction& transaction_;
  const FoundRole& role_;
  const std::string name_;
  Cleaned cleaned_;
  bool quarantine_ready_ = false;
  bool joined_quarantine_ = false;
};

}  // namespace

Json Cleaned::note() const {
  Json out = Json::object();
  if (!quarantined.empty()) out["quarantined"] = quarantined;
  if (!dropped.empty()) out["dropped"] = dropped;
  if (!warnings.empty()) out["warnings"] = warnings;
  return out;
}

Result<Cleaned> clean_database(LeaseTransaction& transaction, const FoundRole& role) {
  if (role.dependencies_here == 0) return Cleaned{};
  return Cleaning(transaction, role).run();
}

}  // namespace curfew::engines::postgres
