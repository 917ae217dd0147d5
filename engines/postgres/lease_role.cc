#include "engines/postgres/lease_role.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "base/digest.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

// How long one advisory lock is waited for.
constexpr Millis kAdvisoryLockWait{5'000};

// Advisory locks have no names; both halves of the number are from a hash of what they protect.
std::int64_t lock_key(std::string_view what) {
  const std::string digest = sha256(what);
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < 8; ++i) key = key << 8 | static_cast<unsigned char>(digest[i]);
  return static_cast<std::int64_t>(key);
}

// Anybody may take an advisory lock, and pg_locks shows which ones matter. So where the lock is not
// free, leased roles that hold it or wait for it are thrown out first, and the wait is bounded.
std::string lock_statement(std::int64_t key) {
  const auto bits = static_cast<std::uint64_t>(key);
  return fmt::format(
      R"sql(SET LOCAL lock_timeout = {3};
SELECT CASE WHEN pg_catalog.pg_try_advisory_xact_lock({0}) THEN 0 ELSE (
  SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a
    JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
    WHERE a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database b
        ON b.oid = l.database WHERE l.locktype = 'advisory' AND l.classid = {1} AND l.objid = {2}
        AND l.objsubid = 1 AND b.datname = pg_catalog.current_database())
      AND r.rolname <> session_user
      AND pg_catalog.starts_with(pg_catalog.shobj_description(r.oid, 'pg_authid'), '{{"curfew":')
      AND (pg_catalog.pg_has_role(r.oid, 'USAGE')
        OR (NOT r.rolsuper AND pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))) END;
SELECT pg_catalog.pg_advisory_xact_lock({0});
SET LOCAL lock_timeout = 0;
)sql",
      key, bits >> 32, bits & 0xffffffff, kAdvisoryLockWait.count());
}

std::uint32_t to_oid(const std::optional<std::string>& text) {
  return static_cast<std::uint32_t>(std::strtoul(text.value_or("0").c_str(), nullptr, 10));
}

std::int64_t to_count(const std::optional<std::string>& text) {
  return std::strtoll(text.value_or("0").c_str(), nullptr, 10);
}

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

constexpr std::size_t kColumns = 15;

FoundRole role_of(const Row& row) {
  FoundRole role;
  role.oid = to_oid(row[0]);
  role.name = row[1].value_or("");
  role.can_login = row[2] == "t";
  const char* attributes[] = {"SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"};
  for (std::size_t i = 0; i < 5; ++i)
    if (row[3 + i] == "t") role.attributes.emplace_back(attributes[i]);
  // What cannot be read ends with the role.
  role.memberships = parse_memberships(row[9]).value_or(std::vector<Membership>{});
  role.sessions = to_count(row[10]);
  role.dependencies_here = to_count(row[11]);
  if (const auto names = parse_json(row[12].value_or("[]")); names && names->is_array()) {
    for (const Json& name : *names)
      if (name.is_string()) role.databases_elsewhere.push_back(name.get<std::string>());
  }
  return role;
}

// The oid that the sessions are ended of is the lease's own: a role of the same name may be
// somebody else's. Subscriptions are shared objects that only their own database can remove.
std::string look_sql(const LeaseHandle& handle, bool end_sessions) {
  const std::string ended = fmt::format(
      "(SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) FROM "
      "pg_catalog.pg_stat_activity a WHERE a.usesysid = {} AND a.pid <> "
      "pg_catalog.pg_backend_pid())",
      handle.role_oid);
  return fmt::format(
      R"sql(SELECT r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
  r.rolreplication, r.rolbypassrls, pg_catalog.shobj_description(r.oid, 'pg_authid'),
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(g.rolname, u.rolname, w.rolname))
     FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
     JOIN pg_catalog.pg_roles u ON u.oid = m.member
     LEFT JOIN pg_catalog.pg_roles w ON w.oid = m.grantor
     WHERE m.member = r.oid OR (m.roleid = r.oid AND u.rolname <> current_user)),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_shdepend d
     WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid
       AND d.dbid IN (0, b.oid)),
  (SELECT pg_catalog.json_agg(o.datname ORDER BY o.datname) FROM pg_catalog.pg_database o
     WHERE o.oid <> b.oid AND o.oid IN (
       SELECT d.dbid FROM pg_catalog.pg_shdepend d
         WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid
       UNION ALL SELECT s.subdbid FROM pg_catalog.pg_subscription s WHERE s.subowner = r.oid)),
  {0},
  (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(p.gid, o.datname))
     FROM pg_catalog.pg_prepared_xact() AS p(xid, gid, prepared, ownerid, dbid)
     JOIN pg_catalog.pg_database o ON o.oid = p.dbid WHERE p.ownerid = {2})
