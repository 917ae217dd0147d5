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

template <class T>
void add_missing(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& one : from)
    if (std::find(to.begin(), to.end(), one) == to.end()) to.push_back(one);
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
  add_missing(required, other.required);
  add_missing(mfa_methods, other.mfa_methods);
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
  add_missing(control_group->factors, other.control_group->factors);
}

bool Policy::is_templated() const {
  return std::any_of(stanzas.begin(), stanzas.end(),
                     [](const Stanza& stanza) { return stanza.path.has_parameters(); });
}

}  // namespace curfew::policy
