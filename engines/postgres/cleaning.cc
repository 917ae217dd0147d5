#include "engines/postgres/cleaning.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "engines/postgres/quarantine_role.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kListedMax = 100;
constexpr int kNamedMax = 10;   // in one warning
constexpr int kKeptMax = 5000;  // that are named in the log; the rest is kept all the same
constexpr const char* kDependentObjectsStillExist = "2BP01";

void list(std::vector<std::string>& names, std::string name) {
  if (names.size() < kListedMax) {
    names.push_back(std::move(name));
  } else if (names.size() == kListedMax) {
    names.emplace_back("…");
  }
}

std::uint32_t to_oid(const std::optional<std::string>& text) {
  return static_cast<std::uint32_t>(std::strtoul(text.value_or("0").c_str(), nullptr, 10));
}

// Rows: a schema of others in which the role owns something and the quarantine role may not create.
// Large objects are in no schema.
std::string closed_schemas_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT DISTINCT n.oid::regnamespace::text
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
JOIN pg_catalog.pg_namespace n ON i.schema IN (n.nspname, pg_catalog.quote_ident(n.nspname))
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = {0}
  AND d.deptype = 'o' AND b.datname = pg_catalog.current_database() AND n.nspowner <> {0}
  AND d.classid <> 'pg_catalog.pg_largeobject'::pg_catalog.regclass
  AND NOT pg_catalog.has_schema_privilege('{1}', n.oid, 'CREATE'))sql",
      oid, kQuarantineRole);
}

// The statement that gives the right whose absence `message` reports. The new owner of a schema
// needs one on the database, that of a foreign server one on its wrapper; the server names them.
std::string missing_grant(std::string_view message) {
  for (const auto& [what, right] :
       {std::pair{"database ", "CREATE ON DATABASE"},
        std::pair{"foreign-data wrapper ", "USAGE ON FOREIGN DATA WRAPPER"},
        std::pair{"schema ", "CREATE ON SCHEMA"},
        std::pair{"tablespace ", "CREATE ON TABLESPACE"}}) {
    const std::string begin = std::string("permission denied for ") + what;
    const auto at = message.find(begin);
    if (at == std::string_view::npos) continue;
    std::string_view name = message.substr(at + begin.size());
    name = name.substr(0, name.find(" (SQLSTATE"));
    return fmt::format("GRANT {} {} TO {}", right, quote_identifier(name), kQuarantineRole);
  }
  return fmt::format("GRANT CREATE ON SCHEMA … TO {}", kQuarantineRole);
}

Error explained(Error error, const FoundRole& role, const Connection& connection) {
  const std::string grant = missing_grant(error.message);
  error.message = fmt::format("cleaning up behind database role \"{}\" in database \"{}\": {}",
                              role.name, connection.database(), error.message);
  if (!connection.is_superuser() && connection.sqlstate() == "42501")
    error.message += fmt::format(
        "; the broker's login {} may not do this: let it own the schema, {} for what is kept "
        "(CREATE ROLE {} NOLOGIN if there is none), or clean up by hand",
        connection.login(), grant, kQuarantineRole);
  return error;
}

