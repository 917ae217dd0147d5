#include "engines/postgres/role_inventory.h"

#include <fmt/format.h>

#include "engines/postgres/issued_rights.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kMarkedColumns = 4;
constexpr std::size_t kInspectedColumns = 8;

Error not_understood() {
  return {Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
}

std::int64_t number(const std::optional<std::string>& text) {
  return std::strtoll(text.value_or("0").c_str(), nullptr, 10);
}

// Roles are visible in the whole cluster: the mark says whose they are and of which target.
// An executor is met with the role that it belongs to, as long as there is that.
std::string marked_sql(std::string_view after, std::size_t limit) {
  return fmt::format(
      R"sql(SELECT r.rolname, r.oid, d.description,
  CASE WHEN pg_catalog.isfinite(r.rolvaliduntil)
    THEN pg_catalog.floor(EXTRACT(epoch FROM r.rolvaliduntil))::pg_catalog.int8 END
FROM pg_catalog.pg_shdescription d JOIN pg_catalog.pg_roles r ON r.oid = d.objoid
WHERE d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  AND pg_catalog.starts_with(d.description, {}) AND r.rolname > {}::pg_catalog.name
ORDER BY r.rolname LIMIT {})sql",
      quote_literal("{\"curfew\":"), quote_literal(after), limit);
}

// One row for each role that could be that of an effect, and one for an effect without any.
std::string inspect_sql(const std::vector<LeaseHandle>& leases) {
  std::string values;
  for (std::size_t i = 0; i < leases.size(); ++i)
    values += fmt::format("{}({}, {}::pg_catalog.oid, {}::pg_catalog.name)", i == 0 ? "" : ", ", i,
                          leases[i].role_oid, quote_literal(leases[i].database_role));
  return fmt::format(
      R"sql(WITH v(i, oid, name) AS (VALUES {}),
s AS MATERIALIZED (SELECT usesysid, pg_catalog.count(*) AS n FROM pg_catalog.pg_stat_activity
  WHERE usesysid IS NOT NULL GROUP BY usesysid)
SELECT v.i, r.oid, r.rolname,
  r.rolcanlogin AND r.rolconnlimit <> 0 AND COALESCE(r.rolvaliduntil > pg_catalog.now(), true),
  pg_catalog.shobj_description(r.oid, 'pg_authid'), {},
  (SELECT n FROM s WHERE s.usesysid = r.oid), (SELECT n FROM s WHERE s.usesysid = v.oid)
FROM v LEFT JOIN LATERAL (
  SELECT * FROM pg_catalog.pg_roles a WHERE a.oid = v.oid
  UNION ALL
  SELECT * FROM pg_catalog.pg_roles b WHERE b.rolname = v.name AND b.oid <> v.oid) r ON true
ORDER BY v.i)sql",
      values, kRightsColumn);
}

// The handle is the whole lease's, whichever of its two roles was met.
MarkedEffect effect_of(const Row& row, const RoleMark& mark) {
  const std::string name = row[0].value_or("");
  const auto oid = static_cast<std::uint32_t>(number(row[1]));
  const bool is_executor = !mark.executor_for.empty();
  LeaseHandle lease{mark.target, is_executor ? mark.executor_for : name};
  lease.role_oid = is_executor ? 0 : oid;
  lease.executor = is_executor ? name : mark.executor;
  lease.executor_oid = is_executor ? oid : 0;
  lease.entity = mark.entity;
  lease.trace = mark.trace;
  MarkedEffect effect;
  effect.name = name;
  effect.mount = mark.mount_accessor;
  effect.lease_id = mark.lease_id;
  effect.resource = mark.target;
  effect.handle = lease.to_handle();
  // The mark knows whose the role is and not how the operator wanted it cleaned up.
  effect.handle.fields.erase("revocation_statements");
  effect.handle.fields.erase("renew_statements");
  effect.attribution.entity_id = mark.entity;
  effect.attribution.trace_id = mark.trace;
  if (row[3]) effect.ends_at = from_unix_millis(number(row[3]) * 1000);
  return effect;
}

void fill_in(EffectState& out, const Row& row, const ExpectedEffect& expected,
             const LeaseHandle& lease) {
  out.present = true;
  out.name = row[2].value_or("");
  out.renamed = out.name != lease.database_role;
  out.usable = row[3] == "t";
  const auto mark = parse_role_mark(row[4].value_or(""));
  out.marked = mark && mark->lease_id == expected.lease_id;
  if (const auto rights = parse_rights(row[5])) {
    const Json fact = expected.handle.fields.value("rights", Json());
    out.gained = gained_rights(fact, *rights);
    out.outlives_lease = outlives(fact, *rights, expected.expires_at);
  }
}

}  // namespace

Result<std::vector<std::string>> RoleInventory::resources() const {
  return storage_.list("config/");
}

Result<Rows> RoleInventory::ask(const std::string& target, const std::string& sql,
                                const CallContext& context) {
  ASSIGN_OR_RETURN(auto pool, pool_of_(target));
  ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kRevoke, context.deadline));
  return connection->run(sql, context.deadline);
}

