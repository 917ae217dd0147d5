#include "cli/target_session.h"

#include <libpq-fe.h>

#include <algorithm>
#include <map>
#include <vector>

namespace curfew::cli {

namespace {

// The server's words in one line.
std::string said(const char* text) {
  std::string line = text == nullptr ? "" : text;
  while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// The parameters of a URL that are set.
Result<std::map<std::string, std::string>> parse_url(const std::string& url) {
  char* why = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &why);
  if (options == nullptr) {
    PQfreemem(why);
    // Its own words may repeat the URL.
    return Error{Errc::kInvalidArgument,
                 "-run: this is no connection URL of PostgreSQL: postgresql://USER@HOST:PORT"};
  }
  std::map<std::string, std::string> parameters;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option)
    if (option->val != nullptr) parameters[option->keyword] = option->val;
  PQconninfoFree(options);
  if (parameters.contains("password"))
    return Error{Errc::kInvalidArgument,
                 "-run: a password in the URL can be seen by other users of the machine, and may "
                 "be in the shell's history now: change it, and give the new one in PGPASSWORD or "
                 "at the prompt"};
  return parameters;
}

}  // namespace

Result<std::unique_ptr<TargetSession>> TargetSession::open(const std::string& url,
                                                           const std::string& database,
                                                           const Secret& password) {
  ASSIGN_OR_RETURN(auto parameters, parse_url(url));
  parameters["dbname"] = database;
  if (!password.empty()) parameters["password"] = password.reveal();
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : parameters) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<TargetSession> session(
      new TargetSession(PQconnectdbParams(keys.data(), values.data(), 0)));
  zero(parameters["password"]);
  if (session->connection_ == nullptr) return Error{Errc::kInternal, "out of memory"};
  if (PQstatus(session->connection_) != CONNECTION_OK) {
    session->problem_ = said(PQerrorMessage(session->connection_));
    return session;
  }
  const char* host = PQhost(session->connection_);
  session->host_ = host == nullptr ? "" : host;
  session->port_ = PQport(session->connection_);
  session->sslmode_ = parameters["sslmode"];
  return session;
}

TargetSession::~TargetSession() {
  PQfinish(connection_);
}

bool TargetSession::needs_password() const {
  return PQconnectionNeedsPassword(connection_) != 0;
}

Result<std::string> TargetSession::run(const std::string& sql) {
  PGresult* result = PQexec(connection_, sql.c_str());
  const auto status = PQresultStatus(result);
  std::string value;
  if (status == PGRES_TUPLES_OK && PQntuples(result) > 0) value = PQgetvalue(result, 0, 0);
  PQclear(result);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return value;
  return Error{Errc::kRefused, "PostgreSQL says: " + said(PQerrorMessage(connection_))};
}

Result<std::string> TargetSession::verifier(const std::string& login, const Secret& password) {
  char* text =
      PQencryptPasswordConn(connection_, password.reveal().c_str(), login.c_str(), "scram-sha-256");
  if (text == nullptr)
    return Error{Errc::kRefused,
                 "the password could not be prepared: " + said(PQerrorMessage(connection_))};
  std::string verifier = text;
  PQfreemem(text);
  return verifier;
}

}  // namespace curfew::cli
