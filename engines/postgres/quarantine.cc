#include "engines/postgres/quarantine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engines/postgres/lease_role.h"
#include "engines/postgres/quarantine_role.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kListedMax = 10'000;
constexpr const char* kLargeObject = "large object";

std::optional<std::int64_t> number(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return std::strtoll(text->c_str(), nullptr, 10);
}

std::uint32_t oid_of(const std::optional<std::string>& text) {
  return static_cast<std::uint32_t>(number(text).value_or(0));
}

// What the quarantine role owns in the present database; with `shared`, shared objects as well.
// Sequences and the like that belong to a table are not told apart from it.
std::string objects_sql(bool shared, const std::optional<QuarantineId>& id) {
  return fmt::format(
      R"sql(SELECT d.dbid, d.classid, d.objid, i.type, i.identity,
  CASE WHEN c.reltuples >= 0 THEN c.reltuples::pg_catalog.int8 END,
  CASE WHEN c.relkind IN ('r', 'm', 'S', 'p') THEN pg_catalog.pg_total_relation_size(c.oid) END
FROM pg_catalog.pg_shdepend d
JOIN pg_catalog.pg_roles q ON q.oid = d.refobjid AND q.rolname = '{}'
JOIN pg_catalog.pg_database b ON b.datname = pg_catalog.current_database()
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
LEFT JOIN pg_catalog.pg_class c ON c.oid = d.objid
  AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
  AND (d.dbid = b.oid {}) {}
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x
    WHERE c.relkind = 'S' AND x.classid = d.classid AND x.objid = d.objid
      AND x.refclassid = d.classid AND x.deptype IN ('a', 'i'))
ORDER BY i.type, i.identity LIMIT {})sql",
      kQuarantineRole, shared ? "OR d.dbid = 0" : "",
      id ? fmt::format("AND d.classid = {} AND d.objid = {}", id->catalog, id->oid) : "",
      kListedMax);
}

QuarantinedObject object_of(const Row& row, const std::string& database) {
  return {{oid_of(row[0]), oid_of(row[1]), oid_of(row[2])},
          database,
          row[3].value_or(""),
          row[4].value_or(""),
          number(row[5]),
          number(row[6])};
}

std::string kind_in_sql(const QuarantinedObject& object) {
  if (object.kind == "statistics object") return "STATISTICS";
  if (object.kind == "foreign-data wrapper") return "FOREIGN DATA WRAPPER";
  std::string out = object.kind;
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

Error not_there(const QuarantineId& id) {
  return {Errc::kNotFound, fmt::format("there is no object {} in quarantine", id.text())};
}

// What the target refuses is for the caller to mend; `hint` is what a right that lacks needs.
Error explained(const QuarantinedObject& object, std::string_view step, Error error,
                const Connection& connection, std::string_view hint) {
  if (error.code == Errc::kRefused) error.code = Errc::kInvalidArgument;
  error.message = fmt::format("{} {} {} in database \"{}\": {}", step, object.kind, object.name,
                              object.database, error.message);
  if (connection.sqlstate() == "42501") error.message += fmt::format("; {}", hint);
  return error;
}

// A connection to the object's database.
Result<PooledConnection> connect(Pool& pool, const QuarantineId& id, SteadyTime deadline) {
  std::string database;
  {
    ASSIGN_OR_RETURN(auto home, pool.acquire(Use::kIssue, deadline));
    if (id.database == 0) return home;
    ASSIGN_OR_RETURN(const Rows rows,
                     home->run(fmt::format("SELECT d.datname, d.datname = "
                                           "pg_catalog.current_database() FROM "
                                           "pg_catalog.pg_database d WHERE d.oid = {}",
                                           id.database),
                               deadline));
    if (rows.empty()) return not_there(id);
    if (rows.front()[1] == "t") return home;
    database = rows.front()[0].value_or("");
  }
  return pool.acquire_elsewhere(Use::kIssue, database, deadline);
}

Result<QuarantinedObject> find(Connection& connection, const QuarantineId& id,
                               SteadyTime deadline) {
  ASSIGN_OR_RETURN(const Rows rows, connection.run(objects_sql(id.database == 0, id), deadline));
  for (const Row& row : rows) {
    QuarantinedObject object = object_of(row, connection.database());
    if (object.id.database == id.database) return object;
  }
  return not_there(id);
}

Status check_owner(Transaction& transaction, const std::string& owner) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.run(fmt::format("SELECT pg_catalog.shobj_description(r.oid, 'pg_authid') FROM "
                                  "pg_catalog.pg_roles r WHERE r.rolname = {}",
                                  quote_literal(owner))));
  if (rows.empty())
    return Error{Errc::kInvalidArgument, fmt::format("owner: there is no role \"{}\"", owner)};
  if (owner == kQuarantineRole)
    return Error{Errc::kInvalidArgument, "owner: it belongs to the quarantine role already"};
  if (parse_role_mark(rows.front()[0].value_or("")))
    return Error{Errc::kInvalidArgument,
                 fmt::format("owner: \"{}\" is a leased role, which goes with its lease; name one "
                             "that stays",
                             owner)};
  return ok();
}

}  // namespace

