#include "engines/postgres/lease_transaction.h"

namespace curfew::engines::postgres {

Result<std::optional<FoundRole>> LeaseTransaction::begin() {
  ASSIGN_OR_RETURN(const Rows rows,
                   Transaction::begin(lease_lock(lease_id_) + find_role_sql(handle_)));
  return find_role(rows, lease_id_, handle_);
}

Result<std::optional<FoundRole>> LeaseTransaction::begin_removal() {
  if (handle_.role_oid == 0) return begin();
  ASSIGN_OR_RETURN(const Rows rows, Transaction::begin(find_role_sql(handle_)));
  return find_role(rows, lease_id_, handle_);
}

}  // namespace curfew::engines::postgres
