#include "engines/postgres/batch_revocation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/duration.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

constexpr const char* kDurableCommit =
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE "
    "pg_catalog.current_setting('synchronous_commit') = 'off';\n";

// A role whose row somebody holds is left to Revocation, which ends the sessions that hold it.
constexpr const char* kShortLockWait = "SET LOCAL lock_timeout = 200;\n";

// Gives the locks that somebody else holds; takes the others until the transaction ends.
std::string try_locks_sql(const std::vector<std::int64_t>& keys) {
  return fmt::format(
      "SELECT k FROM pg_catalog.unnest('{{{}}}'::pg_catalog.int8[]) AS k WHERE NOT "
      "pg_catalog.pg_try_advisory_xact_lock(k)",
      fmt::join(keys, ","));
}

// Sessions and dependencies of all roles are counted once, not once for each role.
std::string find_sql(const std::vector<std::uint32_t>& oids) {
  return fmt::format(
      R"sql(WITH asked AS MATERIALIZED (
  SELECT pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]) AS oid),
sessions AS MATERIALIZED (SELECT DISTINCT usesysid FROM pg_catalog.pg_stat_activity)
SELECT r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
  r.rolreplication, r.rolbypassrls, pg_catalog.shobj_description(r.oid, 'pg_authid'),
  EXISTS (SELECT FROM sessions s WHERE s.usesysid = r.oid) OR EXISTS (SELECT
    FROM pg_catalog.pg_prepared_xact() AS p(xid, gid, prepared, ownerid, dbid)
    WHERE p.ownerid = r.oid),
  EXISTS (SELECT FROM pg_catalog.pg_shdepend d
    WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid),
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(g.rolname, u.rolname, w.rolname)) FROM (
     SELECT m.roleid, m.member, m.grantor FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid
     UNION ALL
     SELECT m.roleid, m.member, m.grantor FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid
   ) AS m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles u
     ON u.oid = m.member LEFT JOIN pg_catalog.pg_roles w ON w.oid = m.grantor
   WHERE m.member = r.oid OR u.rolname <> current_user)
FROM asked JOIN pg_catalog.pg_roles r ON r.oid = asked.oid)sql",
      fmt::join(oids, ","));
}

// What is left of dropped roles: sessions, dependencies and memberships by oid, and a role that has
// the oid or the name.
std::string left_sql(const std::vector<std::uint32_t>& oids, const std::string& names) {
  return fmt::format(
      R"sql(WITH asked AS MATERIALIZED (SELECT o.oid, o.name FROM ROWS FROM (
  pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]), pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[])
) AS o(oid, name)), sessions AS MATERIALIZED (
  SELECT a.usesysid, pg_catalog.count(*) AS n FROM pg_catalog.pg_stat_activity a GROUP BY 1),
defaults AS MATERIALIZED (
  SELECT f.defaclrole AS oid FROM pg_catalog.pg_default_acl f UNION ALL
  SELECT pg_catalog.unnest(ARRAY[x.grantee, x.grantor]) FROM pg_catalog.pg_default_acl f,
    pg_catalog.aclexplode(f.defaclacl) x)
SELECT asked.oid,
  EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = asked.oid) OR
  EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = asked.name::pg_catalog.name),
  COALESCE((SELECT s.n FROM sessions s WHERE s.usesysid = asked.oid), 0) + (SELECT
    pg_catalog.count(*) FROM pg_catalog.pg_prepared_xact() AS p(xid, gid, prepared, ownerid, dbid)
    WHERE p.ownerid = asked.oid),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_shdepend d WHERE d.refclassid =
    'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = asked.oid),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_auth_members m WHERE m.member = asked.oid) +
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_auth_members m WHERE m.roleid = asked.oid),
  (SELECT pg_catalog.count(*) FROM defaults f WHERE f.oid = asked.oid)
FROM asked)sql",
      fmt::join(oids, ","), names);
}

std::uint32_t to_oid(const std::optional<std::string>& text) {
  return static_cast<std::uint32_t>(std::strtoul(text.value_or("0").c_str(), nullptr, 10));
}

constexpr std::size_t kFindColumns = 12;
constexpr std::size_t kLeftColumns = 6;

// The counts of a row of left_sql().
bool all_zero(const Row& row) {
  return std::all_of(row.begin() + 2, row.end(), [](const auto& count) { return count == "0"; });
}

