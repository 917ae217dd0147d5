#include "engines/postgres/revocation.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

// How long sessions may take to end, all looks together.
constexpr Millis kTerminateTime{10'000};
constexpr Millis kFirstPause{5};
constexpr Millis kLongestPause{320};

Error refused(const FoundRole& role, std::string_view step, Error error,
              const Connection& connection) {
  error.message = fmt::format("{} database role \"{}\": {}", step, role.name, error.message);
  if (connection.sqlstate() == "42501")
    error.message += fmt::format(
        "; the broker's login {} lacks the right: it needs CREATEROLE, and "
        "SUPERUSER for roles that have attributes of their own",
        connection.login());
  if (connection.sqlstate() == "2BP01")
    error.message += fmt::format(
        ": {}; the broker's login {} cannot take away what others granted or own: let them, or a "
        "superuser, run DROP OWNED BY {}",
        connection.server_detail(), connection.login(), quote_identifier(role.name));
  return error;
}

std::string revoke_membership(const Membership& membership, int server_version) {
  std::string sql = fmt::format("REVOKE {} FROM {}", quote_identifier(membership.group),
                                quote_identifier(membership.member));
  // Since version 16 each grantor's grant stands for itself.
  if (server_version >= 160000 && !membership.grantor.empty())
    sql += " GRANTED BY " + quote_identifier(membership.grantor);
  return sql;
}

std::string terminate_sql(std::uint32_t oid) {
  return fmt::format(
      "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE "
      "pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a WHERE "
      "a.usesysid = {} AND a.pid <> pg_catalog.pg_backend_pid();\n",
      oid);
}

std::int64_t number(const Rows& rows, std::size_t column) {
  if (rows.empty() || rows.front().size() <= column) return 0;
  return std::strtoll(rows.front()[column].value_or("0").c_str(), nullptr, 10);
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "\"" : ", \"") + name + "\"";
  return out;
}

}  // namespace

Revocation::Revocation(std::shared_ptr<Pool> pool, const std::string& lease_id,
                       const LeaseHandle& handle, PhaseRecord& phases, const Clock& clock, Log& log,
                       SteadyTime deadline)
    : pool_(std::move(pool)),
      lease_id_(lease_id),
      handle_(handle),
      phases_(phases),
      clock_(clock),
      log_(log),
      deadline_(deadline) {}

Result<Receipt> Revocation::run() {
  RETURN_IF_ERROR(lock_out());
  RETURN_IF_ERROR(terminate());
  RETURN_IF_ERROR(clean());
  RETURN_IF_ERROR(drop());
  return verify();
}

void Revocation::warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) warnings_.push_back(warning);
}

Status Revocation::done(Phase phase, Json note) {
  log_.debug("revocation phase done",
             {{"phase", phase_name(phase)}, {"role", handle_.database_role}});
  return phases_.is_done(phase) ? ok() : phases_.done(phase, std::move(note));
}

Status Revocation::lock_out() {
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  Json note{{"role", "absent"}};
  {
    LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
    ASSIGN_OR_RETURN(const auto role, transaction.begin());
    absent_ = !role;
    if (role) {
      handle_.role_oid = role->oid;
      handle_.database_role = role->name;
      again_ = role->can_login || phases_.is_done(Phase::kDrop);
    }
    if (absent_ || may_skip(Phase::kLockOut)) {
      RETURN_IF_ERROR(transaction.commit());
    } else {
      ASSIGN_OR_RETURN(note, lock_out_role(transaction, *role));
    }
  }
  return done(Phase::kLockOut, std::move(note));
}

