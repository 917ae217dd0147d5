#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

struct pg_conn;

namespace curfew::cli {

// A session of an administrator with a PostgreSQL server. Blocking; used by one thread. Errors are
// kInvalidArgument for an unreadable URL and kRefused for what the server says, and hold no
// password.
class TargetSession {
 public:
  // `url`: a connection URL or keyword string, without a password; `database` takes the place of
  // the one in it. With an empty `password` those that libpq finds by itself are tried.
  static Result<std::unique_ptr<TargetSession>> open(const std::string& url,
                                                     const std::string& database,
                                                     const Secret& password);
  ~TargetSession();
  TargetSession(const TargetSession&) = delete;
  TargetSession& operator=(const TargetSession&) = delete;

  // Why the session did not come about; empty: it did.
  const std::string& problem() const { return problem_; }
  // The server wants a password, and there was none.
  bool needs_password() const;

  // Several statements; the first column of the last row, or "".
  Result<std::string> run(const std::string& sql);
  // The password as PostgreSQL stores it (SCRAM-SHA-256), so that the server never sees it.
  Result<std::string> verifier(const std::string& login, const Secret& password);

  const std::string& host() const { return host_; }
  const std::string& port() const { return port_; }
  const std::string& sslmode() const { return sslmode_; }  // of the URL; empty: none was named

 private:
  explicit TargetSession(pg_conn* connection) : connection_(connection) {}

  pg_conn* connection_;
  std::string problem_, host_, port_, sslmode_;
};

}  // namespace curfew::cli
