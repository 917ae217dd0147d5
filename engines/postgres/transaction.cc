#include "engines/postgres/transaction.h"

namespace curfew::engines::postgres {

Result<Rows> Transaction::begin(std::string_view first) {
  return run(connection_.begin(deadline_) +
             "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE "
             "pg_catalog.current_setting('synchronous_commit') = 'off';\n" +
             std::string(first));
}

Result<Rows> Transaction::attempt(std::string_view sql) {
  auto rows =
      run("SAVEPOINT curfew_attempt;\n" + std::string(sql) + ";\nRELEASE SAVEPOINT curfew_attempt");
  if (rows || !connection_.in_transaction()) return rows;
  attempt_sqlstate_ = connection_.sqlstate();
  RETURN_IF_ERROR(run("ROLLBACK TO SAVEPOINT curfew_attempt"));
  return rows;
}

Result<Rows> Transaction::commit(std::string_view last) {
  return run(std::string(last) + ";\nCOMMIT");
}

}  // namespace curfew::engines::postgres
