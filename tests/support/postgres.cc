#include "tests/support/postgres.h"

#include <libpq-fe.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "base/encoding.h"
#include "base/random.h"

namespace curfew::test {
namespace {

void ignore_notice(void*, const PGresult*) {}

struct Result {
  explicit Result(PGresult* made) : result(made) {}
  ~Result() { PQclear(result); }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;

  bool good() const {
    const auto status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
  }

  PGresult* result;
};

}  // namespace

PgSession::PgSession(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(connection_) != CONNECTION_OK) {
    const std::string why = PQerrorMessage(connection_);
    PQfinish(connection_);
    throw std::runtime_error("the test cannot log in: " + why);
  }
  PQsetNoticeReceiver(connection_, ignore_notice, nullptr);
}

PgSession::~PgSession() {
  if (connection_ != nullptr) PQfinish(connection_);
}

PgSession::PgSession(PgSession&& other) noexcept : connection_(other.connection_) {
  other.connection_ = nullptr;
}

std::vector<PgSession::Row> PgSession::run(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()));
  if (!result.good())
    throw std::runtime_error("the test's SQL failed: " +
                             std::string(PQresultErrorMessage(result.result)) + " in: " + sql);
  std::vector<Row> rows;
  for (int i = 0; i < PQntuples(result.result); ++i) {
    Row row;
    for (int column = 0; column < PQnfields(result.result); ++column) {
      if (PQgetisnull(result.result, i, column) != 0) {
        row.emplace_back(std::nullopt);
      } else {
        row.emplace_back(PQgetvalue(result.result, i, column));
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string PgSession::value(const std::string& sql) {
  const auto rows = run(sql);
  return rows.empty() || rows.front().empty() ? "" : rows.front().front().value_or("");
}

std::string PgSession::try_run(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()));
  if (result.good()) return "";
  const char* state = PQresultErrorField(result.result, PG_DIAG_SQLSTATE);
  return state == nullptr ? "lost" : state;
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

bool can_log_in(const std::string& conninfo) {
  PGconn* connection = PQconnectdb(conninfo.c_str());
  const bool good = PQstatus(connection) == CONNECTION_OK;
  PQfinish(connection);
  return good;
}

std::string PgAddress::url(const std::string& database) const {
  return url(database, user, password);
}

std::string PgAddress::url(const std::string& database, const std::string& as_user,
                           const std::string& its_password) const {
  return "postgresql://" + percent_encode(as_user) + ":" + percent_encode(its_password) + "@" +
         host + ":" + port + "/" + database;
}

PgAddress test_server() {
  const char* url = std::getenv("CURFEW_TEST_PG");
  if (url == nullptr || *url == '\0')
    throw std::runtime_error("CURFEW_TEST_PG is not set; run this test under tools/with-postgres");
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(url, &message);
  if (options == nullptr)
    throw std::runtime_error("CURFEW_TEST_PG cannot be read: " + std::string(message));
  PgAddress address;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    const std::string keyword = option->keyword;
    if (option->val == nullptr) continue;
    if (keyword == "host") address.host = option->val;
    if (keyword == "port") address.port = option->val;
    if (keyword == "user") address.user = option->val;
    if (keyword == "password") address.password = option->val;
  }
  PQconninfoFree(options);
  return address;
}

std::string unique_name(std::string_view prefix) {
  SystemRandom random;
  return std::string(prefix) + "_" + hex_encode(random_bytes(random, 5));
}

TestDatabase::TestDatabase(PgAddress server) : server_(std::move(server)), name_(unique_name()) {
  PgSession(server_.url()).run("CREATE DATABASE " + name_);
}

TestDatabase::~TestDatabase() {
  try {
    PgSession session(server_.url());
    session.run("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
    const auto roles = session.run(
        "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE '" + name_ + "%'");
    for (const auto& role : roles) session.try_run("DROP ROLE " + role.front().value_or(""));
  } catch (const std::exception&) {
    // The server of a test may be gone before its database.
  }
}

TestDatabase::Login TestDatabase::login(const std::string& attributes) {
  Login made{unique_name(name_), unique_name("pw")};
  superuser().run("CREATE ROLE " + made.user + " LOGIN PASSWORD '" + made.password + "' " +
                  attributes);
  return made;
}

}  // namespace curfew::test
