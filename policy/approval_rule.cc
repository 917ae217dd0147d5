#include "policy/approval_rule.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace curfew::policy {
namespace {

// Of two limits of which 0 is none: the lesser.
template <class T>
T lesser(T a, T b) {
  if (a == T{0}) return b;
  if (b == T{0}) return a;
  return std::min(a, b);
}

// Both are sorted.
void join(std::vector<std::string>& names, const std::vector<std::string>& others) {
  std::vector<std::string> out;
  std::set_union(names.begin(), names.end(), others.begin(), others.end(), std::back_inserter(out));
  names = std::move(out);
}

std::vector<std::string> common(const std::vector<std::string>& a,
                                const std::vector<std::string>& b) {
  std::vector<std::string> out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

auto order_of(const ApprovalFactor& factor) {
  return std::tuple(factor.name, factor.controlled.names(), factor.group_names, factor.group_ids,
                    factor.approvals);
}

void join_factors(std::vector<ApprovalFactor>& factors, const std::vector<ApprovalFactor>& others) {
  for (const ApprovalFactor& factor : others)
    if (std::find(factors.begin(), factors.end(), factor) == factors.end())
      factors.push_back(factor);
  std::sort(factors.begin(), factors.end(), [](const ApprovalFactor& a, const ApprovalFactor& b) {
    return order_of(a) < order_of(b);
  });
}

std::vector<AutoApproval> in_both(const std::vector<AutoApproval>& a,
                                  const std::vector<AutoApproval>& b) {
  std::vector<AutoApproval> out;
  for (const AutoApproval& one : a)
    for (const AutoApproval& other : b)
      if (one.name == other.name)
        out.push_back({one.name, std::min(one.max_ttl, other.max_ttl),
                       std::min(one.per_hour, other.per_hour), one.shadow || other.shadow});
  std::sort(out.begin(), out.end(),
            [](const AutoApproval& x, const AutoApproval& y) { return x.name < y.name; });
  return out;
}

// A group that one rule names and the other gives by id counts as two: what cannot be seen to be
// allowed by both is not.
std::optional<ApprovalGroups> in_both(const std::optional<ApprovalGroups>& a,
                                      const std::optional<ApprovalGroups>& b) {
  if (!a || !b) return std::nullopt;
  ApprovalGroups out{common(a->group_names, b->group_names), common(a->group_ids, b->group_ids)};
  if (out.group_names.empty() && out.group_ids.empty()) return std::nullopt;
  return out;
}

std::optional<TaskTerms> in_both(const std::optional<TaskTerms>& a,
                                 const std::optional<TaskTerms>& b) {
  if (!a || !b) return std::nullopt;
  TaskTerms out{std::min(a->leases_max, b->leases_max),
                lesser(a->statements_max, b->statements_max),
                std::min(a->duration_max, b->duration_max)};
  out.statements_max = std::min(out.statements_max, out.leases_max);
  return out;
}

}  // namespace

bool ApprovalRule::controls(Capability capability) const {
  return std::any_of(factors.begin(), factors.end(), [capability](const ApprovalFactor& factor) {
    return factor.controls(capability);
  });
}

void ApprovalRule::merge(const ApprovalRule& other) {
  ttl = lesser(ttl, other.ttl);
  join_factors(factors, other.factors);
  claim_window = lesser(claim_window, other.claim_window);
  max_ttl = lesser(max_ttl, other.max_ttl);
  // What one rule gives where nothing is asked for is more than the other allows at all.
  default_ttl = lesser(default_ttl, other.default_ttl);
  if (max_ttl != Millis{0}) default_ttl = std::min(default_ttl, max_ttl);
  // A notice after the end would be none: half of the time that remains, then.
  escalate_after = lesser(escalate_after, other.escalate_after);
  if (ttl != Millis{0} && escalate_after >= ttl) escalate_after = Millis{0};
  join(escalate_to.group_names, other.escalate_to.group_names);
  join(escalate_to.group_ids, other.escalate_to.group_ids);
  reason_required = reason_required || other.reason_required;
  ticket_required = ticket_required || other.ticket_required;
  statement_required = statement_required || other.statement_required;
  if (notify.empty() || other.notify.empty())
    notify.clear();  // one of the two tells all
  else
    join(notify, other.notify);
  automatic = in_both(automatic, other.automatic);
  break_glass = in_both(break_glass, other.break_glass);
  task = in_both(task, other.task);
}

}  // namespace curfew::policy
