#pragma once

#include "broker/approval/approval.h"
#include "broker/approval/approval_service.h"

namespace curfew::broker {

// Whether an approval request that is there stands for what is asked for now, both of the same
// requester, path and parameters (see Approval::ask). What is left open now (session, purpose,
// trace, TTL, reason, ticket, task) is taken as it is there, so that a client that only repeats
// its read finds the request that it is about; what is said has to be the same. A TTL may be larger
// than that of a request that an approver has narrowed.
bool is_same_wish(const Approval& found, const engines::Attribution& by,
                  const ApprovalWishes& wishes);

}  // namespace curfew::broker
