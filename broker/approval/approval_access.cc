#include <algorithm>

#include "broker/approval/approval_service.h"

// Who may see an approval request, and do what with it.
namespace curfew::broker {

bool ApprovalService::is_behind(const Approval& approval, const Caller* caller) const {
  return check_may_cancel(approval, caller).has_value();
}

bool ApprovalService::may_see(const Approval& approval, const Caller* caller,
                              const std::string& place) const {
  if (caller == nullptr) return false;
  if (check_may_cancel(approval, caller)) return true;
  // Operators: sudo on the list is sudo on all that it holds.
  if (caller->rights->has_sudo("sys/approvals")) return true;
  const auto approver = approver_of(caller, place);
  return approver && check_eligible(approval, *approver);
}

Json ApprovalService::possible(const Approval& approval, const Caller* caller,
                               const std::string& place) const {
  const ApprovalState state = approval.state;
  const bool pending =
      state == ApprovalState::kPending && approval.expires_at > parts_.clock.wall();
  const bool mine = check_may_cancel(approval, caller).has_value();
  const auto approver = approver_of(caller, place);
  const Status eligible = approver ? check_eligible(approval, *approver) : Status(approver.error());
  const bool has_approved =
      approver && std::any_of(approval.decisions.begin(), approval.decisions.end(),
                              [&](const ApprovalDecision& decision) {
                                return decision.by == approver->entity_id &&
                                       decision.digest == approval.digest &&
                                       (decision.verdict == Verdict::kApprove ||
                                        decision.verdict == Verdict::kNarrow);
                              });
  const bool decides = pending && eligible;
  const bool under_way = state == ApprovalState::kApproved || state == ApprovalState::kClaimed;
  Json out = {{"approve", decides && !has_approved},
              {"deny", decides},
              {"narrow", decides && !approval.role.empty()},
              {"withdraw", under_way && eligible.has_value()},
              {"review", approval.review_due.has_value() && eligible.has_value()},
              {"cancel", mine && (pending || state == ApprovalState::kApproved ||
                                  (state == ApprovalState::kClaimed && approval.is_task()))},
              {"claim", mine && state == ApprovalState::kApproved},
              {"comment", mine || eligible.has_value()},
              {"why_not", ""}};
  if (!pending && state == ApprovalState::kPending)
    out["why_not"] = "it has expired";
  else if (!eligible)
    out["why_not"] = eligible.error().message;
  else if (has_approved)
    out["why_not"] = "you have approved it; others have to as well";
  return out;
}

}  // namespace curfew::broker
