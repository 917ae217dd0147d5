#include "engines/postgres/password_change.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/postgres/fence.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

constexpr const char* kDefaultStatement =
    "ALTER ROLE \"{{username}}\" WITH PASSWORD '{{password}}'";

std::string account_sql(const std::string& user) {
  return fmt::format(
      "SELECT r.rolcanlogin, coalesce(r.rolvaliduntil <= pg_catalog.clock_timestamp(), false), "
      "coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''), "
      "r.rolname IN (current_user, session_user) FROM pg_catalog.pg_roles r WHERE r.rolname = {}",
      quote_literal(user));
}

Account account_of(const Rows& rows) {
  Account account;
  if (rows.empty() || rows.front().size() != 4) return account;
  const Row& row = rows.front();
  account.exists = true;
  account.can_login = row[0] == "t";
  account.expired = row[1] == "t";
  account.is_leased = parse_role_mark(row[2].value_or("")).has_value();
  account.is_own_login = row[3] == "t";
  return account;
}

// Nothing is committed before COMMIT is sent, however the connection ends.
Error undone(Error error) {
  if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
  return error;
}

Status change_in_transaction(Connection& connection, const PasswordChange& change,
                             const StatementFacts& facts, SteadyTime deadline) {
  auto before =
      connection.run(connection.begin(deadline) +
                         "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE "
                         "pg_catalog.current_setting('synchronous_commit') = 'off';\n" +
                         password_lock(change.user) + account_sql(change.user),
                     deadline);
  if (!before) return undone(std::move(before).error());
  const Account account = account_of(*before);
  if (!change.of_own_login) RETURN_IF_ERROR(check_account(account, change.user));

  const std::string statements =
      facts.empty ? std::string(kDefaultStatement) + ";\n" : join_statements(change.statements);
  if (facts.changes_session) connection.taint();
  auto after = connection.run(
      (facts.grants_on_objects ? grant_lock() : "") +
          with_login_path(fill(statements, {change.user, change.pair.verifier, ""})) +
          connection.time_limit(deadline) + account_sql(change.user),
      deadline, {change.pair.verifier, change.pair.password.reveal()});
  if (!after) return undone(std::move(after).error());
  if (const std::string why = why_no_login(account_of(*after), change.user); !why.empty())
    return Error{Errc::kRefused, why};

  auto committed =
      connection.run(deadline_fence(connection.server_seconds(deadline)) + "COMMIT", deadline);
  if (committed) return ok();
  if (failed_at_fence(committed.error())) {
    connection.taint();
    return Error{Errc::kUnavailable, committed.error().message};
  }
  return std::move(committed).error();
}

}  // namespace

Result<Account> find_account(Connection& connection, const std::string& user, SteadyTime deadline) {
  ASSIGN_OR_RETURN(const Rows rows, connection.run(account_sql(user), deadline));
  return account_of(rows);
}

Status check_account(const Account& account, const std::string& user) {
  if (!account.exists) return Error{Errc::kRefused, why_no_login(account, user)};
  if (account.is_leased)
    return Error{
        Errc::kRefused,
        fmt::format("database user \"{}\" belongs to a lease; name a user of your own", user)};
  if (account.is_own_login)
    return Error{
        Errc::kRefused,
        fmt::format("database user \"{}\" is the broker's own login; use rotate-root", user)};
  return ok();
}

std::string why_no_login(const Account& account, const std::string& user) {
  if (!account.exists) return fmt::format("database user \"{0}\" does not exist; create it", user);
  const std::string name = quote_identifier(user);
  if (!account.can_login)
    return fmt::format("database user \"{}\" may not log in; ALTER ROLE {} LOGIN", user, name);
  if (account.expired)
    return fmt::format(
        "the password of database user \"{}\" has an end that is over; ALTER ROLE {} VALID UNTIL "
        "'infinity'",
        user, name);
  return "";
}

Status change_password(Connection& connection, const PasswordChange& change, SteadyTime deadline) {
  ASSIGN_OR_RETURN(const auto facts, examine_statements("rotation_statements", change.statements));
  const Status changed = change_in_transaction(connection, change, facts, deadline);
  connection.roll_back();
  if (changed) return ok();
  Error error = changed.error();
  error.message = fmt::format(
      "changing the password of database user \"{}\": {}{}", change.user, error.message,
      error.code == Errc::kInDoubt ? "; whether it was changed is not known yet, and is found out"
                                   : "; nothing was changed");
  return error;
}

Status wait_for_changes(Connection& connection, const std::string& user, SteadyTime deadline) {
  RETURN_IF_ERROR(
      connection.run(connection.begin(deadline) + password_lock(user) + "ROLLBACK", deadline));
  return ok();
}

Status check_user_name(std::string_view user) {
  const bool good = !user.empty() && user.size() <= kRoleNameBytesMax &&
                    std::none_of(user.begin(), user.end(), [](char c) {
                      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ||
                             std::string_view("\"'\\$`{}").find(c) != std::string_view::npos;
                    });
  if (good) return ok();
  return Error{Errc::kInvalidArgument,
               fmt::format("username: a database user's name of 1 to {} bytes without quotes, "
                           "backslashes, '$', braces and control characters",
                           kRoleNameBytesMax)};
}

}  // namespace curfew::engines::postgres
