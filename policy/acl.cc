#include "policy/acl.h"

#include <algorithm>
#include <tuple>

#include "base/glob.h"
#include "policy/acl_builder.h"

namespace curfew::policy {
namespace {

std::string_view without_star(std::string_view path) {
  return path.ends_with('*') ? path.substr(0, path.size() - 1) : path;
}

std::size_t count_plus_segments(std::string_view path) {
  std::size_t count = 0;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (path.substr(start, end - start) == "+") ++count;
    start = end + 1;
  }
  return count;
}

// Greater wins.
auto precedence(const Rule& rule) {
  const std::string_view stem = without_star(rule.path);
  const std::size_t first_wildcard =
      rule.kind == Rule::Kind::kSegments ? rule.path.find('+') : stem.size();
  return std::make_tuple(first_wildcard, !rule.path.ends_with('*'),
                         -static_cast<std::ptrdiff_t>(count_plus_segments(stem)), stem.size(),
                         stem);
}

// Why the request's parameters do not pass; kGranted if they do.
Reason check_parameters(const Permissions& permissions, const Json* parameters,
                        std::string_view& subject) {
  const bool none = parameters == nullptr || !parameters->is_object() || parameters->empty();
  for (const std::string& name : permissions.required) {
    if (none || !has_parameter(*parameters, name)) {
      subject = name;
      return Reason::kParameterMissing;
    }
  }
  if (none) return Reason::kGranted;
  const bool all_denied = permissions.denied.has_all();
  const bool all_allowed = permissions.allowed.empty() || permissions.allowed.has_all();
  for (auto it = parameters->begin(); it != parameters->end(); ++it) {
    subject = it.key();
    if (all_denied) return Reason::kParameterDenied;
    if (const auto* denied = permissions.denied.find(subject);
        denied != nullptr && value_is_denied(it.value(), *denied))
      return denied->empty() ? Reason::kParameterDenied : Reason::kParameterValueDenied;
    const auto* allowed = permissions.allowed.find(subject);
    if (allowed == nullptr && !all_allowed) return Reason::kParameterNotAllowed;
    if (allowed != nullptr && !value_is_listed(it.value(), *allowed))
      return Reason::kParameterValueNotAllowed;
  }
  subject = {};
  return Reason::kGranted;
}

Reason check_wrapping(const Permissions& permissions, std::optional<Millis> wrap_ttl) {
  const Millis min = permissions.min_wrapping_ttl, max = permissions.max_wrapping_ttl;
  if (min == Millis{0} && max == Millis{0}) return Reason::kGranted;
  if (!wrap_ttl || *wrap_ttl <= Millis{0}) return Reason::kWrappingMissing;
  if (min != Millis{0} && max != Millis{0} && max < min) return Reason::kWrappingImpossible;
  if (max != Millis{0} && *wrap_ttl > max) return Reason::kWrappingTooLong;
  if (*wrap_ttl < min) return Reason::kWrappingTooShort;
  return Reason::kGranted;
}

// What keeps a request from passing the rule that decides on it; kGranted if nothing does.
Reason check_rule(const Rule& rule, const Access& access, std::string_view& subject) {
  const Permissions& permissions = rule.permissions;
  if (rule.kind == Rule::Kind::kGuard) return Reason::kUnfilledTemplate;
  if (permissions.capabilities.contains(Capability::kDeny)) return Reason::kDenied;
  const Capability needed = capability_for(access.operation);
  if (!permissions.capabilities.contains(needed)) return Reason::kCapabilityMissing;
  if (access.needs_sudo && !permissions.capabilities.contains(Capability::kSudo))
    return Reason::kSudoMissing;
  if (!permissions.mfa_methods.empty()) return Reason::kMfaUnavailable;
  if (access.operation == Operation::kList && !permissions.list_filter.empty())
    return Reason::kListFilterUnavailable;
  if (const Reason reason = check_wrapping(permissions, access.wrap_ttl);
      reason != Reason::kGranted)
    return reason;
  if (access.operation != Operation::kList && access.operation != Operation::kDelete)
    if (const Reason reason = check_parameters(permissions, access.parameters, subject);
        reason != Reason::kGranted)
      return reason;
  if (permissions.approval && permissions.approval->controls(needed)) return Reason::kNeedsApproval;
  return Reason::kGranted;
}

void strip_leading_slashes(std::string_view& path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
}

}  // namespace

Acl::Acl(const std::vector<std::shared_ptr<const Policy>>& policies, const Identity& identity,
         WallTime now) {
  Builder builder(identity, now, *this);
  for (const auto& policy : policies)
    if (policy != nullptr) builder.add(*policy);
  builder.finish();
  index();
}