std::string QuarantineId::text() const {
  return fmt::format("{}-{}-{}", database, catalog, oid);
}

Result<QuarantineId> QuarantineId::parse(std::string_view text) {
  QuarantineId out;
  const Error bad{Errc::kInvalidArgument,
                  "an object in quarantine is named by three numbers, as in 16401-1259-16430; the "
                  "list has them"};
  std::uint32_t* parts[] = {&out.database, &out.catalog, &out.oid};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < 3; ++i) {
    if (i > 0 && (at == end || *at++ != '-')) return bad;
    const auto [next, error] = std::from_chars(at, end, *parts[i]);
    if (error != std::errc()) return bad;
    at = next;
  }
  if (at != end) return bad;
  return out;
}

Result<QuarantineList> list_quarantine(Pool& pool, SteadyTime deadline) {
  QuarantineList out;
  std::vector<std::string> elsewhere;
  {
    ASSIGN_OR_RETURN(auto home, pool.acquire(Use::kIssue, deadline));
    ASSIGN_OR_RETURN(const Rows rows, home->run(objects_sql(true, std::nullopt), deadline));
    for (const Row& row : rows) out.objects.push_back(object_of(row, home->database()));
    ASSIGN_OR_RETURN(
        const Rows names,
        home->run(fmt::format("SELECT b.datname FROM pg_catalog.pg_database b WHERE b.datname <> "
                              "pg_catalog.current_database() AND b.oid IN (SELECT d.dbid FROM "
                              "pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles q ON q.oid = "
                              "d.refobjid WHERE d.refclassid = "
                              "'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o' AND "
                              "q.rolname = '{}') ORDER BY 1",
                              kQuarantineRole),
                  deadline));
    for (const Row& row : names) elsewhere.push_back(row[0].value_or(""));
  }
  for (const std::string& database : elsewhere) {
    auto rows = [&]() -> Result<Rows> {
      ASSIGN_OR_RETURN(auto connection, pool.acquire_elsewhere(Use::kIssue, database, deadline));
      return connection->run(objects_sql(false, std::nullopt), deadline);
    }();
    if (!rows) {
      out.warnings.push_back(fmt::format("database \"{}\" could not be looked into: {}", database,
                                         rows.error().message));
      continue;
    }
    for (const Row& row : *rows) out.objects.push_back(object_of(row, database));
  }
  return out;
}

Result<QuarantineDetails> show_quarantined(Pool& pool, const QuarantineId& id,
                                           SteadyTime deadline) {
  ASSIGN_OR_RETURN(auto connection, connect(pool, id, deadline));
  QuarantineDetails out;
  ASSIGN_OR_RETURN(out.object, find(*connection, id, deadline));
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection->run(fmt::format("SELECT a.attname, pg_catalog.format_type(a.atttypid, "
                                  "a.atttypmod) FROM pg_catalog.pg_attribute a WHERE {} = "
                                  "'pg_catalog.pg_class'::pg_catalog.regclass AND a.attrelid = {} "
                                  "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                                  id.catalog, id.oid),
                      deadline));
  for (const Row& row : rows)
    out.columns.push_back({{"name", row[0].value_or("")}, {"type", row[1].value_or("")}});
  return out;
}

