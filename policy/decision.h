#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/route.h"
#include "policy/policy.h"

namespace curfew::policy {

// What the policies of a token say together about one path.
struct Rule {
  enum class Kind {
    kExact,
    kPrefix,    // ends in '*'
    kSegments,  // has '+' segments; may end in '*' as well
    kGuard,     // stands in for a stanza that denies or restricts, whose template has no value
  };
  Kind kind = Kind::kExact;
  std::string path;  // as in a policy, templates filled in (of a guard: as written)
  std::vector<std::string> policies = {};  // the names of those that it comes from
  Permissions permissions = {};
};

// What is asked for.
struct Access {
  Operation operation = Operation::kRead;
  std::string_view path;                // leading '/' are not looked at; of a list with or
                                        // without the final one
  const Json* parameters = nullptr;     // the request's data, an object; nullptr: none
  std::optional<Millis> wrap_ttl = {};  // the response wrapping that was asked for
  bool needs_sudo = false;              // the path is protected: sudo is needed as well
};

enum class Reason {
  kGranted,
  kRoot,                   // granted: the root policy
  kNeedsApproval,          // granted, once people have approved it
  kNoRule,                 // no policy speaks of the path
  kDenied,                 // the rule denies
  kUnfilledTemplate,       // a guard: see Rule::Kind::kGuard
  kCapabilityMissing,      // the rule does not grant the operation
  kSudoMissing,            // the rule grants it, but not sudo
  kMfaUnavailable,         // the rule asks for a second factor of authentication
  kListFilterUnavailable,  // the rule asks for filtered lists
  kWrappingMissing,        // the rule asks for response wrapping
  kWrappingTooShort,
  kWrappingTooLong,
  kWrappingImpossible,  // policies ask for more than they allow
  kParameterMissing,    // a required one
  kParameterDenied,
  kParameterNotAllowed,
  kParameterValueDenied,
  kParameterValueNotAllowed,
};

// "no_rule": stable, for logs and machines.
const char* reason_name(Reason reason);

// The answer, and why. Made without allocation; refers to the Acl that made it and to the
// parameters of the request, which must outlive it.
struct Decision {
  bool allowed = false;         // go ahead, now
  bool needs_approval = false;  // `allowed` is false, and approvals are all that is missing
  bool sudo = false;            // the rule grants sudo
  Reason reason = Reason::kNoRule;
  Operation operation = Operation::kRead;
  const Rule* rule = nullptr;     // that decided; null for root and where there is none
  std::string_view subject = {};  // the parameter in question

  // One sentence for the audit log and the operator: which policy and rule, and what was missing.
  // Names parameters, never their values.
  std::string text() const;

  // The factors that must approve; empty unless needs_approval.
  std::vector<const ApprovalFactor*> factors() const;
};

}  // namespace curfew::policy
