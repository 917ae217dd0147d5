#include "policy/decision.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/duration.h"

namespace curfew::policy {
namespace {

std::string missing_capability(const Decision& decision) {
  const CapabilitySet granted = decision.rule->permissions.capabilities;
  const char* const needed = capability_name(capability_for(decision.operation));
  if (granted.empty()) return fmt::format("grants nothing; \"{}\" is needed", needed);
  return fmt::format("grants {}, but not \"{}\"", fmt::join(granted.names(), ", "), needed);
}

// What follows "policy …, path …: ".
std::string explanation(const Decision& decision) {
  const Permissions& permissions = decision.rule->permissions;
  const std::string_view subject = decision.subject.substr(0, 128);
  switch (decision.reason) {
    case Reason::kGranted:
      return fmt::format("grants \"{}\"", capability_name(capability_for(decision.operation)));
    case Reason::kRoot:
    case Reason::kNoRule: break;
    case Reason::kNeedsApproval: return "grants it only after approval";
    case Reason::kDenied: return "denies everything";
    case Reason::kUnfilledTemplate:
      return "cannot be filled in for this identity; it restricts, so everything that it could "
             "stand for is denied";
    case Reason::kCapabilityMissing: return missing_capability(decision);
    case Reason::kSudoMissing:
      return "grants the operation, but not \"sudo\", which this path needs";
    case Reason::kMfaUnavailable: return "asks for mfa_methods, which there are not here";
    case Reason::kListFilterUnavailable:
      return "asks for lists to be filtered, which is not done here";
    case Reason::kWrappingMissing: return "asks for response wrapping (X-Vault-Wrap-TTL)";
    case Reason::kWrappingTooShort:
      return "asks for a wrapping TTL of at least " +
             format_duration_short(permissions.min_wrapping_ttl);
    case Reason::kWrappingTooLong:
      return "allows a wrapping TTL of at most " +
             format_duration_short(permissions.max_wrapping_ttl);
    case Reason::kWrappingImpossible:
      return "asks for a longer wrapping TTL than it allows: its policies contradict each other";
    case Reason::kParameterMissing: return fmt::format("requires the parameter \"{}\"", subject);
    case Reason::kParameterDenied: return fmt::format("denies the parameter \"{}\"", subject);
    case Reason::kParameterNotAllowed:
      return fmt::format("does not allow the parameter \"{}\"", subject);
    case Reason::kParameterValueDenied:
      return fmt::format("denies this value of the parameter \"{}\"", subject);
    case Reason::kParameterValueNotAllowed:
      return fmt::format("does not allow this value of the parameter \"{}\"", subject);
  }
  return "";
}

}  // namespace

const char* reason_name(Reason reason) {
  switch (reason) {
    case Reason::kGranted: return "granted";
    case Reason::kRoot: return "root";
    case Reason::kNeedsApproval: return "needs_approval";
    case Reason::kNoRule: return "no_rule";
    case Reason::kDenied: return "denied";
    case Reason::kUnfilledTemplate: return "unfilled_template";
    case Reason::kCapabilityMissing: return "capability_missing";
    case Reason::kSudoMissing: return "sudo_missing";
    case Reason::kMfaUnavailable: return "mfa_unavailable";
    case Reason::kListFilterUnavailable: return "list_filter_unavailable";
    case Reason::kWrappingMissing: return "wrapping_missing";
    case Reason::kWrappingTooShort: return "wrapping_too_short";
    case Reason::kWrappingTooLong: return "wrapping_too_long";
    case Reason::kWrappingImpossible: return "wrapping_impossible";
    case Reason::kParameterMissing: return "parameter_missing";
    case Reason::kParameterDenied: return "parameter_denied";
    case Reason::kParameterNotAllowed: return "parameter_not_allowed";
    case Reason::kParameterValueDenied: return "parameter_value_denied";
    case Reason::kParameterValueNotAllowed: return "parameter_value_not_allowed";
  }
  return "?";
}

std::string Decision::text() const {
  if (reason == Reason::kRoot) return "the root policy grants everything";
  if (rule == nullptr) return "no policy has a rule for this path";
  return fmt::format("{} \"{}\", path \"{}\": {}",
                     rule->policies.size() == 1 ? "policy" : "policies",
                     fmt::join(rule->policies, "\", \""), rule->path, explanation(*this));
}

std::vector<const ApprovalFactor*> Decision::factors() const {
  std::vector<const ApprovalFactor*> out;
  if (!needs_approval) return out;
  for (const ApprovalFactor& factor : rule->permissions.approval->factors)
    if (factor.controls(capability_for(operation))) out.push_back(&factor);
  return out;
}

}  // namespace curfew::policy
