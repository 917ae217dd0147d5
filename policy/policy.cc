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
  if (!other.approval) return;
  if (approval)
    approval->merge(*other.approval);
  else
    approval = other.approval;
}

bool Policy::is_templated() const {
  return std::any_of(stanzas.begin(), stanzas.end(),
                     [](const Stanza& stanza) { return stanza.path.has_parameters(); });
}

}  // namespace curfew::policy
