#pragma once

#include <string>

#include "base/result.h"
#include "broker/approval/approval.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// The columns that open_approval() reads, in its order.
inline constexpr const char* kApprovalColumns =
    "id, state, requester, agent, role, target, ask, request_key, automatic, created_at, due_at, "
    "review_due, sealed";

// kCorrupt: the row was altered outside of Curfew.
Result<Approval> open_approval(const store::Barrier& barrier, const store::Row& row);

Status insert_approval(store::Writer& writer, const store::Barrier& barrier,
                       const Approval& approval);
// kNotFound: there is no such row.
Status update_approval(store::Writer& writer, const store::Barrier& barrier,
                       const Approval& approval);

}  // namespace curfew::broker
