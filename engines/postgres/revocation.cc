#include "engines/postgres/revocation.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

// How long sessions may take to end, all looks together.
constexpr Millis kTerminateTime{10'000};
constexpr Millis kFirstPause{5};
constexpr Millis kLongestPause{320};

// Whoever holds the role's row is waited for so long, thrown out, and waited for again.
constexpr const char* kShortLockWait = "SET LOCAL lock_timeout = 1000;\n";
constexpr int kLockOutAttemptsMax = 10;
// What others granted to the role holds off the DROP.
constexpr const char* kDropLockWait = "SET LOCAL lock_timeout = 5000;\n";

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

// Somebody holds the role's row, or changed it meanwhile.
bool is_blocked(const Connection& connection, const Error& error) {
  const std::string& state = connection.sqlstate();
  return state == "55P03" || state == "40P01" || state == "40001" ||
         (state == "XX000" && error.message.find("tuple concurrently") != std::string::npos);
}

std::int64_t number(const Rows& rows, std::size_t column) {
  if (rows.empty() || rows.front().size() <= column) return 0;
  return std::strtoll(rows.front()[column].value_or("0").c_str(), nullptr, 10);
}

// Fails where another session has come or the name has gone to another role: the words are no
// number.
std::string drop_unless_changed_sql(const FoundRole& role) {
  return fmt::format(
      "SELECT (CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = {0} AND rolname = {1})"
      " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE usesysid = {0}) THEN '0' "
      "ELSE 'the role was used or changed meanwhile' END)::pg_catalog.int4;\nDROP ROLE {2}",
      role.oid, quote_literal(role.name), quote_identifier(role.name));
}

// One row for each role with the lease's oid or name, else one: oid, name, comment, sessions told
// to end, dependencies in all databases, memberships, default privileges in this database, prepared
// transactions.
std::string verify_sql(const LeaseHandle& handle) {
  return fmt::format(
      R"sql(SELECT r.oid, r.rolname, pg_catalog.shobj_description(r.oid, 'pg_authid'),
  (SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid))
     FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = {0}),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_shdepend d
     WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = {0}),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_auth_members m
     WHERE m.member = {0} OR m.roleid = {0}),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_default_acl f WHERE f.defaclrole = {0} OR EXISTS (
     SELECT FROM pg_catalog.aclexplode(f.defaclacl) x WHERE x.grantee = {0} OR x.grantor = {0})),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xact()
     AS p(xid, gid, prepared, ownerid, dbid) WHERE p.ownerid = {0})
FROM pg_catalog.pg_database b LEFT JOIN pg_catalog.pg_roles r ON r.oid = {0} OR r.rolname = {1}
WHERE b.datname = pg_catalog.current_database();
)sql",
      // An oid of 0 would be PUBLIC.
      handle.role_oid == 0 ? "NULL" : std::to_string(handle.role_oid),
      quote_literal(handle.database_role));
}

}  // namespace

Revocation::Revocation(std::shared_ptr<Pool> pool, const std::string& lease_id,
                       const LeaseHandle& handle, PhaseRecord& phases, QuarantineLog& quarantine,
                       const Clock& clock, Log& log, SteadyTime deadline)
    : pool_(std::move(pool)),
      lease_id_(lease_id),
      handle_(handle),
      was_active_(handle.role_oid != 0),
      phases_(phases),
      quarantine_(quarantine),
      clock_(clock),
      log_(log),
      deadline_(deadline) {}

Result<Receipt> Revocation::run() {
  RETURN_IF_ERROR(lock_out());
  RETURN_IF_ERROR(terminate());
  RETURN_IF_ERROR(remove_executor());
  RETURN_IF_ERROR(clean());
  RETURN_IF_ERROR(drop());
  return verify();
}

Status Revocation::done(Phase phase, Json note) {
  log_.debug("revocation phase done",
             {{"phase", phase_name(phase)}, {"role", handle_.database_role}});
  return phases_.is_done(phase) ? ok() : phases_.done(phase, std::move(note));
}

void Revocation::remember(const std::optional<FoundRole>& role) {
  if (!role) return;
  handle_.role_oid = role->oid;
  handle_.database_role = role->name;
}

// `rows` are of end_sessions_sql().
Status Revocation::remember(const Rows& rows) {
  look_.emplace();
  look_->sessions_told_to_end = sessions_told_to_end(rows);
  look_->prepared = prepared_transactions(rows);
  most_sessions_ = std::max(most_sessions_, look_->sessions_told_to_end);
  ASSIGN_OR_RETURN(look_->role, find_role(rows, lease_id_, handle_));
  remember(look_->role);
  return ok();
}

