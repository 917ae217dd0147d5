#include "policy/control_group_parser.h"

#include <fmt/format.h>

namespace curfew::policy {
namespace {

constexpr std::int64_t kApprovalsMax = 100;
constexpr std::size_t kFactorsMax = 100;

Result<std::vector<std::string>> groups(hcl::Section& identity, std::string_view name) {
  ASSIGN_OR_RETURN(auto found, identity.text_list(name));
  if (!found) return std::vector<std::string>{};
  for (const std::string& group : *found)
    if (group.empty()) return identity.error(name, fmt::format("{}: a group is empty", name));
  return std::move(*found);
}

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
  ApprovalFactor out{block.label};
  ASSIGN_OR_RETURN(out.controlled, controlled_capabilities(factor, granted));
  ASSIGN_OR_RETURN(const auto identity_block, factor.block("identity"));
  RETURN_IF_ERROR(factor.finish());
  if (!identity_block)
    return factor.error("identity", "expected an \"identity\" block that says who approves");
  hcl::Section identity(*identity_block->body, factor_what + ": identity");
  ASSIGN_OR_RETURN(out.group_names, groups(identity, "group_names"));
  ASSIGN_OR_RETURN(out.group_ids, groups(identity, "group_ids"));
  ASSIGN_OR_RETURN(const auto approvals, identity.integer("approvals"));
  RETURN_IF_ERROR(identity.finish());
  if (!approvals || *approvals < 1 || *approvals > kApprovalsMax)
    return identity.error("approvals",
                          fmt::format("approvals: expected a number from 1 to {}", kApprovalsMax));
  if (out.group_names.empty() && out.group_ids.empty())
    return identity.error("group_names", "expected at least one group in group_names or group_ids");
  out.approvals = static_cast<int>(*approvals);
  return out;
}

}  // namespace

Result<ApprovalRule> parse_control_group(const hcl::Block& block, CapabilitySet capabilities,
                                         const std::string& what) {
  const std::string own_what = what + ": control_group";
  hcl::Section section(*block.body, own_what);
  ApprovalRule out;
  ASSIGN_OR_RETURN(const auto ttl, section.duration("ttl"));
  ASSIGN_OR_RETURN(const auto factors, section.labelled_blocks("factor"));
  RETURN_IF_ERROR(section.finish());
  if (ttl && *ttl < Millis{1000}) return section.error("ttl", "ttl: expected at least one second");
  out.ttl = ttl.value_or(Millis{0});
  if (factors.empty() || factors.size() > kFactorsMax)
    return section.error("factor", fmt::format("expected 1 to {} blocks of the form factor \"…\" "
                                               "{{ … }}",
                                               kFactorsMax));
  for (const hcl::Block& factor : factors) {
    ASSIGN_OR_RETURN(ApprovalFactor parsed, parse_factor(factor, capabilities, own_what));
    for (const ApprovalFactor& earlier : out.factors)
      if (earlier.name == parsed.name)
        return Error{Errc::kInvalidArgument,
                     fmt::format("{}: {}: factor \"{}\" is set twice", own_what,
                                 hcl::to_string(factor.at), parsed.name.substr(0, 64))};
    out.factors.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace curfew::policy