Result<Json> Revocation::lock_out_role(LeaseTransaction& transaction, const FoundRole& role) {
  Connection& connection = transaction.connection();
  std::string alter = fmt::format(
      "ALTER ROLE {} NOLOGIN PASSWORD NULL CONNECTION LIMIT 0 VALID UNTIL "
      "'1970-01-01 00:00:00+0000'",
      quote_identifier(role.name));
  for (const std::string& attribute : role.attributes) alter += " NO" + attribute;
  std::string memberships;
  for (const Membership& membership : role.memberships)
    memberships += ";\n" + revoke_membership(membership, connection.server_version());
  Json note{
      {"role", role.name}, {"role_oid", role.oid}, {"locked_at", format_rfc3339(clock_.wall())}};
  auto locked = transaction.commit(alter + memberships);
  if (locked) return note;
  connection.roll_back();
  if (role.memberships.empty() || !connection.is_idle())
    return refused(role, "locking out", std::move(locked).error(), connection);

  // A membership that may not be revoked must not keep the door open.
  ASSIGN_OR_RETURN(const auto still_there, transaction.begin());
  if (!still_there) return Json{{"role", "absent"}};
  locked = transaction.commit(alter);
  if (!locked) return refused(role, "locking out", std::move(locked).error(), connection);
  std::vector<std::string> kept;
  for (const Membership& membership : role.memberships) {
    auto revoked =
        connection.run(revoke_membership(membership, connection.server_version()), deadline_);
    if (!revoked)
      kept.push_back(fmt::format("membership of \"{}\" in \"{}\" ends only with the role: {}",
                                 membership.member, membership.group, revoked.error().message));
  }
  warn(kept);
  note["warnings"] = kept;
  return note;
}

Result<std::int64_t> Revocation::terminate_until_none(Connection& connection) {
  std::int64_t ended = 0;
  Millis waited{0};
  Millis pause = kFirstPause;
  while (true) {
    auto rows = connection.run(connection.begin(deadline_) + lease_lock(lease_id_) +
                                   terminate_sql(handle_.role_oid) + "COMMIT",
                               deadline_);
    if (!rows) {
      connection.roll_back();
      return std::move(rows).error();
    }
    const std::int64_t left = number(*rows, 0);
    ended = std::max(ended, left);
    if (left == 0) return ended;
    if (waited >= kTerminateTime)
      return Error{Errc::kUnavailable,
                   fmt::format("{}: {} sessions of database role \"{}\" were told to end and have "
                               "not ended; they cannot log in again",
                               pool_->settings().label(), left, handle_.database_role)};
    // The server does the waiting, so that the broker's clock has no part in it.
    RETURN_IF_ERROR(connection.run(
        fmt::format("SELECT pg_catalog.pg_sleep({})", static_cast<double>(pause.count()) / 1000),
        deadline_));
    waited += pause;
    pause = std::min(pause * 2, kLongestPause);
  }
}

Status Revocation::terminate() {
  if (may_skip(Phase::kTerminate)) return ok();
  std::int64_t ended = 0;
  if (handle_.role_oid != 0) {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    auto result = terminate_until_none(*connection);
    if (!result && connection->sqlstate() == "42501" && !absent_) {
      // Membership in the role is enough where pg_signal_backend is missing.
      RETURN_IF_ERROR(
          connection->run(fmt::format("GRANT {} TO {}", quote_identifier(handle_.database_role),
                                      quote_identifier(connection->login())),
                          deadline_));
      result = terminate_until_none(*connection);
    }
    if (!result) {
      Error error = std::move(result).error();
      if (connection->sqlstate() == "42501")
        error.message += fmt::format("; GRANT pg_signal_backend TO {}", connection->login());
      return error;
    }
    ended = *result;
  }
  return done(Phase::kTerminate, Json{{"sessions_ended", ended}});
}

Status Revocation::clean() {
  if (may_skip(Phase::kClean)) return ok();
  if (absent_) return done(Phase::kClean, Json{{"role", "absent"}});
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  ASSIGN_OR_RETURN(Json note, run_operators_statements(*connection));
  LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
  ASSIGN_OR_RETURN(const auto role, transaction.begin());
  if (role) {
    ASSIGN_OR_RETURN(const Cleaned cleaned, clean_database(transaction, *role));
    warn(cleaned.warnings);
    note.update(cleaned.note());
  }
  RETURN_IF_ERROR(transaction.commit());
  return done(Phase::kClean, std::move(note));
}