// A create that is under way holds the lock; once there is an oid it is over.
std::string Revocation::lock() const {
  return handle_.role_oid == 0 ? lease_lock(lease_id_) : "";
}

std::string Revocation::end_sessions() const {
  return lock() + end_sessions_sql(handle_) + "COMMIT";
}

// Begins the transaction, ends the role's sessions and prepared transactions and looks for it: one
// that is left could hold the role's row for ever. Where sessions may not be ended the lock-out
// goes on without.
Result<std::optional<FoundRole>> Revocation::find_and_end_sessions(LeaseTransaction& transaction) {
  Connection& connection = transaction.connection();
  if (handle_.role_oid == 0) return transaction.begin_removal();
  auto rows = transaction.Transaction::begin(end_sessions_sql(handle_));
  if (!rows && connection.sqlstate() == "42501") {
    connection.roll_back();
    ASSIGN_OR_RETURN(auto role, transaction.begin_removal());
    if (!role) return role;
    // Membership in the role is enough where pg_signal_backend is missing.
    const auto member =
        transaction.attempt(kShortLockWait + grant_membership(role->name, connection.login(),
                                                              connection.server_version()));
    if (!member && connection.in_transaction()) return role;
    if (!member) return member.error();
    rows = transaction.run(end_sessions_sql(handle_));
    if (!rows && connection.sqlstate() == "42501") {
      connection.roll_back();
      return transaction.begin_removal();
    }
  }
  if (!rows) return std::move(rows).error();
  RETURN_IF_ERROR(remember(*rows));
  if (look_->prepared.empty()) return look_->role;
  connection.roll_back();
  RETURN_IF_ERROR(finish_prepared(connection));
  return transaction.begin_removal();
}

// Runs what `sql` makes of the role, and commits. While somebody holds the role's row that is
// thrown out and it is tried again. `role` is empty where it has gone meanwhile.
Result<Rows> Revocation::change(LeaseTransaction& transaction, std::optional<FoundRole>& role,
                                const std::function<std::string(const FoundRole&)>& sql) {
  Connection& connection = transaction.connection();
  for (int attempt = 1; role; ++attempt) {
    auto rows = transaction.run(kShortLockWait + sql(*role));
    if (rows) return rows;
    connection.roll_back();
    if (!connection.is_idle() || !is_blocked(connection, rows.error())) return rows;
    if (attempt == kLockOutAttemptsMax) {
      Error error = std::move(rows).error();
      error.message += "; another session or transaction holds the role: end it";
      return error;
    }
    ASSIGN_OR_RETURN(role, find_and_end_sessions(transaction));
  }
  RETURN_IF_ERROR(transaction.commit());
  return Rows{};
}

// ---- lock out ---------------------------------------------------------------------------------

Status Revocation::lock_out() {
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  Json note{{"role", "absent"}};
  {
    LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
    ASSIGN_OR_RETURN(const auto role, find_and_end_sessions(transaction));
    look_.reset();
    absent_ = !role;
    remember(role);
    if (role) again_ = role->can_login || phases_.is_done(Phase::kDrop);
    if (absent_ || may_skip(Phase::kLockOut)) {
      RETURN_IF_ERROR(transaction.commit());
    } else {
      ASSIGN_OR_RETURN(note, lock_out_role(transaction, *role));
    }
  }
  return done(Phase::kLockOut, std::move(note));
}

// The lock-out is committed, and in the same round trip, in a transaction of their own, the
// sessions are told to end: what this look finds is all that the next phases need to know.
Result<Json> Revocation::lock_out_role(LeaseTransaction& transaction, const FoundRole& role) {
  Connection& connection = transaction.connection();
  std::optional<FoundRole> present = role;
  auto rows = change(transaction, present, [&](const FoundRole& found) {
    std::string sql = lock_out_sql(found);
    for (const Membership& membership : found.memberships)
      sql += ";\n" + revoke_membership(membership, connection.server_version());
    return sql + ";\nCOMMIT;\n" + connection.begin(deadline_) + end_sessions();
  });
  if (!present && rows) return Json{{"role", "absent"}};
  if (!rows) {
    connection.roll_back();
    if (connection.is_idle() && is_blocked(connection, rows.error()))
      return refused(role, "locking out", std::move(rows).error(), connection);
    if (!connection.is_idle())
      return refused(role, "locking out", std::move(rows).error(), connection);
    return lock_out_step_by_step(transaction, role);
  }
  RETURN_IF_ERROR(remember(*rows));
  return Json{
      {"role", role.name}, {"role_oid", role.oid}, {"locked_at", format_rfc3339(clock_.wall())}};
}

