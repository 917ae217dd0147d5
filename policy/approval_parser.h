#pragma once

#include <optional>
#include <string>

#include "base/hcl_section.h"
#include "policy/approval_rule.h"

namespace curfew::policy {

// What the stanzas `control_group` and `approval` of one path say together; nullopt: it has
// neither. Their factors add up, and of `ttl` and `request_ttl` the lesser counts. `path` is the
// body of the path's block, `capabilities` what it grants; `what` begins error messages.
// kInvalidArgument, with the place, for whatever would let a request through that its author meant
// to be approved, and for what contradicts itself.
Result<std::optional<ApprovalRule>> parse_approval(hcl::Section& path, CapabilitySet capabilities,
                                                   const std::string& what);

}  // namespace curfew::policy