Result<QuarantinedObject> release_quarantined(Pool& pool, const QuarantineId& id,
                                              const std::string& owner, SteadyTime deadline) {
  ASSIGN_OR_RETURN(auto connection, connect(pool, id, deadline));
  Transaction transaction(*connection, deadline);
  RETURN_IF_ERROR(transaction.begin(""));
  RETURN_IF_ERROR(check_owner(transaction, owner));
  ASSIGN_OR_RETURN(QuarantinedObject object, find(*connection, id, deadline));
  if (object.kind == "extension")
    return Error{Errc::kInvalidArgument,
                 fmt::format("PostgreSQL gives an extension to nobody else; a superuser can run "
                             "REASSIGN OWNED BY {} TO {} in database \"{}\", for everything there "
                             "together",
                             kQuarantineRole, quote_identifier(owner), object.database)};
  QuarantineRole quarantine(transaction);
  const auto give = [&]() -> Status {
    RETURN_IF_ERROR(quarantine.enter());
    RETURN_IF_ERROR(transaction.run(fmt::format("ALTER {} {} OWNER TO {}", kind_in_sql(object),
                                                object.name, quote_identifier(owner))));
    RETURN_IF_ERROR(quarantine.leave());
    RETURN_IF_ERROR(transaction.commit());
    return ok();
  };
  auto given = give();
  if (!given) {
    const std::string login = quote_identifier(connection->login()), to = quote_identifier(owner);
    return explained(object, "releasing", std::move(given).error(), *connection,
                     fmt::format("GRANT {0} TO {1} and GRANT CREATE ON SCHEMA … TO {0}, or let a "
                                 "superuser do it",
                                 to, login));
  }
  return object;
}

Result<QuarantineDropped> drop_quarantined(Pool& pool, const QuarantineId& id,
                                           const std::string& confirm, bool cascade,
                                           SteadyTime deadline) {
  ASSIGN_OR_RETURN(auto connection, connect(pool, id, deadline));
  Transaction transaction(*connection, deadline);
  RETURN_IF_ERROR(transaction.begin(""));
  QuarantineDropped out;
  ASSIGN_OR_RETURN(out.object, find(*connection, id, deadline));
  if (confirm != out.object.name)
    return Error{Errc::kInvalidArgument,
                 fmt::format("confirm: to drop the {} {} with all that is in it, give its name",
                             out.object.kind, out.object.name)};
  if (id.database == 0)
    return Error{Errc::kInvalidArgument,
                 fmt::format("a {0} is not dropped from here; a superuser can run DROP {1} {2}",
                             out.object.kind, kind_in_sql(out.object), out.object.name)};
  const std::string drop =
      out.object.kind == kLargeObject
          ? fmt::format("SELECT pg_catalog.lo_unlink({})", id.oid)
          : fmt::format("DROP {} {}", kind_in_sql(out.object), out.object.name);
  QuarantineRole quarantine(transaction);
  const auto remove = [&]() -> Status {
    RETURN_IF_ERROR(quarantine.enter());
    auto dropped = transaction.attempt(drop);
    if (!dropped) {
      if (transaction.attempt_sqlstate() != "2BP01") return std::move(dropped).error();
      out.with_it = dropped.error().detail;
      if (!cascade)
        return Error{Errc::kInvalidArgument,
                     fmt::format("{}; cascade=true drops these too", out.with_it)};
      RETURN_IF_ERROR(transaction.run(drop + " CASCADE"));
    }
    RETURN_IF_ERROR(quarantine.leave());
    RETURN_IF_ERROR(transaction.commit());
    return ok();
  };
  auto removed = remove();
  if (!removed)
    return explained(out.object, "dropping", std::move(removed).error(), *connection,
                     "let a superuser do it");
  return out;
}

}  // namespace curfew::engines::postgres
