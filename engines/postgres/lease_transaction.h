#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/lease_role.h"

namespace curfew::engines::postgres {

// One transaction about the role of one lease, under the lease's lock. What is not committed when
// this is destroyed is rolled back. Belongs to one thread; the connection outlives it.
class LeaseTransaction {
 public:
  LeaseTransaction(Connection& connection, const std::string& lease_id, const LeaseHandle& handle,
                   SteadyTime deadline)
      : connection_(connection), lease_id_(lease_id), handle_(handle), deadline_(deadline) {}
  ~LeaseTransaction() { connection_.roll_back(); }
  LeaseTransaction(const LeaseTransaction&) = delete;
  LeaseTransaction& operator=(const LeaseTransaction&) = delete;

  // Begins, waits for the lock, and looks for the role. The commit waits for the disk also where
  // the target's own setting would not: what is recorded as done must be so.
  Result<std::optional<FoundRole>> begin();

  Result<Rows> run(std::string_view sql) { return connection_.run(sql, deadline_); }
  // Runs `sql` in a savepoint: where it fails the transaction goes on without it.
  Result<Rows> attempt(std::string_view sql);
  // SQLSTATE of the last attempt that failed.
  const std::string& attempt_sqlstate() const { return attempt_sqlstate_; }
  // `last` goes in the same round trip.
  Result<Rows> commit(std::string_view last = "");

  Connection& connection() { return connection_; }
  SteadyTime deadline() const { return deadline_; }

 private:
  Connection& connection_;
  const std::string& lease_id_;
  const LeaseHandle& handle_;
  const SteadyTime deadline_;
  std::string attempt_sqlstate_;
};

}  // namespace curfew::engines::postgres
