#pragma once

#include <string>

#include "base/result.h"
#include "broker/identity/identities.h"
#include "broker/lease/lease.h"
#include "store/sql.h"

namespace curfew::broker {

// Whether an agent may have one more lease: `lease`, of the mount at `mount_path` (ending in '/').
// Asked inside the transaction that writes the lease down, so that the counts are exact however
// many ask at once; they are of the rows themselves, so that no restart forgets any. The hour ends
// at lease.issued_at. Whoever is no agent has no limits.
//
// kPermissionDenied: the role is not one of its allowed_roles. kQuotaExceeded: its budget is used
// up. Also the store's errors.
Status check_agent_budget(const store::Reader& reader, const Standing& standing,
                          const std::string& mount_path, const Lease& lease);

}  // namespace curfew::broker