// Whether the database role that this mark's executor belongs to is there, with the lease's mark.
Result<bool> RoleInventory::has_marked_role(const std::string& target, const RoleMark& mark,
                                            const CallContext& context) {
  ASSIGN_OR_RETURN(const Rows rows,
                   ask(target,
                       fmt::format("SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM "
                                   "pg_catalog.pg_roles WHERE rolname = {}",
                                   quote_literal(mark.executor_for)),
                       context));
  if (rows.empty() || rows.front().empty()) return false;
  const auto found = parse_role_mark(rows.front().front().value_or(""));
  return found && found->lease_id == mark.lease_id && found->executor_for.empty();
}

Result<MarkedPage> RoleInventory::marked(const std::string& resource, std::string_view after,
                                         std::size_t limit, const CallContext& context) {
  ASSIGN_OR_RETURN(const Rows rows, ask(resource, marked_sql(after, limit), context));
  MarkedPage page;
  for (const Row& row : rows) {
    if (row.size() != kMarkedColumns || !row[0] || !row[1]) return not_understood();
    const auto mark = parse_role_mark(row[2].value_or(""));
    if (!mark) continue;
    if (!mark->executor_for.empty()) {
      ASSIGN_OR_RETURN(const bool met, has_marked_role(resource, *mark, context));
      if (met) continue;
    }
    page.effects.push_back(effect_of(row, *mark));
  }
  if (rows.size() == limit) page.next = *rows.back().front();
  return page;
}

// An executor that is there without its database role is an effect all the same, though nobody can
// use it.
Status RoleInventory::look_for_executors(const std::string& resource,
                                         std::span<const ExpectedEffect> effects,
                                         const std::vector<LeaseHandle>& leases,
                                         std::vector<EffectState>& seen,
                                         const CallContext& context) {
  std::vector<LeaseHandle> executors;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < leases.size(); ++i) {
    if (leases[i].executor.empty()) continue;
    executors.push_back(executor_of(leases[i]));
    of.push_back(i);
  }
  if (executors.empty()) return ok();
  ASSIGN_OR_RETURN(const Rows rows, ask(resource, inspect_sql(executors), context));
  for (const Row& row : rows) {
    const auto i = static_cast<std::size_t>(number(row.empty() ? std::nullopt : row[0]));
    if (row.size() != kInspectedColumns || i >= executors.size()) return not_understood();
    if (!row[1] || !is_role_of_lease(row[1], row[2], row[4], effects[of[i]].lease_id, executors[i]))
      continue;
    EffectState& state = seen[of[i]];
    state.present = true;
    state.marked = true;
    state.usable = row[3] == "t";
  }
  return ok();
}

Result<std::vector<EffectState>> RoleInventory::inspect(const std::string& resource,
                                                        std::span<const ExpectedEffect> effects,
                                                        const CallContext& context) {
  std::vector<EffectState> seen(effects.size());
  if (effects.empty()) return seen;
  std::vector<LeaseHandle> leases;
  for (const ExpectedEffect& effect : effects) {
    ASSIGN_OR_RETURN(LeaseHandle lease, LeaseHandle::from_handle(effect.handle));
    seen[leases.size()].name = lease.database_role;
    leases.push_back(std::move(lease));
  }
  RETURN_IF_ERROR(look_for_executors(resource, effects, leases, seen, context));
  ASSIGN_OR_RETURN(const Rows rows, ask(resource, inspect_sql(leases), context));
  for (const Row& row : rows) {
    const auto i = static_cast<std::size_t>(number(row.empty() ? std::nullopt : row[0]));
    if (row.size() != kInspectedColumns || i >= effects.size()) return not_understood();
    const auto oid = static_cast<std::uint32_t>(number(row[1]));
    const bool own =
        row[1] && is_role_of_lease(row[1], row[2], row[4], effects[i].lease_id, leases[i]);
    if (own) {
      fill_in(seen[i], row, effects[i], leases[i]);
      seen[i].sessions = number(row[6]);
    } else if (!seen[i].present && oid != leases[i].role_oid) {
      seen[i].sessions = number(row[7]);  // of the role that had this oid and is gone
    }
  }
  return seen;
}

Result<bool> RoleInventory::has_ownerless_sessions(const std::string& resource,
                                                   const CallContext& context) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      ask(resource,
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usesysid <> 0 AND NOT "
          "EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = a.usesysid))",
          context));
  return !rows.empty() && rows.front().front() == "t";
}

std::optional<Inventory::Observing> RoleInventory::observing(const std::string& resource) const {
  return markers_.observing(resource);
}

Result<Inventory::Connections> RoleInventory::connections(const std::string& resource) const {
  ASSIGN_OR_RETURN(const auto pool, pool_of_(resource));
  const Pool::Counts counts = pool->counts();
  return Connections{.max = pool->settings().connections_max,
                     .open = counts.open,
                     .in_use = counts.open - counts.idle,
                     .waiting = counts.waiting};
}

Status RoleInventory::take_charge(const std::string& resource, const CallContext& context) {
  return markers_.take_charge(resource, context.deadline);
}

}  // namespace curfew::engines::postgres
