#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/hcl_section.h"
#include "policy/approval_rule.h"

namespace curfew::policy {

inline constexpr std::size_t kFactorsMax = 100;
inline constexpr std::size_t kGroupsMax = 100;  // of one list

// The blocks `factor "…" {…}` of `section`, added to `out`, which may hold those of another stanza
// of the same path. `capabilities`: what the stanza around it grants; `what` begins error messages.
// kInvalidArgument for whatever would let a request through that its author meant to be approved:
// no group, no approvals, a capability that is not granted, a name that is there already.
// Does not ask for a factor to be there.
Status parse_factors(hcl::Section& section, CapabilitySet capabilities, const std::string& what,
                     std::vector<ApprovalFactor>& out);

// An error where a block's label, behind `kind`, is empty or has more than 128 bytes.
Status require_label(const hcl::Section& section, const hcl::Block& block, std::string_view kind);

// `group_names` and `group_ids` of `section`, sorted, each once. Those of `identity` in a factor,
// of `escalate_to` and of `break_glass`.
Result<ApprovalGroups> parse_groups(hcl::Section& section);
// An error where there is no group in them.
Status require_group(const hcl::Section& section, const ApprovalGroups& groups);

// A list of names under `name`: sorted, each once, at most `max`, none empty. Nothing if absent.
Result<std::vector<std::string>> parse_names(hcl::Section& section, std::string_view name,
                                             std::size_t max);

}  // namespace curfew::policy