// A membership that may not be revoked must not keep the door open, nor sessions that may not be
// ended.
Result<Json> Revocation::lock_out_step_by_step(LeaseTransaction& transaction,
                                               const FoundRole& role) {
  Connection& connection = transaction.connection();
  ASSIGN_OR_RETURN(auto present, transaction.begin_removal());
  auto locked = change(transaction, present,
                       [](const FoundRole& found) { return lock_out_sql(found) + ";\nCOMMIT"; });
  look_.reset();
  if (!present && locked) return Json{{"role", "absent"}};
  if (!locked) return refused(role, "locking out", std::move(locked).error(), connection);
  Json note{
      {"role", role.name}, {"role_oid", role.oid}, {"locked_at", format_rfc3339(clock_.wall())}};
  for (const Membership& membership : role.memberships) {
    auto revoked =
        connection.run(revoke_membership(membership, connection.server_version()), deadline_);
    if (revoked) continue;
    const std::string kept =
        fmt::format("membership of \"{}\" in \"{}\" ends only with the role: {}", membership.member,
                    membership.group, revoked.error().message);
    warn(kept);
    note["warnings"].push_back(kept);
  }
  return note;
}

// ---- terminate --------------------------------------------------------------------------------

// How many there were. `ended`: so many were told to end before.
Result<std::int64_t> Revocation::terminate_until_none(Connection& connection, std::int64_t ended) {
  Millis waited{0};
  Millis pause = kFirstPause;
  while (true) {
    auto rows = connection.run(connection.begin(deadline_) + end_sessions(), deadline_);
    if (!rows) {
      connection.roll_back();
      return std::move(rows).error();
    }
    RETURN_IF_ERROR(remember(*rows));
    const std::int64_t left = look_->sessions_told_to_end;
    ended = std::max(ended, left);
    if (!look_->prepared.empty()) {
      RETURN_IF_ERROR(finish_prepared(connection));
    } else if (left == 0) {
      return ended;
    }
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

// Such a transaction belongs to no session any more and keeps its locks; whoever is not a superuser
// must be its owner to end it.
Status Revocation::finish_prepared(Connection& connection) {
  const std::vector<PreparedTransaction> all = look_->prepared;
  for (const PreparedTransaction& prepared : all) {
    Status done = ok();
    if (prepared.database == connection.database()) {
      done = roll_back_prepared(connection, prepared);
    } else {
      auto there = pool_->acquire_elsewhere(Use::kRevoke, prepared.database, deadline_);
      done = there ? roll_back_prepared(**there, prepared) : Status(std::move(there).error());
    }
    const std::string which = fmt::format("prepared transaction {} in database \"{}\"",
                                          quote_literal(prepared.gid), prepared.database);
    if (!done) {
      Error error = std::move(done).error();
      error.message = fmt::format(
          "{} of database role \"{}\" could not be rolled back: {}; let a superuser connect to "
          "that database and run ROLLBACK PREPARED {}",
          which, handle_.database_role, error.message, quote_literal(prepared.gid));
      return error;
    }
    warn(which + " was rolled back");
  }
  return ok();
}

Status Revocation::roll_back_prepared(Connection& connection, const PreparedTransaction& prepared) {
  const std::string sql = "ROLLBACK PREPARED " + quote_literal(prepared.gid);
  const auto finish = [&]() -> Status {
    auto rows = connection.run(sql, deadline_);
    // 42704: somebody was faster.
    if (rows || connection.sqlstate() == "42704") return ok();
    return std::move(rows).error();
  };
  Status done = finish();
  if (done || connection.sqlstate() != "42501") return done;
  RETURN_IF_ERROR(connection.run(
      connection.begin(deadline_) + kShortLockWait +
          grant_membership(handle_.database_role, connection.login(), connection.server_version()) +
          ";\nCOMMIT",
      deadline_));
  connection.taint();  // whatever happens, nobody else gets this session
  RETURN_IF_ERROR(connection.run("SET ROLE " + quote_identifier(handle_.database_role), deadline_));
  done = finish();
  RETURN_IF_ERROR(connection.run("RESET ROLE", deadline_));
  return done;
}

Status Revocation::terminate() {
  if (may_skip(Phase::kTerminate)) return ok();
  std::int64_t ended = most_sessions_;
  const bool none =
      look_ ? look_->sessions_told_to_end == 0 && look_->prepared.empty() : handle_.role_oid == 0;
  if (!none) {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    auto result = terminate_until_none(*connection, ended);
    if (!result && connection->sqlstate() == "42501" && !absent_) {
      // Membership in the role is enough where pg_signal_backend is missing.
      RETURN_IF_ERROR(connection->run(grant_membership(handle_.database_role, connection->login(),
                                                       connection->server_version()),
                                      deadline_));
      result = terminate_until_none(*connection, ended);
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

// ---- clean ------------------------------------------------------------------------------------

// The phase is done when the operator's statements ran and every database was tried: these are not
// run twice because a database cannot be reached. The drop tries such a database again.
Status Revocation::clean() {
  if (may_skip(Phase::kClean)) return ok();
  if (absent_) return done(Phase::kClean, Json{{"role", "absent"}});
  RETURN_IF_ERROR(drop_own_schema());
  ASSIGN_OR_RETURN(Json note, run_operators_statements());
  if (!look_) RETURN_IF_ERROR(look_again(note));
  std::optional<Error> problem;
  if (look_->role && look_->role->has_dependencies()) {
    auto cleaned = clean_cluster(look_->role->databases_elsewhere, note);
    if (!cleaned) problem = std::move(cleaned).error();
  }
  RETURN_IF_ERROR(done(Phase::kClean, std::move(note)));
  return problem ? Status(std::move(*problem)) : ok();
}

// Into `note` goes what was done in each database, also where one could not be cleaned.
Status Revocation::clean_cluster(std::vector<std::string> elsewhere, Json& note) {
  look_.reset();
  ClusterCleaned cleaned =
      ClusterCleaning(*pool_, lease_id_, handle_, quarantine_, clock_, log_, deadline_)
          .run(elsewhere);
  note["databases"] = std::move(cleaned.databases);
  for (std::string& warning : cleaned.warnings) warn(std::move(warning));
  if (cleaned.error) return std::move(*cleaned.error);
  return ok();
}

// A note; what went wrong with the statements stands in it and does not stop the revocation.
Result<Json> Revocation::run_operators_statements() {
  if (!handle_.executor.empty()) return Json::object();  // they were about the executor
  const bool roll_back = !was_active_ && !handle_.rollback_statements.empty();
  const char* field = roll_back ? "rollback_statements" : "revocation_statements";
  const auto& elements = roll_back ? handle_.rollback_statements : handle_.revocation_statements;
  const auto facts = examine_statements(field, elements);
  // A bare DROP ROLE is what the drop does anyway, once everything in its way is gone.
  if (facts && (facts->empty || facts->only_drops_role)) return Json::object();
  std::string problem;
  if (!facts) {
    problem = facts.error().message;
  } else if (!is_issued_name(handle_.database_role)) {
    problem = fmt::format("somebody renamed the role to {}, which no statement is run with",
                          quote_identifier(handle_.database_role));
  } else {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    look_.reset();
    const std::string statements = with_login_path(
        fill(join_statements(elements), {handle_.database_role, "", expiry_text(clock_.wall())}));
    auto ran =
        connection->run(connection->begin(deadline_) + lock() +
                            (facts->grants_on_objects ? grant_lock() : "") + statements + "COMMIT",
                        deadline_);
    if (facts->changes_session) connection->taint();
    if (ran) return Json{{field, "done"}};
    connection->roll_back();
    if (!connection->is_idle()) return std::move(ran).error();
    problem = ran.error().message;
  }
  const std::string warning =
      fmt::format("the role's {} were not run, or failed and were undone: {}", field, problem);
  warn(warning);
  return Json{{field, warning}};
}

// Looks at the role once more, and shuts what the operator's statements may have opened.
Status Revocation::look_again(Json& note) {
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  const std::string known_as = handle_.database_role;
  LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
  ASSIGN_OR_RETURN(const auto role, transaction.begin_removal());
  remember(role);
  if (role && role->name != known_as)
    warn(fmt::format("database role \"{}\" was renamed to \"{}\" meanwhile", known_as, role->name));
  if (role && role->can_login) {
    warn("the role was let log in again meanwhile; it was locked out once more");
    ASSIGN_OR_RETURN(note["locked_out_again"], lock_out_role(transaction, *role));
    look_.reset();
  } else {
    RETURN_IF_ERROR(transaction.commit());
    look_ = Look{role, 0, {}};
  }
  if (!look_ || (role && role->sessions > 0)) RETURN_IF_ERROR(terminate_until_none(*connection, 0));
  if (!look_->role) note["role"] = "absent";
  return ok();
}

// ---- drop -------------------------------------------------------------------------------------

Status Revocation::drop() {
  if (may_skip(Phase::kDrop)) return ok();
  Json note{{"role", "absent"}};
  const bool known_absent = absent_ || (look_ && !look_->role);
  if (!known_absent) {
    ASSIGN_OR_RETURN(bool dropped, drop_in_one_go(note));
    if (!dropped) {
      ASSIGN_OR_RETURN(dropped, drop_or_clean(note));
    }
    if (!dropped) {
      ASSIGN_OR_RETURN(dropped, drop_or_clean(note));
    }
  }
  return done(Phase::kDrop, std::move(note));
}

Json Revocation::dropped_note(const FoundRole& role) const {
  return Json{{"role", role.name}, {"role_oid", role.oid}};
}

// Where the last look found nothing in the way. false: something is.
Result<bool> Revocation::drop_in_one_go(Json& note) {
  if (!look_ || !look_->role || look_->role->has_dependencies()) return false;
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  last_connection_ = connection->id();
  Transaction transaction(*connection, deadline_);
  auto dropped = transaction.begin(lock() + kDropLockWait + drop_unless_changed_sql(*look_->role) +
                                   ";\nCOMMIT");
  if (dropped) {
    note.update(dropped_note(*look_->role));
    return true;
  }
  if (dropped.error().code != Errc::kRefused) return std::move(dropped).error();
  return false;
}

// false: what it got or made after the cleaning was cleaned up, and now it can be dropped.
Result<bool> Revocation::drop_or_clean(Json& note) {
  std::vector<std::string> elsewhere;
  {
    ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
    last_connection_ = connection->id();
    LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
    ASSIGN_OR_RETURN(const auto role, transaction.begin_removal());
    if (!role) {
      RETURN_IF_ERROR(transaction.commit());
      return true;
    }
    if (!role->has_dependencies() || note.contains("databases")) {
      if (role->sessions > 0) RETURN_IF_ERROR(transaction.run(end_sessions_sql(handle_)));
      auto dropped = transaction.commit(std::string(kDropLockWait) + "DROP ROLE " +
                                        quote_identifier(role->name));
      if (!dropped)
        return refused(*role, "dropping", std::move(dropped).error(), transaction.connection());
      note.update(dropped_note(*role));
      return true;
    }
    elsewhere = role->databases_elsewhere;
  }
  RETURN_IF_ERROR(clean_cluster(elsewhere, note));
  return false;
}

// ---- verify -----------------------------------------------------------------------------------

Result<Receipt> Revocation::verify() {
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_, last_connection_));
  const auto look = [&] {
    return connection->run(connection->begin(deadline_) + lock() + verify_sql(handle_) + "COMMIT",
                           deadline_);
  };
  ASSIGN_OR_RETURN(Rows rows, look());
  // Sessions whose role was dropped under them (by hand, or in the moment before) are still seen.
  if (number(rows, 3) > 0) {
    RETURN_IF_ERROR(terminate_until_none(*connection, number(rows, 3)));
    ASSIGN_OR_RETURN(rows, look());
  }
  bool still_there = false, name_taken = false;
  for (const Row& row : rows) {
    const bool ours = row[0] && is_role_of_lease(row[0], row[1], row[2], lease_id_, handle_);
    still_there = still_there || ours;
    name_taken = name_taken || (row[0] && !ours);
  }
  const std::int64_t sessions = number(rows, 3), dependencies = number(rows, 4),
                     memberships = number(rows, 5), default_privileges = number(rows, 6),
                     prepared = number(rows, 7);
  if (still_there || sessions + dependencies + memberships + default_privileges + prepared != 0)
    return Error{Errc::kRefused,
                 fmt::format("{}: after everything was done, database role \"{}\" is {}, with {} "
                             "sessions, {} dependencies, {} memberships, {} default privileges "
                             "and {} prepared transactions; it is tried again",
                             pool_->settings().label(), handle_.database_role,
                             still_there ? "still there" : "gone", sessions, dependencies,
                             memberships, default_privileges, prepared)};
  if (name_taken)
    warn(fmt::format("a database role \"{}\" that is not this lease's exists and was left alone",
                     handle_.database_role));
  Receipt receipt;
  receipt.checked = Json{{"role", handle_.database_role},
                         {"role_absent", true},
                         {"sessions", sessions},
                         {"dependencies", dependencies},
                         {"memberships", memberships},
                         {"default_privileges", default_privileges},
                         {"verified_at", format_rfc3339(clock_.wall())},
                         {"database", connection->database()},
                         {"server", pool_->settings().address}};
  if (handle_.role_oid != 0) receipt.checked["role_oid"] = handle_.role_oid;
  if (!executor_.is_null()) receipt.checked["executor"] = std::move(executor_);
  receipt.warnings = std::move(warnings_);
  return receipt;
}

}  // namespace curfew::engines::postgres
