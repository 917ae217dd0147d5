#include "bench/plain_program.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include "base/random.h"
#include "base/system_clock.h"
#include "bench/load.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::bench {
namespace {

namespace postgres = engines::postgres;

constexpr int kTimeoutMillis = 20'000;

std::string begin() {
  return fmt::format(
      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {0}; "
      "SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = {0};\n",
      kTimeoutMillis);
}

}  // namespace

std::vector<std::string> creation_statements(Grant grant) {
  const std::string create =
      "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';";
  if (grant == Grant::kGroup) return {create, "GRANT bench_readers TO \"{{name}}\";"};
  return {create, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";"};
}

std::vector<PlainRole> make_plain_roles(int count, int rounds) {
  SystemRandom random;
  std::vector<PlainRole> roles;
  for (int i = 0; i < count; ++i) {
    PlainRole role;
    role.lease_id = "database/creds/bench/" + random_base62(random, 24);
    role.name = postgres::default_username("plain", role.lease_id);
    role.verifier = postgres::scram_verifier(
        random_base62(random, 20), random_bytes(random, postgres::kScramSaltBytes), rounds);
    roles.push_back(std::move(role));
  }
  return roles;
}

void PlainConnection::Close::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

PlainConnection::PlainConnection(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK)
    fail(std::string("PostgreSQL: ") + PQerrorMessage(connection_.get()));
  run("SET client_min_messages = warning; SET timezone = 'UTC'");
}

void PlainConnection::run(const std::string& sql) {
  (void)value(sql);
}

std::string PlainConnection::value(const std::string& sql) {
  std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()),
                                                       &PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    fail(std::string("PostgreSQL: ") + PQresultErrorMessage(result.get()));
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

void PlainConnection::create(const PlainRole& role, Grant grant) {
  const WallTime now = SystemClock().wall();
  std::string sql = begin() + postgres::lease_lock(role.lease_id);
  if (grant == Grant::kTables) sql += postgres::grant_lock();
  sql += postgres::with_login_path(
      postgres::fill(postgres::join_statements(creation_statements(grant)),
                     {role.name, role.verifier, postgres::expiry_text(now + Seconds{900})}));
  const std::string mark = postgres::role_mark("database_00000000", role.lease_id, {"app", ""});
  sql += fmt::format("COMMENT ON ROLE {} IS {};\n", postgres::quote_identifier(role.name),
                     postgres::quote_literal(mark));
  sql += fmt::format(
      "SELECT (CASE WHEN pg_catalog.clock_timestamp() < pg_catalog.to_timestamp({}) THEN '0' ELSE "
      "'the deadline passed' END)::pg_catalog.int4;\n",
      to_unix_seconds(now) + 20);
  sql += fmt::format("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {};\nCOMMIT",
                     postgres::quote_literal(role.name));
  run(sql);
}

void PlainConnection::drop(const PlainRole& role) {
  const std::string name = postgres::quote_identifier(role.name);
  run(begin() + postgres::lease_lock(role.lease_id) + postgres::grant_lock() +
      fmt::format("GRANT {0} TO CURRENT_USER; DROP OWNED BY {0}; DROP ROLE {0};\nCOMMIT", name));
}

}  // namespace curfew::bench
