#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "broker/approval/approval.h"
#include "broker/backend.h"

namespace curfew::broker {

// A human who may decide on requests of a namespace.
struct Approver {
  std::string entity_id;
  std::string name;
  std::vector<std::string> groups;  // ids, direct and nested
};

// Whoever makes a call, as an approver of the namespace `place`. kPermissionDenied says why not:
// only a human who has logged in herself decides, in the namespace that she belongs to; never an
// agent, whatever its policies say, nor a token that somebody made.
Result<Approver> approver_of(const Caller* caller, const std::string& place);

// Whether she is among those whom a request waits for: in a group of one of its factors, and
// neither who asked, nor who answers for or has launched whoever asked. kPermissionDenied says why
// not.
Status check_eligible(const Approval& approval, const Approver& approver);

// How far a factor has got.
struct FactorTally {
  const ApproverFactor* factor = nullptr;
  std::vector<const ApprovalDecision*> by;  // who counts for it, each another human
  bool is_satisfied() const { return static_cast<std::int64_t>(by.size()) >= factor->approvals; }
};

// Who of those who approved the present content counts for which factor. Each human counts once,
// for one factor alone, and so that as much as possible is satisfied. `same` gives the entity that
// an id stands for by now (two that were merged are one human). One entry for each factor.
std::vector<FactorTally> tally(const Approval& approval,
                               const std::function<std::string(const std::string&)>& same);

// Whether every factor has its approvals. False without factors.
bool is_satisfied(const std::vector<FactorTally>& tallies);

}  // namespace curfew::broker