class Cleaning {
 public:
  Cleaning(Transaction& transaction, const FoundRole& role, Scope scope)
      : transaction_(transaction),
        role_(role),
        scope_(scope),
        name_(quote_identifier(role.name)),
        quarantine_(transaction) {}

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
          grant_membership(role_.name, connection.login(), connection.server_version())));
    RETURN_IF_ERROR(drop_code());
    if (!cleaned_.more) RETURN_IF_ERROR(keep_data());
    if (!cleaned_.more) RETURN_IF_ERROR(drop_owned());
    return leave_quarantine();
  }

  // What stays would run as whoever uses the table, so the access would not be over.
  Status drop_code() {
    ASSIGN_OR_RETURN(const Rows rows, transaction_.run(code_sql(role_.oid)));
    std::string stuck;
    for (const Row& row : rows) {
      auto dropped = transaction_.attempt(*row[1]);
      if (dropped) {
        list(cleaned_.dropped, *row[0]);
      } else if (!transaction_.connection().in_transaction()) {
        return std::move(dropped).error();
      } else {
        stuck +=
            fmt::format("{}{} ({})", stuck.empty() ? "" : ", ", *row[0], dropped.error().message);
      }
    }
    cleaned_.more = is_full(rows);
    if (stuck.empty()) return ok();
    return Error{Errc::kRefused,
                 fmt::format("code of the role is left that runs without its login: {}; let the "
                             "owner of the table, or a superuser, drop it",
                             stuck)};
  }

  Status keep_data() {
    ASSIGN_OR_RETURN(const Rows rows, transaction_.run(holders_sql(role_.oid, scope_)));
    if (rows.empty() || rows.front()[3] != "t") return ok();
    ASSIGN_OR_RETURN(const Rows closing, transaction_.run(close_holders_sql(role_.oid, scope_)));
    RETURN_IF_ERROR(run_all(closing));
    cleaned_.more = is_full(closing) || is_full(rows);
    if (is_full(closing)) return ok();
    RETURN_IF_ERROR(enter_quarantine());
    std::string statements;
    for (const Row& row : rows) {
      statements += *row[2] + ";\n";
      keep(row[4], row[5], *row[0], *row[1]);
    }
    RETURN_IF_ERROR(transaction_.run(statements));
    return ok();
  }

  // DROP OWNED locks all at once, so many objects are thinned out before.
  Status drop_owned() {
    ASSIGN_OR_RETURN(Rows owned, transaction_.run(others_sql(role_.oid, kObjectsPerBatch)));
    if (is_full(owned)) {
      ASSIGN_OR_RETURN(cleaned_.more, drop_what_can_go(owned));
      if (cleaned_.more) return ok();
      ASSIGN_OR_RETURN(owned, transaction_.run(others_sql(role_.oid, kKeptMax)));
      return keep_what_others_need(owned);
    }
    const bool takes_data_along = !owned.empty() && owned.front()[2] == "t";
    if (!takes_data_along) {
      auto dropped = transaction_.attempt("DROP OWNED BY " + name_);
      if (dropped) {
        for (const Row& row : owned) list(cleaned_.dropped, row[0].value_or("?"));
        return ok();
      }
      if (transaction_.attempt_sqlstate() != kDependentObjectsStillExist)
        return std::move(dropped).error();
    }
    RETURN_IF_ERROR(drop_what_nobody_needs(owned));
    return keep_what_others_need(owned);
  }

  // One by one, and again while something went: what is dropped may have needed what was not. Those
  // that stay are left in `owned`.
  Status drop_what_nobody_needs(Rows& owned) {
    for (bool progress = true; progress;) {
      ASSIGN_OR_RETURN(progress, drop_what_can_go(owned));
    }
    return ok();
  }

  // Tries each once. Those that stay are left in `owned`. true: some went.
  Result<bool> drop_what_can_go(Rows& owned) {
    Rows left;
    const std::size_t before = owned.size();
    for (Row& row : owned) {
      const bool can_be_tried = !row[1].value_or("").empty() && row[2] != "t";
      if (can_be_tried && transaction_.attempt(*row[1])) {
        list(cleaned_.dropped, row[0].value_or("?"));
      } else if (!transaction_.connection().in_transaction()) {
        return Error{Errc::kInDoubt, "the connection broke"};
      } else {
        left.push_back(std::move(row));
      }
    }
    owned = std::move(left);
    return owned.size() < before;
  }

  // Objects of other people hang on something that the role owns, or it holds data: it stays, and
  // nobody can use it.
  Status keep_what_others_need(const Rows& owned) {
    ASSIGN_OR_RETURN(const Rows closing, transaction_.run(close_others_sql(role_.oid)));
    RETURN_IF_ERROR(run_all(closing));
    RETURN_IF_ERROR(enter_quarantine());
    RETURN_IF_ERROR(
        transaction_.run(fmt::format("REASSIGN OWNED BY {} TO {}", name_, kQuarantineRole)));
    RETURN_IF_ERROR(transaction_.run("DROP OWNED BY " + name_));
    std::string names;
    int named = 0;
    for (const Row& row : owned) {
      if (row[1].value_or("").empty()) continue;
      keep(row[3], row[4], row[5].value_or("object"), row[6].value_or("?"));
      if (++named <= kNamedMax) names += (names.empty() ? "" : ", ") + row[0].value_or("?");
    }
    if (named > kNamedMax) names += fmt::format(" and {} more", named - kNamedMax);
    if (named > 0)
      cleaned_.warnings.push_back(
          fmt::format("objects that the role made are used by objects of others, or hold data; "
                      "they were kept, belong to {} now and can be called by nobody but "
                      "superusers: {}",
                      kQuarantineRole, names));
    return ok();
  }

  // Who is to own something in a schema must be allowed to create there, for that moment.
  Status enter_quarantine() {
    RETURN_IF_ERROR(quarantine_.enter());
    if (transaction_.connection().is_superuser()) return ok();
    ASSIGN_OR_RETURN(const Rows rows, transaction_.run(closed_schemas_sql(role_.oid)));
    for (const Row& row : rows) {
      // Where this may not be done, giving the object away fails and says so.
      if (transaction_.attempt(
              fmt::format("GRANT CREATE ON SCHEMA {} TO {}", *row[0], kQuarantineRole)))
        opened_schemas_.push_back(*row[0]);
    }
    return ok();
  }

  Status leave_quarantine() {
    for (const std::string& schema : opened_schemas_)
      RETURN_IF_ERROR(transaction_.run(
          fmt::format("REVOKE CREATE ON SCHEMA {} FROM {}", schema, kQuarantineRole)));
    return quarantine_.leave();
  }

  Status run_all(const Rows& statements) {
    std::string all;
    for (const Row& row : statements) all += *row[0] + ";\n";
    if (!all.empty()) RETURN_IF_ERROR(transaction_.run(all));
    return ok();
  }

  static bool is_full(const Rows& batch) {
    return batch.size() >= static_cast<std::size_t>(kObjectsPerBatch);
  }

  void keep(const std::optional<std::string>& catalog, const std::optional<std::string>& oid,
            std::string kind, std::string name) {
    cleaned_.kept.push_back({to_oid(catalog), to_oid(oid), std::move(kind), std::move(name)});
  }

  Transaction& transaction_;
  const FoundRole& role_;
  const Scope scope_;
  const std::string name_;
  QuarantineRole quarantine_;
  std::vector<std::string> opened_schemas_;
  Cleaned cleaned_;
};

}  // namespace

std::vector<std::string> Cleaned::quarantined() const {
  std::vector<std::string> names;
  for (const KeptObject& object : kept) list(names, object.kind + " " + object.name);
  return names;
}

void Cleaned::add(Cleaned later) {
  std::move(later.kept.begin(), later.kept.end(), std::back_inserter(kept));
  for (std::string& name : later.dropped) list(dropped, std::move(name));
  std::move(later.warnings.begin(), later.warnings.end(), std::back_inserter(warnings));
  more = later.more;
}

Json Cleaned::note() const {
  Json out = Json::object();
  if (!kept.empty()) out["quarantined"] = quarantined();
  if (!dropped.empty()) out["dropped"] = dropped;
  if (!warnings.empty()) out["warnings"] = warnings;
  return out;
}

Result<Cleaned> clean_database(Transaction& transaction, const FoundRole& role, Scope scope) {
  if (role.dependencies_here == 0) return Cleaned{};
  return Cleaning(transaction, role, scope).run();
}

}  // namespace curfew::engines::postgres
