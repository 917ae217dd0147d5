#include "policy/factor_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::policy {
namespace {

constexpr std::int64_t kApprovalsMax = 100;
constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kLabelBytesMax = 128;

Result<CapabilitySet> controlled_capabilities(hcl::Section& factor, CapabilitySet granted) {
  static constexpr std::string_view kName = "controlled_capabilities";
  ASSIGN_OR_RETURN(const auto names, factor.text_list(kName));
  CapabilitySet out;
  if (!names) return out;
  if (names->empty())
    return factor.error(kName,
                        "controlled_capabilities: expected at least one capability (leave "
                        "it out to control all of them)");
  for (const std::string& name : *names) {
    const auto capability = parse_capability(name);
    if (!capability)
      return factor.error(kName, fmt::format("invalid capability \"{}\": expected one of {}",
                                             name.substr(0, 64), capability_names()));
    if (!granted.contains(*capability))
      return factor.error(kName, fmt::format("controlled_capabilities: expected some of the "
                                             "path's own capabilities, got \"{}\"",
                                             name));
    out.add(*capability);
  }
  return out;
}

Result<ApprovalFactor> parse_factor(const hcl::Block& block, CapabilitySet granted,
                                    const std::string& what) {
  const std::string factor_what =
      fmt::format("{}: factor \"{}\"", what, std::string_view(block.label).substr(0, 64));
  hcl::Section factor(*block.body, factor_what);
  RETURN_IF_ERROR(require_label(factor, block, "factor"));
  ApprovalFactor out{block.label};
  ASSIGN_OR_RETURN(out.controlled, controlled_capabilities(factor, granted));
  ASSIGN_OR_RETURN(const auto identity_block, factor.block("identity"));
  RETURN_IF_ERROR(factor.finish());
  if (!identity_block)
    return factor.error("identity", "expected an \"identity\" block that says who approves");
  hcl::Section identity(*identity_block->body, factor_what + ": identity");
  ASSIGN_OR_RETURN(ApprovalGroups groups, parse_groups(identity));
  ASSIGN_OR_RETURN(const auto approvals, identity.integer("approvals"));
  RETURN_IF_ERROR(identity.finish());
  if (!approvals || *approvals < 1 || *approvals > kApprovalsMax)
    return identity.error("approvals",
                          fmt::format("approvals: expected a number from 1 to {}", kApprovalsMax));
  RETURN_IF_ERROR(require_group(identity, groups));
  out.group_names = std::move(groups.group_names);
  out.group_ids = std::move(groups.group_ids);
  out.approvals = static_cast<int>(*approvals);
  return out;
}

}  // namespace

Status require_label(const hcl::Section& section, const hcl::Block& block, std::string_view kind) {
  if (!block.label.empty() && block.label.size() <= kLabelBytesMax) return ok();
  return section.error(
      "", fmt::format("expected a name of 1 to {} bytes behind {}", kLabelBytesMax, kind));
}

Result<std::vector<std::string>> parse_names(hcl::Section& section, std::string_view name,
                                             std::size_t max) {
  ASSIGN_OR_RETURN(auto found, section.text_list(name));
  if (!found) return std::vector<std::string>{};
  for (const std::string& one : *found) {
    if (one.empty()) {
      const std::string_view thing = name.starts_with("group") ? "a group" : "a name";
      return section.error(name, fmt::format("{}: {} is empty", name, thing));
    }
    if (one.size() > kNameBytesMax)
      return section.error(name, fmt::format("{}: \"{}…\" has more than {} bytes", name,
                                             one.substr(0, 16), kNameBytesMax));
  }
  std::sort(found->begin(), found->end());
  found->erase(std::unique(found->begin(), found->end()), found->end());
  if (found->size() > max)
    return section.error(name, fmt::format("{}: expected at most {}", name, max));
  return std::move(*found);
}

Result<ApprovalGroups> parse_groups(hcl::Section& section) {
  ApprovalGroups out;
  ASSIGN_OR_RETURN(out.group_names, parse_names(section, "group_names", kGroupsMax));
  ASSIGN_OR_RETURN(out.group_ids, parse_names(section, "group_ids", kGroupsMax));
  return out;
}

Status require_group(const hcl::Section& section, const ApprovalGroups& groups) {
  if (groups.group_names.empty() && groups.group_ids.empty())
    return section.error("group_names", "expected at least one group in group_names or group_ids");
  return ok();
}

Status parse_factors(hcl::Section& section, CapabilitySet capabilities, const std::string& what,
                     std::vector<ApprovalFactor>& out) {
  ASSIGN_OR_RETURN(const auto factors, section.labelled_blocks("factor"));
  for (const hcl::Block& factor : factors) {
    if (out.size() == kFactorsMax)
      return section.error("factor", fmt::format("expected 1 to {} blocks of the form factor "
                                                 "\"…\" {{ … }}",
                                                 kFactorsMax));
    ASSIGN_OR_RETURN(ApprovalFactor parsed, parse_factor(factor, capabilities, what));
    for (const ApprovalFactor& earlier : out)
      if (earlier.name == parsed.name)
        return Error{Errc::kInvalidArgument,
                     fmt::format("{}: {}: factor \"{}\" is set twice", what,
                                 hcl::to_string(factor.at), parsed.name.substr(0, 64))};
    out.push_back(std::move(parsed));
  }
  return ok();
}

}  // namespace curfew::policy
