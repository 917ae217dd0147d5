#pragma once

#include <vector>

#include "base/json.h"
#include "broker/approval/approval.h"
#include "broker/approval/approver.h"

namespace curfew::broker {

// An approval request as the API shows it: see docs/approvals-api.md. Holds no values of a request
// whose data is hidden. Without `can` and `earlier`, which depend on who looks.
Json to_api(const Approval& approval, const std::vector<FactorTally>& tallies);

// Takes out of a view what whoever asked must not have before it is approved: what the rehearsal
// saw of the data.
void hide_from_requester(Json& view);

// For lists: without evidence and parameters.
Json to_summary(const Approval& approval, const std::vector<FactorTally>& tallies);

// "<revision>-<16 hex of the digest>", in quotes: changes when anything of it does.
std::string etag_of(const Approval& approval);

}  // namespace curfew::broker