// A note; what went wrong with the statements stands in it and does not stop the revocation.
Result<Json> Revocation::run_operators_statements(Connection& connection) {
  const auto facts = examine_statements("revocation_statements", handle_.revocation_statements);
  // A bare DROP ROLE is what the drop does anyway, once everything in its way is gone.
  if (facts && (facts->empty || facts->only_drops_role)) return Json::object();
  std::string problem;
  if (!facts) {
    problem = facts.error().message;
  } else {
    const std::string statements =
        with_login_path(fill(join_statements(handle_.revocation_statements),
                             {handle_.database_role, "", expiry_text(clock_.wall())}));
    auto ran =
        connection.run(connection.begin(deadline_) + lease_lock(lease_id_) +
                           (facts->grants_on_objects ? grant_lock() : "") + statements + "COMMIT",
                       deadline_);
    if (facts->changes_session) connection.taint();
    if (ran) return Json{{"revocation_statements", "done"}};
    connection.roll_back();
    if (!connection.is_idle()) return std::move(ran).error();
    problem = ran.error().message;
  }
  const std::string warning = "the role's revocation_statements failed and were undone: " + problem;
  warnings_.push_back(warning);
  return Json{{"revocation_statements", warning}};
}

Status Revocation::drop() {
  if (may_skip(Phase::kDrop)) return ok();
  Json note{{"role", "absent"}};
  {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    last_connection_ = connection->id();
    LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
    ASSIGN_OR_RETURN(const auto role, transaction.begin());
    if (role) {
      ASSIGN_OR_RETURN(note, drop_role(transaction, *role));
    } else {
      RETURN_IF_ERROR(transaction.commit());
    }
  }
  return done(Phase::kDrop, std::move(note));
}

Result<Json> Revocation::drop_role(LeaseTransaction& transaction, const FoundRole& role) {
  if (role.sessions > 0) RETURN_IF_ERROR(transaction.run(terminate_sql(role.oid)));
  // What the role got or made after the cleaning.
  ASSIGN_OR_RETURN(const Cleaned cleaned, clean_database(transaction, role));
  if (!role.databases_elsewhere.empty())
    return Error{Errc::kRefused,
                 fmt::format("database role \"{0}\" is locked out and cannot be dropped: it owns "
                             "objects or has privileges in database {1}; connect there and run "
                             "DROP OWNED BY \"{0}\" (REASSIGN OWNED first keeps its tables)",
                             role.name, joined(role.databases_elsewhere))};
  auto dropped = transaction.commit("DROP ROLE " + quote_identifier(role.name));
  if (!dropped)
    return refused(role, "dropping", std::move(dropped).error(), transaction.connection());
  warn(cleaned.warnings);
  Json note = cleaned.note();
  note["role"] = role.name;
  note["role_oid"] = role.oid;
  return note;
}

Result<Receipt> Revocation::verify() {
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_, last_connection_));
  // Sessions whose role was dropped under them (by hand, or in the moment before) are still seen.
  if (handle_.role_oid != 0) RETURN_IF_ERROR(terminate_until_none(*connection));
  ASSIGN_OR_RETURN(const Rows found, connection->run(find_role_sql(handle_), deadline_));
  ASSIGN_OR_RETURN(const auto role, find_role(found, lease_id_, handle_));
  ASSIGN_OR_RETURN(
      const Rows counts,
      connection->run(
          fmt::format(
              "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid "
              "= {0}), (SELECT pg_catalog.count(*) FROM pg_catalog.pg_shdepend WHERE refclassid = "
              "'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = {0}) + (SELECT "
              "pg_catalog.count(*) FROM pg_catalog.pg_auth_members WHERE member = {0} OR roleid = "
              "{0})",
              handle_.role_oid),
          deadline_));
  const std::int64_t sessions = number(counts, 0);
  const std::int64_t dependencies = number(counts, 1);
  if (role || sessions != 0 || dependencies != 0)
    return Error{Errc::kRefused,
                 fmt::format("{}: after everything was done, database role \"{}\" is {}, with {} "
                             "sessions and {} dependencies; it is tried again",
                             pool_->settings().label(), handle_.database_role,
                             role ? "still there" : "gone", sessions, dependencies)};
  if (!found.empty())
    warnings_.push_back(
        fmt::format("a database role \"{}\" that is not this lease's exists and was "
                    "left alone",
                    handle_.database_role));
  Receipt receipt;
  receipt.checked = Json{{"role", handle_.database_role},
                         {"role_absent", true},
                         {"sessions", sessions},
                         {"dependencies", dependencies},
                         {"verified_at", format_rfc3339(clock_.wall())},
                         {"database", connection->database()},
                         {"server", pool_->settings().address}};
  if (handle_.role_oid != 0) receipt.checked["role_oid"] = handle_.role_oid;
  receipt.warnings = std::move(warnings_);
  return receipt;
}

}  // namespace curfew::engines::postgres
