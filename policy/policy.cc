#include "policy/policy.h"

#include <algorithm>

namespace curfew::policy {
namespace {

// Of two limits of which 0 is none: the lesser.
template <class T>
T lesser(T a, T b) {
  if (a == T{0}) return b;
  if (b == T{0}) return a;
  return std::min(a, b);
}

}  // namespace

bool ControlGroup::controls(Capability capability) const {
  return std::any_of(
      factors.begin(), factors.end(),
      [capability](const ControlGroupFactor& factor) { return factor.controls(capability); });
}

void Permissions::merge(const Permissions& other) {
  if (capabilities.contains(Capability::kDeny)) return;
  if (other.capabilities.contains(Capability::kDeny)) {
    *this = Permissions{{Capability::kDeny}};
    return;
  }
  capabilities.add(other.capabilities);
  allowed.merge(other.allowed);
  denied.merge(other.denied);
  required.insert(other.required.begin(), other.required.end());
  mfa_methods.insert(other.mfa_methods.begin(), other.mfa_methods.end());
  min_wrapping_ttl = lesser(min_wrapping_ttl, other.min_wrapping_ttl);
  max_wrapping_ttl = lesser(max_wrapping_ttl, other.max_wrapping_ttl);
  pagination_limit = lesser(pagination_limit, other.pagination_limit);
  if (list_filter.empty()) list_filter = other.list_filter;
  if (!other.control_group) return;
  if (!control_group) {
    control_group = other.control_group;
    return;
  }
  control_group->ttl = lesser(control_group->ttl, other.control_group->ttl);
  std::vector<ControlGroupFactor>& factors = control_group->factors;
  for (const ControlGroupFactor& factor : other.control_group->factors)
    if (std::find(factors.begin(), factors.end(), factor) == factors.end())
      factors.push_back(factor);
}

bool Policy::is_templated() const {
  return std::any_of(stanzas.begin(), stanzas.end(),
                     [](const Stanza& stanza) { return stanza.path.has_parameters(); });
}

}  // namespace curfew::policy
