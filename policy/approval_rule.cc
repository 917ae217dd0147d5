#include "policy/approval_rule.h"

#include <algorithm>

namespace curfew::policy {
namespace {

// Of two limits of which 0 is none: the lesser.
Millis lesser(Millis a, Millis b) {
  if (a == Millis{0}) return b;
  if (b == Millis{0}) return a;
  return std::min(a, b);
}

}  // namespace

bool ApprovalRule::controls(Capability capability) const {
  return std::any_of(factors.begin(), factors.end(), [capability](const ApprovalFactor& factor) {
    return factor.controls(capability);
  });
}

void ApprovalRule::merge(const ApprovalRule& other) {
  ttl = lesser(ttl, other.ttl);
  for (const ApprovalFactor& factor : other.factors)
    if (std::find(factors.begin(), factors.end(), factor) == factors.end())
      factors.push_back(factor);
}

}  // namespace curfew::policy
