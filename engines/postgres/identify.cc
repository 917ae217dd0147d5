#include "engines/postgres/identify.h"

#include <fmt/format.h>

#include "engines/postgres/lease_role.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

// Role, its mark and oid; then facts, named by kBackendFacts and kRoleFacts.
std::string backend_sql(std::int64_t pid) {
  return fmt::format(
      "SELECT r.rolname, d.description, a.usesysid, a.datname, a.application_name, "
      "a.client_addr::pg_catalog.text, a.backend_start::pg_catalog.text, a.state "
      "FROM pg_catalog.pg_stat_activity a "
      "LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid "
      "LEFT JOIN pg_catalog.pg_shdescription d ON d.objoid = a.usesysid AND "
      "d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass WHERE a.pid = {}",
      pid);
}

std::string role_sql(std::string_view name) {
  return fmt::format(
      "SELECT r.rolname, d.description, r.oid, r.rolcanlogin, r.rolvaliduntil::pg_catalog.text, "
      "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid) "
      "FROM pg_catalog.pg_roles r "
      "LEFT JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid AND "
      "d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass WHERE r.rolname = {}",
      quote_literal(name));
}

constexpr const char* kBackendFacts[] = {"role_oid",    "database",      "application_name",
                                         "client_addr", "backend_start", "state"};
constexpr const char* kRoleFacts[] = {"role_oid", "can_login", "valid_until", "sessions"};

}  // namespace

Result<std::vector<Sighting>> identify(Connection& connection, const std::string& target,
                                       std::string_view mount_accessor, const Sought& sought,
                                       SteadyTime deadline) {
  const bool by_pid = sought.pid != 0;
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection.run(by_pid ? backend_sql(sought.pid) : role_sql(sought.name), deadline));
  std::vector<Sighting> out;
  const std::span<const char* const> names = by_pid ? std::span<const char* const>(kBackendFacts)
                                                    : std::span<const char* const>(kRoleFacts);
  for (const Row& row : rows) {
    if (row.size() != names.size() + 2)
      return Error{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
    Sighting seen{.resource = target, .name = row[0].value_or("")};
    const auto mark = parse_role_mark(row[1].value_or(""));
    if (mark && mark->mount_accessor == mount_accessor) seen.lease_id = mark->lease_id;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (row[2 + i]) seen.facts[names[i]] = *row[2 + i];
    if (by_pid) seen.facts["pid"] = sought.pid;
    out.push_back(std::move(seen));
  }
  return out;
}

}  // namespace curfew::engines::postgres
