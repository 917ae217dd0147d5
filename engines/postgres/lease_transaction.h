#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/transaction.h"

namespace curfew::engines::postgres {

// One transaction about the role of one lease, under the lease's lock in the connection's database.
class LeaseTransaction : public Transaction {
 public:
  // The references outlive this.
  LeaseTransaction(Connection& connection, const std::string& lease_id, const LeaseHandle& handle,
                   SteadyTime deadline)
      : Transaction(connection, deadline), lease_id_(lease_id), handle_(handle) {}

  // Begins, waits for the lock, and looks for the role.
  Result<std::optional<FoundRole>> begin();

 private:
  const std::string& lease_id_;
  const LeaseHandle& handle_;
};

}  // namespace curfew::engines::postgres
