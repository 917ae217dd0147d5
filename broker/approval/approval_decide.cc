#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/duration.h"
#include "broker/approval/approval_service.h"
#include "broker/attribution.h"

// Deciding.
namespace curfew::broker {
namespace {

constexpr std::size_t kReasonBytesMax = 1024;
constexpr std::size_t kDecisionsMax = 200;

Error moved_on(const Approval& approval, std::string_view what) {
  return {Errc::kConflict, fmt::format("the approval request is {}: it cannot be {} any more",
                                       approval_state_name(approval.state), what)};
}

const char* participle(Verdict verdict) {
  switch (verdict) {
    case Verdict::kApprove: return "approved";
    case Verdict::kDeny: return "denied";
    case Verdict::kNarrow: return "narrowed";
    case Verdict::kCancel: return "cancelled";
    case Verdict::kWithdraw: return "withdrawn";
    case Verdict::kReview: return "reviewed";
    default: return "commented on";
  }
}

// Why this verdict cannot be given on a request in this state; success: it can.
Status check_state(const Approval& approval, Verdict verdict, WallTime now) {
  const ApprovalState state = approval.state;
  switch (verdict) {
    case Verdict::kApprove:
    case Verdict::kDeny:
    case Verdict::kNarrow:
      if (state != ApprovalState::kPending) return moved_on(approval, participle(verdict));
      if (approval.expires_at <= now)
        return Error{Errc::kConflict, "the approval request has expired: it has to be made again"};
      return ok();
    case Verdict::kWithdraw:
      if (state != ApprovalState::kApproved && state != ApprovalState::kClaimed)
        return moved_on(approval, "withdrawn");
      return ok();
    case Verdict::kCancel:
      if (state != ApprovalState::kPending && state != ApprovalState::kApproved &&
          !(state == ApprovalState::kClaimed && approval.is_task()))
        return moved_on(approval, "cancelled");
      return ok();
    case Verdict::kReview:
      if (!approval.break_glass || !approval.review_due)
        return Error{Errc::kConflict, "there is no break glass here that waits for a review"};
      return ok();
    default: return ok();
  }
}

Status check_digest(const Approval& approval, const std::string& digest) {
  if (digest.empty())
    return Error{Errc::kInvalidArgument,
                 "missing digest: send the \"digest\" of the approval request that you have seen, "
                 "or its ETag as If-Match"};
  if (digest == approval.digest) return ok();
  return Error{Errc::kPreconditionFailed,
               "the approval request has changed since you have seen it: look at it again"};
}

}  // namespace

std::string ApprovalService::same(const std::string& entity_id) const {
  if (entity_id.empty()) return entity_id;
  const auto standing = parts_.identities.standing(entity_id);
  return standing && *standing != nullptr ? (*standing)->entity_id : entity_id;
}

std::vector<FactorTally> ApprovalService::tally_of(const Approval& approval) const {
  return tally(approval, [this](const std::string& id) { return same(id); });
}

void ApprovalService::approve(Approval& approval, WallTime now) const {
  approval.state = ApprovalState::kApproved;
  approval.approved_at = now;
  approval.claim_until = now + approval.claim_window;
  approval.escalate_at.reset();
}

// Whoever asked, and the human behind an agent.
Status ApprovalService::check_may_cancel(const Approval& approval, const Caller* caller) const {
  const Error refused{Errc::kPermissionDenied,
                      "permission denied: only whoever asked, or the human behind that, cancels an "
                      "approval request; an approver denies it"};
  if (caller == nullptr) return refused;
  engines::Attribution by;
  by.entity_id = caller->standing ? caller->standing->entity_id : caller->token.entity_id;
  if (requester_key(caller->token, by) == approval.requester.key) return ok();
  if (by.entity_id.empty()) return refused;
  const ApprovalRequester& requester = approval.requester;
  const bool is_human_behind = std::find(requester.excluded.begin(), requester.excluded.end(),
                                         by.entity_id) != requester.excluded.end() &&
                               caller->standing && caller->standing->kind == kHuman;
  return is_human_behind ? ok() : Status(refused);
}

// ---- what each verdict does --------------------------------------------------------------------

Status ApprovalService::apply(const Approver* approver, const Deciding& deciding,
                              const SameEntity& same_entity, Approval& approval,
                              std::string& event) const {
  const WallTime now = parts_.clock.wall();
  RETURN_IF_ERROR(check_state(approval, deciding.verdict, now));
  if (approval.decisions.size() >= kDecisionsMax && deciding.verdict == Verdict::kComment)
    return Error{Errc::kQuotaExceeded, "this approval request has as many comments as it may"};
  ApprovalDecision decision{
      .verdict = deciding.verdict, .reason = deciding.reason, .at = now, .digest = approval.digest};
  if (approver != nullptr) {
    decision.by = approver->entity_id;
    decision.by_name = approver->name;
    for (const ApproverFactor& factor : approval.factors)
      for (const ApproverGroup& group : factor.groups)
        if (std::find(approver->groups.begin(), approver->groups.end(), group.id) !=
            approver->groups.end())
          decision.groups.push_back(group.id);
  }
  switch (deciding.verdict) {
    case Verdict::kApprove: RETURN_IF_ERROR(check_digest(approval, deciding.digest)); break;
    case Verdict::kNarrow:
      RETURN_IF_ERROR(check_digest(approval, deciding.digest));
      if (approval.role.empty())
        return Error{Errc::kInvalidArgument, "only what gives a lease can be narrowed"};
      if (deciding.ttl < Seconds{1} || deciding.ttl >= approval.ttl)
        return Error{Errc::kInvalidArgument,
                     fmt::format("ttl: expected less than {}; an approver may only narrow",
                                 format_duration_short(approval.ttl))};
      approval.ttl = std::chrono::floor<Seconds>(deciding.ttl);
      approval.digest = digest_of(approval);
      decision.digest = approval.digest;
      decision.ttl = approval.ttl;
      event = "narrowed";
      break;
    case Verdict::kDeny:
      approval.state = ApprovalState::kDenied;
      event = "denied";
      break;
    case Verdict::kWithdraw:
      approval.state = ApprovalState::kWithdrawn;
      event = approval.is_task() && approval.claimed_at ? "task_ended" : "withdrawn";
      break;
    case Verdict::kCancel:
      event = approval.state == ApprovalState::kClaimed ? "task_ended" : "cancelled";
      approval.state = approval.state == ApprovalState::kClaimed ? ApprovalState::kEnded
                                                                 : ApprovalState::kCancelled;
      break;
    case Verdict::kReview: approval.review_due.reset(); break;
    default: break;
  }
  // What is said of it later does not close it again.
  if (!is_open(approval.state) && !approval.closed_at) approval.closed_at = now;
  approval.decisions.push_back(std::move(decision));
  if (approval.state != ApprovalState::kPending || !is_satisfied(tally(approval, same_entity)))
    return ok();
  approve(approval, now);
  event = "approved";
  return ok();
}

Result<Approval> ApprovalService::decide(const Caller* caller, const std::string& place,
                                         const Deciding& asked) {
  Deciding deciding = asked;
  deciding.reason = clean_text(asked.reason, kReasonBytesMax);
  const Verdict verdict = deciding.verdict;
  ASSIGN_OR_RETURN(const auto seen, parts_.store.get(deciding.id));
  if (!seen || !may_see(*seen, caller, place)) {
    // Who decides on nothing at all is told so; what there is, is told to nobody whom it is not
    // for.
    if (verdict != Verdict::kCancel && verdict != Verdict::kComment)
      RETURN_IF_ERROR(approver_of(caller, place));
    return Error{Errc::kNotFound, "there is no such approval request"};
  }
  const bool needs_reason =
      verdict == Verdict::kDeny || verdict == Verdict::kReview || verdict == Verdict::kComment;
  if (needs_reason && deciding.reason.empty())
    return Error{Errc::kInvalidArgument, "missing reason: say why; whoever asked will read it"};

  std::optional<Approver> approver;
  if (verdict == Verdict::kCancel) {
    RETURN_IF_ERROR(check_may_cancel(*seen, caller));
    if (caller->standing)
      approver = Approver{caller->standing->entity_id, caller->standing->name, {}};
  } else if (verdict == Verdict::kComment && check_may_cancel(*seen, caller)) {
    if (caller->standing)
      approver = Approver{caller->standing->entity_id, caller->standing->name, {}};
  } else {
    ASSIGN_OR_RETURN(approver, approver_of(caller, place));
    // Who answers for the agent may have changed since it asked.
    Approval now_excluded = *seen;
    RETURN_IF_ERROR(exclude_owner(seen->requester.by.entity_id, now_excluded.requester));
    for (std::string& id : now_excluded.requester.excluded) id = same(id);
    RETURN_IF_ERROR(check_eligible(now_excluded, *approver));
  }
  // Asked for before the transaction, which must not read in another way. Who decides meanwhile
  // does so under an id that is up to date.
  std::map<std::string, std::string> merged;
  for (const ApprovalDecision& decision : seen->decisions) merged[decision.by] = same(decision.by);
  const SameEntity same_entity = [&merged](const std::string& id) {
    const auto found = merged.find(id);
    return found == merged.end() ? id : found->second;
  };
  return change(deciding.id, [&](Approval& approval, std::string& event) {
    return apply(approver ? &*approver : nullptr, deciding, same_entity, approval, event);
  });
}

// ---- changing ----------------------------------------------------------------------------------

Result<Approval> ApprovalService::change(
    const std::string& id, const std::function<Status(Approval&, std::string& event)>& change) {
  std::optional<Approval> changed;
  RETURN_IF_ERROR(parts_.database.write([&](store::Writer& writer) -> Status {
    std::string event;
    ASSIGN_OR_RETURN(changed, parts_.store.change(writer, id, [&](Approval& approval) {
      return change(approval, event);
    }));
    // With what was withdrawn its leases end, in one commit.
    const bool ended =
        changed->state == ApprovalState::kWithdrawn || changed->state == ApprovalState::kEnded;
    if (ended && !changed->lease_ids.empty() && parts_.end_leases)
      RETURN_IF_ERROR(parts_.end_leases(writer, changed->lease_ids));
    return tell(writer, event, *changed);
  }));
  parts_.log.info(
      "approval request",
      {{"id", id}, {"state", approval_state_name(changed->state)}, {"digest", changed->digest}});
  publish(*changed);
  return *std::move(changed);
}

}  // namespace curfew::broker