FROM pg_catalog.pg_database b {1} JOIN pg_catalog.pg_roles r ON r.oid = {2} OR r.rolname = {3}
WHERE b.datname = pg_catalog.current_database();
)sql",
      end_sessions ? ended : "0", end_sessions ? "LEFT" : "", handle.role_oid,
      quote_literal(handle.database_role));
}

}  // namespace

Handle LeaseHandle::to_handle() const {
  Json fields{{"database_role", database_role},
              {"target", target},
              {"revocation_statements", revocation_statements},
              {"renew_statements", renew_statements}};
  if (!rollback_statements.empty()) fields["rollback_statements"] = rollback_statements;
  if (!entity.empty()) fields["entity"] = entity;
  if (!trace.empty()) fields["trace"] = trace;
  if (!entity_name.empty()) fields["entity_name"] = entity_name;
  if (!human.empty()) fields["human"] = human;
  if (!sub_agent.empty()) fields["sub_agent"] = sub_agent;
  if (!requested_by.empty()) fields["requested_by"] = requested_by;
  if (role_oid != 0) fields["role_oid"] = role_oid;
  if (!executor.empty()) fields["executor"] = executor;
  if (executor_oid != 0) fields["executor_oid"] = executor_oid;
  return {target, std::move(fields), database_role};
}

Result<LeaseHandle> LeaseHandle::from_handle(const Handle& handle) {
  const Error corrupt{Errc::kCorrupt, "the lease does not say which database role is its own"};
  if (!handle.fields.is_object()) return corrupt;
  LeaseHandle out{text_at(handle.fields, "target"), text_at(handle.fields, "database_role")};
  if (out.target.empty() || out.database_role.empty()) return corrupt;
  const Fields fields(handle.fields);
  ASSIGN_OR_RETURN(const auto oid, fields.integer_or("role_oid", 0));
  out.role_oid = static_cast<std::uint32_t>(oid);
  ASSIGN_OR_RETURN(auto revocation, fields.string_list("revocation_statements"));
  if (revocation) out.revocation_statements = std::move(*revocation);
  ASSIGN_OR_RETURN(auto renew, fields.string_list("renew_statements"));
  if (renew) out.renew_statements = std::move(*renew);
  ASSIGN_OR_RETURN(auto rollback, fields.string_list("rollback_statements"));
  if (rollback) out.rollback_statements = std::move(*rollback);
  out.entity = text_at(handle.fields, "entity");
  out.trace = text_at(handle.fields, "trace");
  out.entity_name = text_at(handle.fields, "entity_name");
  out.human = text_at(handle.fields, "human");
  out.sub_agent = text_at(handle.fields, "sub_agent");
  out.requested_by = text_at(handle.fields, "requested_by");
  out.executor = text_at(handle.fields, "executor");
  ASSIGN_OR_RETURN(const auto executor_oid, fields.integer_or("executor_oid", 0));
  out.executor_oid = static_cast<std::uint32_t>(executor_oid);
  return out;
}

LeaseHandle executor_of(const LeaseHandle& lease) {
  LeaseHandle out = lease;
  out.executor_for = std::exchange(out.database_role, lease.executor);
  out.role_oid = lease.executor_oid;
  out.executor.clear();
  out.executor_oid = 0;
  return out;
}