// The role of a row, if it is beyond doubt the lease's.
std::optional<FoundRole> role_of(const Row& row, const std::string& lease_id,
                                 const LeaseHandle& handle) {
  const auto mark = parse_role_mark(row[8].value_or(""));
  if (!mark || mark->lease_id != lease_id || row[1] != handle.database_role) return std::nullopt;
  FoundRole role;
  role.oid = handle.role_oid;
  role.name = handle.database_role;
  role.can_login = row[2] == "t";
  const char* attributes[] = {"SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"};
  for (std::size_t i = 0; i < std::size(attributes); ++i)
    if (row[3 + i] == "t") role.attributes.emplace_back(attributes[i]);
  role.sessions = row[9] == "t" ? 1 : 0;
  role.dependencies_here = row[10] == "t" ? 1 : 0;
  auto memberships = parse_memberships(row[11]);
  if (!memberships) return std::nullopt;
  role.memberships = *std::move(memberships);
  return role;
}

// One statement for all members of a group.
std::string revoke_memberships_sql(const std::vector<const FoundRole*>& roles, int server_version) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> members;
  for (const FoundRole* role : roles) {
    for (const Membership& membership : role->memberships)
      members[{membership.group, server_version >= 160000 ? membership.grantor : ""}].push_back(
          quote_identifier(membership.member));
  }
  std::string sql;
  for (const auto& [group, names] : members) {
    sql += fmt::format("REVOKE {} FROM {}", quote_identifier(group.first), fmt::join(names, ", "));
    if (!group.second.empty()) sql += " GRANTED BY " + quote_identifier(group.second);
    sql += ";\n";
  }
  return sql;
}

// Nothing but the built-in removal of one role is asked for.
bool is_plain(const LeaseHandle& handle) {
  if (!handle.executor.empty()) return false;
  const auto facts = examine_statements("revocation_statements", handle.revocation_statements);
  return facts && (facts->empty || facts->only_drops_role);
}

}  // namespace

std::vector<BatchRevocation::Entry> BatchRevocation::entries_of(
    std::span<const LeaseRef> leases) const {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < leases.size(); ++i) {
    auto handle = LeaseHandle::from_handle(leases[i].handle);
    if (!handle || handle->role_oid == 0) continue;
    entries.push_back(
        {leases[i].lease_id, *std::move(handle), lease_lock_key(leases[i].lease_id), i});
  }
  return entries;
}

