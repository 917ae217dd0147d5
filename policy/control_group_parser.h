#pragma once

#include <string>

#include "base/hcl_section.h"
#include "policy/policy.h"

namespace curfew::policy {

// Reads the body of `control_group`. `capabilities`: what the stanza around it grants. `what`
// begins error messages. kInvalidArgument for whatever would let a request through that its author
// meant to be approved: no factor, no group, no approvals, a capability that is not granted.
Result<ApprovalRule> parse_control_group(const hcl::Block& block, CapabilitySet capabilities,
                                         const std::string& what);

}  // namespace curfew::policy
