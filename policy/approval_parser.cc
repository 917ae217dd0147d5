#include "policy/approval_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/factor_parser.h"

namespace curfew::policy {
namespace {

constexpr std::size_t kAutomaticMax = 20;
constexpr std::size_t kNotifyMax = 20;
constexpr std::int64_t kCountMax = 1'000'000;
constexpr Millis kSecond{1000};

// A duration that, where it is written, means something; 0 if absent.
Result<Millis> some_time(hcl::Section& section, std::string_view name) {
  ASSIGN_OR_RETURN(const auto found, section.duration(name));
  if (found && *found < kSecond)
    return section.error(name, fmt::format("{}: expected at least one second", name));
  return found.value_or(Millis{0});
}

// A count that, where it is written, is one; 0 if absent.
Result<std::int64_t> some_count(hcl::Section& section, std::string_view name) {
  ASSIGN_OR_RETURN(const auto found, section.integer(name));
  if (found && (*found < 1 || *found > kCountMax))
    return section.error(name, fmt::format("{}: expected a number from 1 to {}", name, kCountMax));
  return found.value_or(0);
}

template <class T>
Status require(const hcl::Section& section, std::string_view name, T value) {
  if (value != T{0}) return ok();
  return section.error(name, fmt::format("expected {}", name));
}

Result<AutoApproval> parse_automatic(const hcl::Block& block, const std::string& what) {
  hcl::Section section(*block.body, fmt::format("{}: auto \"{}\"", what,
                                                std::string_view(block.label).substr(0, 64)));
  RETURN_IF_ERROR(require_label(section, block, "auto"));
  AutoApproval out{block.label};
  ASSIGN_OR_RETURN(out.max_ttl, some_time(section, "max_ttl"));
  ASSIGN_OR_RETURN(out.per_hour, some_count(section, "per_hour"));
  ASSIGN_OR_RETURN(out.shadow, section.boolean_or("shadow", false));
  RETURN_IF_ERROR(section.finish());
  RETURN_IF_ERROR(require(section, "max_ttl", out.max_ttl));
  RETURN_IF_ERROR(require(section, "per_hour", out.per_hour));
  return out;
}

Result<std::vector<AutoApproval>> parse_automatics(hcl::Section& section, const std::string& what) {
  ASSIGN_OR_RETURN(const auto blocks, section.labelled_blocks("auto"));
  if (blocks.size() > kAutomaticMax)
    return section.error("auto", fmt::format("expected at most {} blocks of the form auto \"…\" "
                                             "{{ … }}",
                                             kAutomaticMax));
  std::vector<AutoApproval> out;
  for (const hcl::Block& block : blocks) {
    ASSIGN_OR_RETURN(AutoApproval parsed, parse_automatic(block, what));
    for (const AutoApproval& earlier : out)
      if (earlier.name == parsed.name)
        return Error{Errc::kInvalidArgument,
                     fmt::format("{}: {}: auto \"{}\" is set twice", what, hcl::to_string(block.at),
                                 parsed.name.substr(0, 64))};
    out.push_back(std::move(parsed));
  }
  return out;
}

Result<std::optional<ApprovalGroups>> parse_group_block(hcl::Section& section,
                                                        std::string_view name,
                                                        const std::string& what) {
  ASSIGN_OR_RETURN(const auto block, section.block(name));
  if (!block) return std::optional<ApprovalGroups>{};
  hcl::Section groups(*block->body, fmt::format("{}: {}", what, name));
  ASSIGN_OR_RETURN(ApprovalGroups out, parse_groups(groups));
  RETURN_IF_ERROR(groups.finish());
  RETURN_IF_ERROR(require_group(groups, out));
  return std::optional(std::move(out));
}

Result<std::optional<TaskTerms>> parse_task(hcl::Section& section, const std::string& what) {
  ASSIGN_OR_RETURN(const auto block, section.block("task"));
  if (!block) return std::optional<TaskTerms>{};
  hcl::Section task(*block->body, what + ": task");
  TaskTerms out;
  ASSIGN_OR_RETURN(out.leases_max, some_count(task, "max_leases"));
  ASSIGN_OR_RETURN(out.statements_max, some_count(task, "max_statements"));
  ASSIGN_OR_RETURN(out.duration_max, some_time(task, "max_duration"));
  RETURN_IF_ERROR(task.finish());
  RETURN_IF_ERROR(require(task, "max_leases", out.leases_max));
  RETURN_IF_ERROR(require(task, "max_duration", out.duration_max));
  if (out.statements_max > out.leases_max)
    return task.error("max_statements", "max_statements cannot be more than max_leases");
  return std::optional(out);
}

Status parse_times(hcl::Section& section, ApprovalRule& out) {
  ASSIGN_OR_RETURN(out.ttl, some_time(section, "request_ttl"));
  ASSIGN_OR_RETURN(out.claim_window, some_time(section, "claim_window"));
  ASSIGN_OR_RETURN(out.default_ttl, some_time(section, "default_ttl"));
  ASSIGN_OR_RETURN(out.max_ttl, some_time(section, "max_ttl"));
  ASSIGN_OR_RETURN(out.escalate_after, some_time(section, "escalate_after"));
  if (out.max_ttl != Millis{0} && out.default_ttl > out.max_ttl)
    return section.error("default_ttl", "default_ttl cannot be more than max_ttl");
  return ok();
}

Status parse_demands(hcl::Section& section, ApprovalRule& out) {
  ASSIGN_OR_RETURN(out.reason_required, section.boolean_or("reason_required", false));
  ASSIGN_OR_RETURN(out.ticket_required, section.boolean_or("ticket_required", false));
  ASSIGN_OR_RETURN(out.statement_required, section.boolean_or("statement_required", false));
  ASSIGN_OR_RETURN(out.notify, parse_names(section, "notify", kNotifyMax));
  ASSIGN_OR_RETURN(const hcl::Value* notify, section.value("notify"));
  if (notify != nullptr && out.notify.empty())
    return section.error("notify",
                         "notify: expected at least one target (leave it out to tell all of "
                         "them)");
  return ok();
}

// `rule`: what the path's `control_group` says; takes on what `approval` adds to it.
Status parse_approval_stanza(const hcl::Block& block, CapabilitySet capabilities,
                             const std::string& what, ApprovalRule& rule) {
  const std::string own_what = what + ": approval";
  hcl::Section section(*block.body, own_what);
  ApprovalRule own;
  RETURN_IF_ERROR(parse_times(section, own));
  RETURN_IF_ERROR(parse_demands(section, own));
  ASSIGN_OR_RETURN(const auto escalate_to, parse_group_block(section, "escalate_to", own_what));
  if (escalate_to) own.escalate_to = *escalate_to;
  ASSIGN_OR_RETURN(own.automatic, parse_automatics(section, own_what));
  ASSIGN_OR_RETURN(own.break_glass, parse_group_block(section, "break_glass", own_what));
  ASSIGN_OR_RETURN(own.task, parse_task(section, own_what));
  own.factors = std::move(rule.factors);
  RETURN_IF_ERROR(parse_factors(section, capabilities, own_what, own.factors));
  RETURN_IF_ERROR(section.finish());
  if (own.factors.empty())
    return section.error("factor",
                         "nobody would have to approve: expected a block of the form factor \"…\" "
                         "{ … }, here or in a control_group beside it");
  if (own.ttl == Millis{0} || (rule.ttl != Millis{0} && rule.ttl < own.ttl)) own.ttl = rule.ttl;
  if (own.ttl != Millis{0} && own.escalate_after >= own.ttl)
    return section.error("escalate_after",
                         "escalate_after: expected less than the time that a request waits "
                         "(request_ttl, or the ttl of control_group)");
  rule = std::move(own);
  return ok();
}

Status parse_control_group(const hcl::Block& block, CapabilitySet capabilities,
                           const std::string& what, ApprovalRule& out) {
  const std::string own_what = what + ": control_group";
  hcl::Section section(*block.body, own_what);
  ASSIGN_OR_RETURN(out.ttl, some_time(section, "ttl"));
  RETURN_IF_ERROR(parse_factors(section, capabilities, own_what, out.factors));
  RETURN_IF_ERROR(section.finish());
  if (out.factors.empty())
    return section.error("factor", fmt::format("expected 1 to {} blocks of the form factor \"…\" "
                                               "{{ … }}",
                                               kFactorsMax));
  return ok();
}

}  // namespace

Result<std::optional<ApprovalRule>> parse_approval(hcl::Section& path, CapabilitySet capabilities,
                                                   const std::string& what) {
  ASSIGN_OR_RETURN(const auto control_group, path.block("control_group"));
  ASSIGN_OR_RETURN(const auto approval, path.block("approval"));
  if (!control_group && !approval) return std::optional<ApprovalRule>{};
  ApprovalRule out;
  if (control_group) {
    RETURN_IF_ERROR(parse_control_group(*control_group, capabilities, what, out));
  }
  if (approval) {
    RETURN_IF_ERROR(parse_approval_stanza(*approval, capabilities, what, out));
  }
  return std::optional(std::move(out));
}

}  // namespace curfew::policy
