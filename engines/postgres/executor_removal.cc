#include <fmt/format.h>

#include "engines/postgres/forgotten_phases.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/revocation.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_executor.h"

// What Revocation does about leases for one statement.
namespace curfew::engines::postgres {

// Nobody can log in as the executor, and whoever could make it run is out by now. It goes in the
// same way as any other role of a lease, and that is done again as long as the lease's own role was
// not found to be gone.
Status Revocation::remove_executor() {
  if (handle_.executor.empty()) return ok();
  const LeaseHandle executor = executor_of(handle_);
  ForgottenPhases phases;
  auto receipt =
      Revocation(pool_, lease_id_, executor, phases, quarantine_, clock_, log_, deadline_).run();
  if (!receipt) {
    Error error = std::move(receipt).error();
    error.message = "removing what ran the lease's statement: " + error.message;
    return error;
  }
  for (Json& warning : receipt->warnings) warnings_.push_back(std::move(warning));
  executor_ = std::move(receipt->checked);
  executor_["schema_absent"] = true;  // it owned that, and there is nothing that it owns
  look_.reset();
  return ok();
}

// The broker made what is in there. Whatever else has come into it is left for the cleaning, which
// keeps data.
Status Revocation::drop_own_schema() {
  if (handle_.executor_for.empty()) return ok();
  ASSIGN_OR_RETURN(auto connection, pool_->acquire(Use::kRevoke, deadline_));
  LeaseTransaction transaction(*connection, lease_id_, handle_, deadline_);
  ASSIGN_OR_RETURN(const auto role, transaction.begin_removal());
  if (!role) return ok();
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.run(fmt::format("SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname = {} "
                                  "AND n.nspowner = {}",
                                  quote_literal(role->name), role->oid)));
  if (rows.empty()) return ok();
  if (!connection->is_superuser())
    RETURN_IF_ERROR(transaction.run(
        grant_membership(role->name, connection->login(), connection->server_version())));
  for (const std::string& drop :
       {drop_run_once_sql(role->name), "DROP SCHEMA " + quote_identifier(role->name)}) {
    auto dropped = transaction.attempt(drop);
    if (!dropped && !connection->in_transaction()) return std::move(dropped).error();
  }
  RETURN_IF_ERROR(transaction.commit());
  look_.reset();
  return ok();
}

}  // namespace curfew::engines::postgres
