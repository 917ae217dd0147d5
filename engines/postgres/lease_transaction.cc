#include "engines/postgres/lease_transaction.h"

namespace curfew::engines::postgres {

Result<std::optional<FoundRole>> LeaseTransaction::begin() {
  ASSIGN_OR_RETURN(const Rows rows,
                   run(connection_.begin(deadline_) +
                       "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE "
                       "pg_catalog.current_setting('synchronous_commit') = 'off';\n" +
                       lease_lock(lease_id_) + find_role_sql(handle_)));
  return find_role(rows, lease_id_, handle_);
}

Result<Rows> LeaseTransaction::attempt(std::string_view sql) {
  auto rows =
      run("SAVEPOINT curfew_attempt;\n" + std::string(sql) + ";\nRELEASE SAVEPOINT curfew_attempt");
  if (rows || !connection_.in_transaction()) return rows;
  attempt_sqlstate_ = connection_.sqlstate();
  RETURN_IF_ERROR(run("ROLLBACK TO SAVEPOINT curfew_attempt"));
  return rows;
}

Result<Rows> LeaseTransaction::commit(std::string_view last) {
  return run(std::string(last) + ";\nCOMMIT");
}

}  // namespace curfew::engines::postgres