std::string role_mark(std::string_view mount_accessor, std::string_view lease_id,
                      const LeaseHandle& handle) {
  // "curfew" sorts first: list_owned looks for the beginning of the text.
  Json mark{{"curfew", mount_accessor}, {"lease", lease_id}, {"target", handle.target}};
  if (!handle.entity.empty()) mark["entity"] = handle.entity;
  if (!handle.trace.empty()) mark["trace"] = handle.trace;
  if (!handle.entity_name.empty()) mark["entity_name"] = handle.entity_name;
  if (!handle.human.empty()) mark["human"] = handle.human;
  if (!handle.sub_agent.empty()) mark["sub_agent"] = handle.sub_agent;
  if (!handle.executor.empty()) mark["executor"] = handle.executor;
  if (!handle.executor_for.empty()) mark["executor_for"] = handle.executor_for;
  return dump_json(mark);
}

std::optional<RoleMark> parse_role_mark(std::string_view comment) {
  if (!comment.starts_with("{\"curfew\":")) return std::nullopt;
  const auto parsed = parse_json(comment);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  RoleMark mark{text_at(*parsed, "curfew"), text_at(*parsed, "lease"), text_at(*parsed, "target"),
                text_at(*parsed, "entity"), text_at(*parsed, "trace")};
  mark.executor = text_at(*parsed, "executor");
  mark.executor_for = text_at(*parsed, "executor_for");
  if (mark.lease_id.empty()) return std::nullopt;
  return mark;
}

std::int64_t lease_lock_key(std::string_view lease_id) {
  return lock_key("curfew lease\n" + std::string(lease_id));
}

std::string lease_lock(std::string_view lease_id) {
  return lock_statement(lease_lock_key(lease_id));
}

std::string password_lock(std::string_view user) {
  return lock_statement(lock_key("curfew password\n" + std::string(user)));
}

std::string grant_lock() {
  return lock_statement(lock_key("curfew grants"));
}

std::string expiry_text(WallTime time) {
  const auto whole = std::chrono::ceil<Seconds>(time);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}+0000", fmt::gmtime(to_unix_seconds(whole)));
}

std::string lock_out_sql(const FoundRole& role) {
  std::string alter = fmt::format(
      "ALTER ROLE {} NOLOGIN PASSWORD NULL CONNECTION LIMIT 0 VALID UNTIL "
      "'1970-01-01 00:00:00+0000'",
      quote_identifier(role.name));
  for (const std::string& attribute : role.attributes) alter += " NO" + attribute;
  return alter;
}

std::string find_role_sql(const LeaseHandle& handle) {
  return look_sql(handle, false);
}

std::string end_sessions_sql(const LeaseHandle& handle) {
  return look_sql(handle, true);
}

std::int64_t sessions_told_to_end(const Rows& rows) {
  return rows.empty() || rows.front().size() != kColumns ? 0 : to_count(rows.front()[13]);
}

std::vector<PreparedTransaction> prepared_transactions(const Rows& rows) {
  std::vector<PreparedTransaction> out;
  if (rows.empty() || rows.front().size() != kColumns || !rows.front()[14]) return out;
  const auto all = parse_json(*rows.front()[14]);
  if (!all || !all->is_array()) return out;
  for (const Json& one : *all) {
    if (one.is_array() && one.size() == 2 && one[0].is_string() && one[1].is_string())
      out.push_back({one[0].get<std::string>(), one[1].get<std::string>()});
  }
  return out;
}

bool is_role_of_lease(const std::optional<std::string>& oid, const std::optional<std::string>& name,
                      const std::optional<std::string>& comment, const std::string& lease_id,
                      const LeaseHandle& handle) {
  const auto mark = parse_role_mark(comment.value_or(""));
  const bool same_oid = handle.role_oid != 0 && to_oid(oid) == handle.role_oid;
  // An oid can come round again after four billion: another lease's mark outweighs it. Not where
  // the name is the lease's own too: a role that may comment on roles could hide itself so.
  const bool same_name = name == handle.database_role;
  return (same_oid && same_name) || (mark ? mark->lease_id == lease_id : same_oid);
}

Result<std::optional<FoundRole>> find_role(const Rows& rows, const std::string& lease_id,
                                           const LeaseHandle& handle) {
  for (const Row& row : rows) {
    if (row.size() != kColumns)
      return Error{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
    // Where there is no role the row is there for the sessions.
    if (row[0] && is_role_of_lease(row[0], row[1], row[8], lease_id, handle))
      return std::optional{role_of(row)};
  }
  return std::optional<FoundRole>{};
}

}  // namespace curfew::engines::postgres
