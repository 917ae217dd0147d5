#include "engines/postgres/quarantine_role.h"

#include <fmt/format.h>

#include "engines/postgres/membership.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

// Whoever may only add members to it does not have it.
std::string look_sql(int server_version) {
  return fmt::format(
      R"sql(SELECT r.rolcanlogin OR r.rolsuper, (
  SELECT pg_catalog.string_agg(u.rolname, ', ') FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles u ON u.oid = m.member
    WHERE m.roleid = r.oid AND NOT u.rolsuper AND u.rolname <> current_user {})
FROM pg_catalog.pg_roles r WHERE r.rolname = '{}')sql",
      server_version >= 160000 ? "AND (m.inherit_option OR m.set_option)" : "", kQuarantineRole);
}

}  // namespace

Status QuarantineRole::make_safe() {
  const std::string look = look_sql(transaction_.connection().server_version());
  ASSIGN_OR_RETURN(Rows rows, transaction_.run(look));
  if (rows.empty()) {
    // Another broker may make it at the same moment; then the second look finds it.
    auto made = transaction_.attempt(fmt::format("CREATE ROLE {} NOLOGIN", kQuarantineRole));
    if (!made && !transaction_.connection().in_transaction()) return std::move(made).error();
    ASSIGN_OR_RETURN(rows, transaction_.run(look));
    if (rows.empty()) return made ? ok() : Status(std::move(made).error());
  }
  if (rows.front()[0] == "t")
    return Error{Errc::kRefused,
                 fmt::format("role {0} can log in or is a superuser, so nothing is safe with it; "
                             "ALTER ROLE {0} NOLOGIN NOSUPERUSER",
                             kQuarantineRole)};
  if (rows.front()[1])
    return Error{Errc::kRefused,
                 fmt::format("role {0} has members ({1}), who could use what is put away there; "
                             "REVOKE {0} FROM {1}",
                             kQuarantineRole, *rows.front()[1])};
  return ok();
}

Status QuarantineRole::enter() {
  if (entered_) return ok();
  RETURN_IF_ERROR(make_safe());
  Connection& connection = transaction_.connection();
  if (!connection.is_superuser()) {
    auto joined = transaction_.run(
        grant_membership(kQuarantineRole, connection.login(), connection.server_version()));
    if (!joined) {
      Error error = std::move(joined).error();
      if (connection.sqlstate() == "42501")
        error.message += fmt::format("; let a superuser GRANT {} TO {} WITH ADMIN OPTION",
                                     kQuarantineRole, quote_identifier(connection.login()));
      return error;
    }
    joined_ = true;
  }
  entered_ = true;
  return ok();
}

Status QuarantineRole::leave() {
  if (!joined_) return ok();
  Connection& connection = transaction_.connection();
  RETURN_IF_ERROR(transaction_.run(
      revoke_membership({kQuarantineRole, connection.login(), ""}, connection.server_version())));
  joined_ = false;
  return ok();
}

}  // namespace curfew::engines::postgres
