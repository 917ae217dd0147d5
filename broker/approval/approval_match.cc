#include "broker/approval/approval_match.h"

#include <algorithm>

namespace curfew::broker {
namespace {

bool is_open_or_same(const std::string& wanted, const std::string& found) {
  return wanted.empty() || wanted == found;
}

bool was_narrowed(const Approval& approval) {
  return std::any_of(
      approval.decisions.begin(), approval.decisions.end(),
      [](const ApprovalDecision& decision) { return decision.verdict == Verdict::kNarrow; });
}

}  // namespace

bool is_same_wish(const Approval& found, const engines::Attribution& by,
                  const ApprovalWishes& wishes) {
  const engines::Attribution& before = found.requester.by;
  if (!is_open_or_same(by.session, before.session) ||
      !is_open_or_same(by.purpose, before.purpose) ||
      !is_open_or_same(by.trace_id, before.trace_id) ||
      !is_open_or_same(wishes.reason, found.reason) ||
      !is_open_or_same(wishes.ticket, found.ticket))
    return false;
  if (wishes.task) {
    if (!found.task || found.task->leases_max != wishes.task->leases_max ||
        found.task->statements_max != wishes.task->statements_max ||
        found.task->duration != wishes.task->duration)
      return false;
  }
  return wishes.ttl == Millis{0} || wishes.ttl == found.ttl ||
         (wishes.ttl > found.ttl && was_narrowed(found));
}

}  // namespace curfew::broker
