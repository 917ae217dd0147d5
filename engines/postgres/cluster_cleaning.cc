#include "engines/postgres/cluster_cleaning.h"

#include <fmt/format.h>

#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {

ClusterCleaned ClusterCleaning::run(const std::vector<std::string>& elsewhere) {
  std::size_t left = elsewhere.size() + 1;
  for (const std::string& database : elsewhere) {
    const Millis share = (deadline_ - clock_.steady()) / static_cast<std::int64_t>(left--);
    note(database, clean_elsewhere(database, clock_.steady() + share));
  }
  note(pool_.settings().database(),
       clean_home(out_.error ? Scope::kDatabase : Scope::kDatabaseAndShared));
  return std::move(out_);
}

void ClusterCleaning::note(const std::string& database, const Result<Cleaned>& result) {
  if (result) {
    out_.databases[database] = result->note();
    for (const std::string& warning : result->warnings)
      out_.warnings.push_back(fmt::format("database \"{}\": {}", database, warning));
    log_.debug("database cleaned", {{"database", database}, {"role", handle_.database_role}});
    return;
  }
  const Error& error = result.error();
  out_.databases[database] = {{"error", error.message}};
  if (!out_.error) {
    out_.error = error;
    return;
  }
  out_.error->message += "; " + error.message;
  // What somebody has to mend is told before what may pass.
  if (error.code == Errc::kRefused) out_.error->code = Errc::kRefused;
}

Result<Cleaned> ClusterCleaning::clean_home(Scope scope) {
  ASSIGN_OR_RETURN(auto connection, pool_.acquire(Use::kRevoke, deadline_));
  return clean(*connection, scope, deadline_);
}

Result<Cleaned> ClusterCleaning::clean_elsewhere(const std::string& database, SteadyTime deadline) {
  auto connection = pool_.acquire_elsewhere(Use::kRevoke, database, deadline);
  if (!connection) {
    auto why = unreachable(database, std::move(connection).error());
    if (why) return std::move(*why);
    return Cleaned{};  // it is gone
  }
  return clean(**connection, Scope::kDatabase, deadline);
}

Result<Cleaned> ClusterCleaning::clean(Connection& connection, Scope scope, SteadyTime deadline) {
  const bool is_elsewhere = connection.database() != pool_.settings().database();
  Cleaned all;
  do {
    LeaseTransaction transaction(connection, lease_id_, handle_, deadline);
    ASSIGN_OR_RETURN(const auto role, transaction.begin_removal());
    if (!role) break;
    ASSIGN_OR_RETURN(Cleaned batch, clean_batch(transaction, *role, scope));
    const bool to_check = is_elsewhere && !batch.more;
    const Status nothing_left = to_check ? check_nothing_left(transaction, *role) : ok();
    RETURN_IF_ERROR(transaction.commit());
    RETURN_IF_ERROR(nothing_left);
    all.add(std::move(batch));
  } while (all.more);
  return all;
}

// What is put away is remembered before it is committed.
Result<Cleaned> ClusterCleaning::clean_batch(Transaction& transaction, const FoundRole& role,
                                             Scope scope) {
  ASSIGN_OR_RETURN(Cleaned cleaned, clean_database(transaction, role, scope));
  RETURN_IF_ERROR(quarantine_.add(lease_id_, handle_, transaction.connection().database(),
                                  cleaned.kept, clock_.wall()));
  return cleaned;
}

// DROP ROLE tells of the target's own database what stands in its way; of others it gives a number.
Status ClusterCleaning::check_nothing_left(Transaction& transaction, const FoundRole& role) const {
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.run(fmt::format(
          "SELECT pg_catalog.string_agg(what, ', ') FROM (SELECT "
          "pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS what FROM "
          "pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid WHERE "
          "d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = {} AND "
          "b.datname = pg_catalog.current_database() ORDER BY 1 LIMIT 5) AS left_behind",
          role.oid)));
  if (rows.empty() || !rows.front().front()) return ok();
  Connection& connection = transaction.connection();
  return Error{Errc::kRefused,
               fmt::format("{}: in database \"{}\" the broker's login {} cannot take away what "
                           "others granted or own: {}; let them, or a superuser, connect there and "
                           "run DROP OWNED BY {}",
                           pool_.settings().label(), connection.database(), connection.login(),
                           *rows.front().front(), quote_identifier(role.name))};
}

// Why there is no connection to it, as the target's own database sees it. nullopt: it is gone.
std::optional<Error> ClusterCleaning::unreachable(const std::string& database, Error error) {
  auto home = pool_.acquire(Use::kRevoke, deadline_);
  if (!home) return std::move(home).error();
  auto rows = (*home)->run(
      fmt::format("SELECT d.datallowconn, pg_catalog.has_database_privilege(d.oid, 'CONNECT') "
                  "FROM pg_catalog.pg_database d WHERE d.datname = {}",
                  quote_literal(database)),
      deadline_);
  if (!rows) return std::move(rows).error();
  if (rows->empty()) return std::nullopt;
  const Row& row = rows->front();
  std::string advice =
      fmt::format("let login {} in there (pg_hba.conf, connection limits), or drop the database",
                  (*home)->login());
  if (row[0] != "t") {
    advice = fmt::format(
        "it takes no connections; ALTER DATABASE {} ALLOW_CONNECTIONS true, or "
        "drop it",
        quote_identifier(database));
    error.code = Errc::kRefused;
  } else if (row[1] != "t") {
    advice = fmt::format("GRANT CONNECT ON DATABASE {} TO {}", quote_identifier(database),
                         quote_identifier((*home)->login()));
    error.code = Errc::kRefused;
  }
  error.message = fmt::format(
      "database \"{}\", where database role \"{}\" owns or is granted "
      "something, cannot be cleaned: {}; {}",
      database, handle_.database_role, error.message, advice);
  return error;
}

}  // namespace curfew::engines::postgres
