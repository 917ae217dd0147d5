#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engines/postgres/connection.h"

namespace curfew::engines::postgres {

// One transaction on a connection. What is not committed when this is destroyed is rolled back.
// Belongs to one thread; the connection outlives it.
class Transaction {
 public:
  Transaction(Connection& connection, SteadyTime deadline)
      : connection_(connection), deadline_(deadline) {}
  ~Transaction() { connection_.roll_back(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Begins, and runs `first` in the same round trip. The commit waits for the disk also where the
  // target's own setting would not: what is recorded as done must be so.
  Result<Rows> begin(std::string_view first);
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
  const SteadyTime deadline_;
  std::string attempt_sqlstate_;
};

}  // namespace curfew::engines::postgres