void Acl::index() {
  std::vector<RuleIndex> wildcards;
  for (RuleIndex i = 0; i < rules_.size(); ++i) {
    if (rules_[i].kind == Rule::Kind::kExact)
      exact_.emplace(rules_[i].path, i);
    else
      wildcards.push_back(i);
  }
  std::sort(wildcards.begin(), wildcards.end(), [this](RuleIndex a, RuleIndex b) {
    return precedence(rules_[a]) < precedence(rules_[b]);
  });
  ranks_.resize(rules_.size());
  for (std::uint32_t i = 0; i < wildcards.size(); ++i) {
    const RuleIndex rule = wildcards[i];
    const std::string_view path = rules_[rule].path;
    ranks_[rule] = i + 1;
    if (rules_[rule].kind == Rule::Kind::kPrefix)
      prefixes_.add(without_star(path), rule);
    else
      segments_.add(path, rule, ranks_[rule]);
  }
  prefixes_.finish();
  segments_.finish();
}

const Rule* Acl::find_exact(std::string_view path) const {
  const auto it = exact_.find(path);
  return it == exact_.end() ? nullptr : &rules_[it->second];
}

const Rule* Acl::find_wildcard(std::string_view path) const {
  const RuleIndex prefix = prefixes_.longest(path);
  const RuleIndex segments = segments_.best(path, prefix == kNoRuleIndex ? 0 : ranks_[prefix]);
  const RuleIndex best = segments == kNoRuleIndex ? prefix : segments;
  return best == kNoRuleIndex ? nullptr : &rules_[best];
}

const Rule* Acl::find_guard(std::string_view path) const {
  for (const Guard& guard : guards_)
    if (glob_match(guard.pattern, path)) return &guard.rule;
  return nullptr;
}

const Rule* Acl::find(std::string_view path, Shorten shorten) const {
  const bool can_shorten = shorten != Shorten::kNever && path.ends_with('/');
  const std::string_view shorter = can_shorten ? path.substr(0, path.size() - 1) : path;
  if (const Rule* rule = find_guard(path)) return rule;
  if (can_shorten)
    if (const Rule* rule = find_guard(shorter)) return rule;
  if (const Rule* rule = find_exact(path)) return rule;
  if (can_shorten)
    if (const Rule* rule = find_exact(shorter)) return rule;
  if (const Rule* rule = find_wildcard(path)) return rule;
  return can_shorten && shorten == Shorten::kToAnyRule ? find_wildcard(shorter) : nullptr;
}

Decision Acl::check(const Access& access) const {
  Decision out;
  out.operation = access.operation;
  if (root_) {
    out.allowed = out.sudo = true;
    out.reason = Reason::kRoot;
    return out;
  }
  std::string_view path = access.path;
  strip_leading_slashes(path);
  out.rule =
      find(path, access.operation == Operation::kList ? Shorten::kToAnyRule : Shorten::kNever);
  if (out.rule == nullptr) return out;
  out.sudo = out.rule->permissions.capabilities.contains(Capability::kSudo);
  out.reason = check_rule(*out.rule, access, out.subject);
  out.allowed = out.reason == Reason::kGranted;
  out.needs_approval = out.reason == Reason::kNeedsApproval;
  return out;
}

std::vector<std::string> Acl::capabilities(std::string_view path) const {
  if (root_) return {"root"};
  strip_leading_slashes(path);
  const Rule* rule = find(path, Shorten::kToExactRule);
  if (rule == nullptr || rule->permissions.capabilities.denies()) return {"deny"};
  return rule->permissions.capabilities.names();
}

bool Acl::reaches_mount(std::string_view mount_path) const {
  if (root_) return true;
  strip_leading_slashes(mount_path);
  const Rule* own = find(mount_path, Shorten::kToAnyRule);
  if (own != nullptr && !own->permissions.capabilities.denies()) return true;
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    if (rule.permissions.capabilities.denies()) return false;
    // Segment by segment, as far as both go.
    std::string_view pattern = rule.path, mount = mount_path;
    while (!mount.empty()) {
      const std::size_t mount_end = mount.find('/'), pattern_end = pattern.find('/');
      const std::string_view wanted = pattern.substr(0, pattern_end);
      if (wanted != "+" && wanted != mount.substr(0, mount_end))
        return pattern_end == std::string_view::npos && wanted.ends_with('*') &&
               mount.substr(0, mount_end).starts_with(without_star(wanted));
      if (pattern_end == std::string_view::npos) return mount_end == std::string_view::npos;
      pattern.remove_prefix(pattern_end + 1);
      mount.remove_prefix(std::min(mount_end, mount.size() - 1) + 1);
    }
    return true;
  });
}

Json Acl::resultant() const {
  if (root_) return {{"root", true}};
  Json exact = Json::object(), globs = Json::object();
  for (const Rule& rule : rules_) {
    const CapabilitySet& granted = rule.permissions.capabilities;
    Json entry = {
        {"capabilities", granted.denies() ? std::vector<std::string>{"deny"} : granted.names()}};
    if (rule.kind == Rule::Kind::kExact)
      exact[rule.path] = std::move(entry);
    else
      globs[rule.kind == Rule::Kind::kPrefix ? std::string(without_star(rule.path)) : rule.path] =
          std::move(entry);
  }
  return {{"exact_paths", std::move(exact)}, {"glob_paths", std::move(globs)}, {"root", false}};
}

}  // namespace curfew::policy
