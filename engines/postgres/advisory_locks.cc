#include "engines/postgres/advisory_locks.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {
namespace {

constexpr Millis kLockWait{500};
constexpr int kAttemptsMax = 3;
constexpr std::string_view kLockNotAvailable = "55P03";

}  // namespace

Result<Rows> run_locked(Connection& connection, std::int64_t key, std::string_view sql,
                        SteadyTime deadline) {
  const std::string locked =
      fmt::format("SET LOCAL lock_timeout = {};\nSELECT pg_catalog.pg_advisory_xact_lock({});\n{}",
                  kLockWait.count(), key, sql);
  for (int attempt = 1;; ++attempt) {
    auto rows = connection.run(connection.begin(deadline) + locked, deadline);
    if (rows) return rows;
    connection.roll_back();
    if (connection.sqlstate() != kLockNotAvailable) return rows;
    if (attempt == kAttemptsMax)
      return Error{Errc::kUnavailable,
                   fmt::format("{}; another session holds an advisory lock of the broker and could "
                               "not be ended: find it in pg_locks and end it",
                               rows.error().message)};
    RETURN_IF_ERROR(end_lock_holders(connection, key, deadline));
  }
}

Status end_lock_holders(Connection& connection, std::int64_t key, SteadyTime deadline) {
  const auto bits = static_cast<std::uint64_t>(key);
  const auto ended = connection.run(
      fmt::format("SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) FROM "
                  "pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                  "JOIN pg_catalog.pg_database d ON d.oid = l.database "
                  "LEFT JOIN pg_catalog.pg_roles u ON u.oid = a.usesysid "
                  "CROSS JOIN pg_catalog.pg_roles me "
                  "WHERE l.locktype = 'advisory' AND l.classid = {} AND l.objid = {} AND "
                  "l.objsubid = 1 AND d.datname = pg_catalog.current_database() AND "
                  "me.rolname = current_user AND u.rolname IS DISTINCT FROM session_user AND "
                  "(me.rolsuper OR u.rolsuper IS NOT TRUE)",
                  bits >> 32, bits & 0xffffffffU),
      deadline);
  if (ended) return ok();
  return Error{
      ended.error().code,
      fmt::format("an advisory lock of the broker is held by somebody else, and the broker "
                  "may not end that session (it needs pg_signal_backend): {}",
                  ended.error().message)};
}

}  // namespace curfew::engines::postgres
