#include "engines/postgres/role_privileges.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {
namespace {

// Rights on some columns of a table are told as such where the table as a whole is not granted.
std::string objects_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT object, privileges FROM (
  SELECT 1 AS turn, 'database ' || pg_catalog.quote_ident(d.datname) AS object,
    pg_catalog.json_build_array('CREATE') AS privileges
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
    AND pg_catalog.has_database_privilege({0}, d.oid, 'CREATE')
  UNION ALL
  SELECT 2, 'schema ' || pg_catalog.quote_ident(n.nspname),
    pg_catalog.json_build_array('CREATE')
  FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_catalog.has_schema_privilege({0}, n.oid, 'CREATE')
  UNION ALL
  SELECT 3, pg_catalog.format('%I.%I', n.nspname, c.relname), p.privileges
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_catalog.json_agg(CASE
      WHEN pg_catalog.has_table_privilege({0}, c.oid, v.name) THEN v.name
      ELSE v.name || ' (some columns)' END ORDER BY v.i) AS privileges
    FROM (VALUES (1, 'SELECT', true), (2, 'INSERT', true), (3, 'UPDATE', true),
      (4, 'DELETE', false), (5, 'TRUNCATE', false), (6, 'REFERENCES', true),
      (7, 'TRIGGER', false)) AS v(i, name, by_column)
    WHERE pg_catalog.has_table_privilege({0}, c.oid, v.name)
      OR (v.by_column AND pg_catalog.has_any_column_privilege({0}, c.oid,
        CASE WHEN v.by_column THEN v.name ELSE 'SELECT' END))) p
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema' AND p.privileges IS NOT NULL
    AND pg_catalog.has_schema_privilege({0}, n.oid, 'USAGE')
  UNION ALL
  SELECT 4, 'sequence ' || pg_catalog.format('%I.%I', n.nspname, c.relname), p.privileges
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_catalog.json_agg(v.name) AS privileges
    FROM (VALUES ('USAGE'), ('UPDATE')) AS v(name)
    WHERE c.relkind = 'S' AND pg_catalog.has_sequence_privilege({0}, c.oid, v.name)) p
  WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND p.privileges IS NOT NULL
) o ORDER BY turn, object LIMIT {1})sql",
      oid, kPrivilegedObjectsMax + 1);
}

std::string role_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(WITH RECURSIVE closure(oid) AS (
  SELECT m.roleid FROM pg_catalog.pg_auth_members m WHERE m.member = {0}
  UNION
  SELECT m.roleid FROM closure c JOIN pg_catalog.pg_auth_members m ON m.member = c.oid)
SELECT (SELECT pg_catalog.json_agg(g.rolname ORDER BY g.rolname) FROM closure c
    JOIN pg_catalog.pg_roles g ON g.oid = c.oid),
  pg_catalog.array_to_json(pg_catalog.array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
    CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
    CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL))
FROM pg_catalog.pg_roles r WHERE r.oid = {0})sql",
      oid);
}

Json list_in(const std::optional<std::string>& column) {
  auto list = parse_json(column.value_or("[]"));
  return list && list->is_array() ? std::move(*list) : Json::array();
}

}  // namespace

Result<Json> role_privileges(Connection& connection, std::uint32_t oid, SteadyTime deadline) {
  const Error corrupt{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
  ASSIGN_OR_RETURN(const Rows role, connection.run(role_sql(oid), deadline));
  if (role.size() != 1 || role.front().size() != 2) return corrupt;
  ASSIGN_OR_RETURN(const Rows objects, connection.run(objects_sql(oid), deadline));
  Json out{{"member_of", list_in(role.front()[0])}, {"attributes", list_in(role.front()[1])}};
  Json& privileges = out["privileges"] = Json::array();
  for (const Row& row : objects) {
    if (row.size() != 2) return corrupt;
    if (privileges.size() == static_cast<std::size_t>(kPrivilegedObjectsMax)) {
      out["more"] = true;
      break;
    }
    privileges.push_back({{"object", row[0].value_or("")}, {"privileges", list_in(row[1])}});
  }
  return out;
}

}  // namespace curfew::engines::postgres
