#include "policy/acl_builder.h"

#include <algorithm>

namespace curfew::policy {
namespace {

// A path with "/+" counts as one with '+' segments even where the segment goes on behind the '+'
// and so stands for itself only; this decides which rules compete.
Rule::Kind kind_of(std::string_view path) {
  if (path == "+" || path.starts_with("+/") || path.find("/+") != std::string_view::npos)
    return Rule::Kind::kSegments;
  return path.ends_with('*') ? Rule::Kind::kPrefix : Rule::Kind::kExact;
}

void add_name(std::vector<std::string>& names, const std::string& name) {
  const auto it = std::lower_bound(names.begin(), names.end(), name);
  if (it == names.end() || *it != name) names.insert(it, name);
}

// Would leaving it out open something that another rule grants?
bool closes_something(const Permissions& permissions) {
  return permissions.capabilities.denies() || permissions.approval ||
         !permissions.mfa_methods.empty();
}

}  // namespace

void Acl::Builder::add(const Policy& policy) {
  add_name(acl_.policies_, policy.name);
  if (policy.is_root) acl_.root_ = true;
  for (const Stanza& stanza : policy.stanzas) {
    if (stanza.expiration) {
      if (*stanza.expiration <= now_) continue;
      acl_.valid_until_ =
          std::min(acl_.valid_until_.value_or(*stanza.expiration), *stanza.expiration);
    }
    auto filled = stanza.path.fill(identity_);
    if (auto* const path = std::get_if<std::string>(&filled))
      add_rule(policy, stanza.permissions, std::move(*path));
    else
      add_unused(policy, stanza, std::get<Unfilled>(std::move(filled)));
  }
}

void Acl::Builder::add_rule(const Policy& policy, const Permissions& permissions,
                            std::string path) {
  const auto [it, is_new] = rules_.try_emplace(path);
  Rule& rule = it->second;
  if (is_new) {
    rule = Rule{kind_of(path), std::move(path), {policy.name}, permissions};
    return;
  }
  const bool denied = rule.permissions.capabilities.contains(Capability::kDeny);
  const bool denies = permissions.capabilities.contains(Capability::kDeny);
  rule.permissions.merge(permissions);
  // Beside a denial nothing counts, and its policies alone are named.
  if (denied && !denies) return;
  if (denies && !denied) rule.policies.clear();
  add_name(rule.policies, policy.name);
}

void Acl::Builder::add_unused(const Policy& policy, const Stanza& stanza, Unfilled unfilled) {
  const bool guarded = closes_something(stanza.permissions);
  acl_.unused_.push_back(
      {policy.name, stanza.written_path, std::move(unfilled.parameter), unfilled.refused, guarded});
  if (!guarded) return;
  Rule rule{Rule::Kind::kGuard, stanza.written_path, {policy.name}, {{Capability::kDeny}}};
  acl_.guards_.push_back({std::move(rule), stanza.path.widest()});
}

void Acl::Builder::finish() {
  acl_.rules_.reserve(rules_.size());
  for (auto& [path, rule] : rules_) acl_.rules_.push_back(std::move(rule));
}

}  // namespace curfew::policy
