#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/transaction.h"

namespace curfew::engines::postgres {

// One transaction about the role of one lease.
class LeaseTransaction : public Transaction {
 public:
  // The references outlive this.
  LeaseTransaction(Connection& connection, const std::string& lease_id, const LeaseHandle& handle,
                   SteadyTime deadline)
      : Transaction(connection, deadline), lease_id_(lease_id), handle_(handle) {}

  // Begins, waits for the lease's lock in the connection's database, and looks for the role.
  Result<std::optional<FoundRole>> begin();
  // The same to take the role away: where its oid is known no lock is needed, and so nobody who
  // holds it can stop this.
  Result<std::optional<FoundRole>> begin_removal();

 private:
  const std::string& lease_id_;
  const LeaseHandle& handle_;
};

}  // namespace curfew::engines::postgres