// Takes the locks that are free and finds the roles whose locks it has. The transaction stays open.
Result<std::vector<BatchRevocation::Entry*>> BatchRevocation::lock_and_find(Connection& connection,
                                                                            Entries entries) {
  std::vector<std::int64_t> keys;
  for (const Entry& entry : entries) keys.push_back(entry.lock);
  ASSIGN_OR_RETURN(const Rows held, connection.run(connection.begin(deadline_) + kShortLockWait +
                                                       kDurableCommit + try_locks_sql(keys),
                                                   deadline_));
  std::vector<std::int64_t> busy;
  for (const Row& row : held)
    busy.push_back(std::strtoll(row.at(0).value_or("0").c_str(), nullptr, 10));

  std::vector<std::uint32_t> oids;
  std::unordered_map<std::uint32_t, Entry*> by_oid;
  for (Entry& entry : entries) {
    entry.role.reset();
    if (std::find(busy.begin(), busy.end(), entry.lock) != busy.end()) continue;
    oids.push_back(entry.handle.role_oid);
    by_oid[entry.handle.role_oid] = &entry;
  }
  std::vector<Entry*> found;
  if (oids.empty()) return found;
  ASSIGN_OR_RETURN(const Rows rows, connection.run(find_sql(oids), deadline_));
  for (const Row& row : rows) {
    if (row.size() != kFindColumns)
      return Error{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
    const auto entry = by_oid.find(to_oid(row[0]));
    if (entry == by_oid.end()) continue;
    entry->second->role = role_of(row, entry->second->lease_id, entry->second->handle);
    if (entry->second->role) found.push_back(entry->second);
  }
  // Rows change in the same order everywhere.
  std::sort(found.begin(), found.end(),
            [](const Entry* a, const Entry* b) { return a->role->oid < b->role->oid; });
  return found;
}

Status BatchRevocation::in_one(Connection& connection, Entries entries, Step step) {
  auto found = lock_and_find(connection, entries);
  if (!found) return std::move(found).error();
  return (this->*step)(connection, *found);
}

Status BatchRevocation::in_halves(Connection& connection, Entries entries, Step step) {
  if (entries.empty()) return ok();
  Status done = in_one(connection, entries, step);
  connection.roll_back();
  // Trouble with the connection or the server is everybody's.
  if (done || !connection.is_idle() || clock_.steady() >= deadline_) return done;
  if (entries.size() == 1) return ok();
  const std::size_t half = entries.size() / 2;
  RETURN_IF_ERROR(in_halves(connection, entries.first(half), step));
  return in_halves(connection, entries.subspan(half), step);
}

Status BatchRevocation::alter_roles(Connection& connection, std::vector<Entry*>& found) {
  if (found.empty()) return ok();
  std::string sql;
  std::vector<const FoundRole*> roles;
  for (const Entry* entry : found) {
    roles.push_back(&*entry->role);
    sql += lock_out_sql(*entry->role) + ";\n";
  }
  sql += revoke_memberships_sql(roles, connection.server_version());
  RETURN_IF_ERROR(connection.run(sql + "COMMIT", deadline_));
  const std::string now = format_rfc3339(clock_.wall());
  for (const Entry* entry : found)
    locked_out_[entry->index] =
        Json{{"role", entry->role->name}, {"role_oid", entry->role->oid}, {"locked_at", now}};
  return ok();
}

Status BatchRevocation::drop_roles(Connection& connection, std::vector<Entry*>& found) {
  // A role that can log in again, or has something, is not for this.
  std::erase_if(found, [](const Entry* entry) {
    const FoundRole& role = *entry->role;
    return role.can_login || role.sessions > 0 || role.dependencies_here > 0 ||
           !is_plain(entry->handle);
  });
  if (found.empty()) return ok();
  std::vector<std::string> names;
  for (const Entry* entry : found) names.push_back(quote_identifier(entry->role->name));
  RETURN_IF_ERROR(
      connection.run(fmt::format("DROP ROLE {};\nCOMMIT", fmt::join(names, ", ")), deadline_));
  dropped_.insert(dropped_.end(), found.begin(), found.end());
  return ok();
}

Status BatchRevocation::verify(Connection& connection, const std::vector<Entry*>& dropped) {
  std::vector<std::uint32_t> oids;
  std::vector<std::string> names;
  std::unordered_map<std::uint32_t, const Entry*> by_oid;
  for (const Entry* entry : dropped) {
    oids.push_back(entry->role->oid);
    names.push_back(quote_literal(entry->role->name));
    by_oid[entry->role->oid] = entry;
  }
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection.run(left_sql(oids, fmt::format("{}", fmt::join(names, ","))), deadline_));
  const std::string now = format_rfc3339(clock_.wall());
  for (const Row& row : rows) {
    const auto entry = row.size() == kLeftColumns ? by_oid.find(to_oid(row[0])) : by_oid.end();
    // Whatever is left is looked into one by one.
    if (entry == by_oid.end() || row[1] != "f" || !all_zero(row)) continue;
    const FoundRole& role = *entry->second->role;
    const Json which{{"role", role.name}, {"role_oid", role.oid}};
    Removed removed;
    removed.notes = {{Phase::kTerminate, {{"sessions_ended", 0}}},
                     {Phase::kClean, Json::object()},
                     {Phase::kDrop, which}};
    removed.receipt.checked = which;
    removed.receipt.checked.update({{"role_absent", true},
                                    {"sessions", 0},
                                    {"dependencies", 0},
                                    {"memberships", 0},
                                    {"default_privileges", 0},
                                    {"verified_at", now},
                                    {"database", connection.database()},
                                    {"server", pool_->settings().address}});
    removed_[entry->second->index] = std::move(removed);
  }
  return ok();
}

Result<std::vector<std::optional<Json>>> BatchRevocation::lock_out(
    std::span<const LeaseRef> leases) {
  locked_out_.assign(leases.size(), std::nullopt);
  std::vector<Entry> entries = entries_of(leases);
  if (entries.empty()) return std::move(locked_out_);
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  RETURN_IF_ERROR(in_halves(*connection, entries, &BatchRevocation::alter_roles));
  return std::move(locked_out_);
}

Result<std::vector<std::optional<Removed>>> BatchRevocation::remove(
    std::span<const LeaseRef> leases) {
  removed_.assign(leases.size(), std::nullopt);
  std::vector<Entry> entries = entries_of(leases);
  if (entries.empty()) return std::move(removed_);
  std::uint64_t used = 0;
  {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    used = connection->id();
    RETURN_IF_ERROR(in_halves(*connection, entries, &BatchRevocation::drop_roles));
  }
  if (dropped_.empty()) return std::move(removed_);
  ASSIGN_OR_RETURN(auto other, pool_->acquire(Use::kRevoke, deadline_, used));
  RETURN_IF_ERROR(verify(*other, dropped_));
  return std::move(removed_);
}

}  // namespace curfew::engines::postgres
