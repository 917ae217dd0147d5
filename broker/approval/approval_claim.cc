#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/approval/approval_match.h"
#include "broker/approval/approval_service.h"
#include "broker/attribution.h"

// Claiming, and what falls due.
namespace curfew::broker {
namespace {

constexpr std::size_t kOpenMax = 200;  // looked through of one wish
constexpr std::size_t kNewestMax = 5;
constexpr std::size_t kDueAtOnce = 200;
constexpr std::size_t kRetireAtOnce = 500;
// So long a repetition of a claim is taken for a retry of it, and not for a new wish.
constexpr Millis kRetryWindow = Seconds{10};

Error claimed_already() {
  return {Errc::kConflict, "the approval was claimed already, and counts once"};
}

// Why nothing can be claimed by it at this moment; success: it can.
Status why_not_claimable(const Approval& approval, WallTime now) {
  if (approval.state == ApprovalState::kApproved && approval.claim_until &&
      *approval.claim_until > now)
    return ok();
  if (approval.state == ApprovalState::kApproved)
    return Error{Errc::kConflict,
                 "the approval was not claimed in time and has lapsed: ask for it again"};
  if (approval.state == ApprovalState::kPending)
    return Error{Errc::kConflict, "Request needs further approval"};
  if (approval.state != ApprovalState::kClaimed)
    return Error{Errc::kConflict, fmt::format("the approval request is {}: nothing can be claimed",
                                              approval_state_name(approval.state))};
  if (!approval.task) return claimed_already();
  const ApprovalTask& task = *approval.task;
  if (!task.ends_at || *task.ends_at <= now)
    return Error{Errc::kConflict, "the time of the task is over"};
  if (task.leases_used >= task.leases_max)
    return Error{Errc::kQuotaExceeded,
                 fmt::format("the task has had all its {} leases: ask for another approval",
                             task.leases_max)};
  const std::int64_t statements_max =
      task.statements_max > 0 ? task.statements_max : task.leases_max;
  if (approval.has_statement() && task.statements_used >= statements_max)
    return Error{Errc::kQuotaExceeded,
                 fmt::format("the task has run all its {} statements", statements_max)};
  return ok();
}

ApprovalDecision by_the_broker(const Approval& approval, Verdict verdict, WallTime now,
                               std::string reason) {
  return {.by = {},
          .by_name = {},
          .verdict = verdict,
          .reason = std::move(reason),
          .at = now,
          .digest = approval.digest};
}

}  // namespace

Json approval_note(const Approval& approval) {
  Json deciders = Json::array();
  for (const ApprovalDecision& decision : approval.decisions) {
    const bool decides =
        decision.verdict == Verdict::kApprove || decision.verdict == Verdict::kNarrow ||
        decision.verdict == Verdict::kAutomatic || decision.verdict == Verdict::kBreakGlass;
    if (!decides || decision.digest != approval.digest) continue;
    deciders.push_back({{"id", decision.by},
                        {"name", decision.by_name},
                        {"verdict", verdict_name(decision.verdict)},
                        {"reason", decision.reason},
                        {"at", format_rfc3339(decision.at)}});
  }
  Json note = {{"id", approval.id},
               {"digest", approval.digest},
               {"deciders", std::move(deciders)},
               {"reason", approval.reason}};
  if (approval.is_task()) note["task"] = true;
  return note;
}

// ---- finding -----------------------------------------------------------------------------------

namespace {

// The keys whose approvals the caller may use: its own, then those of the agents above a sub-agent,
// of which tasks alone count.
std::vector<std::string> keys_of(const Caller& caller, const engines::Attribution& by) {
  Token token = caller.token;
  std::vector<std::string> out = {requester_key(token, by)};
  while (!by.entity_id.empty() && !token.sub_agent.empty()) {
    const auto slash = token.sub_agent.rfind('/');
    token.sub_agent.resize(slash == std::string::npos ? 0 : slash);
    out.push_back(requester_key(token, by));
  }
  return out;
}

}  // namespace

Result<std::string> ApprovalService::ask_of(const std::string& requester, const std::string& home,
                                            Operation operation, const std::string& path,
                                            const Json& data) const {
  return parts_.barrier.keyed_hash(
      "approval ask",
      dump_json(Json{Json{requester, home}, operation_name(operation), path, data}));
}

Result<std::optional<Approval>> ApprovalService::covering(const ApprovalSubject& subject,
                                                          const ApprovalWishes& wishes) const {
  const WallTime now = parts_.clock.wall();
  const std::string own = requester_key(subject.caller->token, subject.by);
  const auto covers = [&](const Approval& approval) {
    if (!is_same_wish(approval, subject.by, wishes)) return false;
    if (approval.requester.key != own && !approval.is_task()) return false;
    return why_not_claimable(approval, now).has_value();
  };
  const auto was_just_claimed = [&](const Approval& approval) {
    return approval.state == ApprovalState::kClaimed && !approval.is_task() &&
           approval.requester.key == own && approval.claimed_at &&
           *approval.claimed_at + kRetryWindow > now && is_same_wish(approval, subject.by, wishes);
  };
  for (const std::string& key : keys_of(*subject.caller, subject.by)) {
    ASSIGN_OR_RETURN(const std::string ask, ask_of(key, subject.caller->name_space,
                                                   subject.operation, subject.path, subject.data));
    std::optional<Approval> out;
    RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto open, parts_.store.open_of_ask(reader, ask, kOpenMax));
      const auto it = std::find_if(open.begin(), open.end(), covers);
      if (it != open.end()) {
        out = *it;
        return ok();
      }
      ASSIGN_OR_RETURN(const auto newest, parts_.store.of_ask(reader, ask, kNewestMax));
      const auto claimed = std::find_if(newest.begin(), newest.end(), was_just_claimed);
      if (claimed != newest.end()) out = *claimed;
      return ok();
    }));
    if (out) return out;
  }
  return std::optional<Approval>();
}

Result<bool> ApprovalService::is_waiting(const ApprovalSubject& subject,
                                         const ApprovalWishes& wishes) const {
  const WallTime now = parts_.clock.wall();
  const std::string own = requester_key(subject.caller->token, subject.by);
  ASSIGN_OR_RETURN(const std::string ask, ask_of(own, subject.caller->name_space, subject.operation,
                                                 subject.path, subject.data));
  bool waits = false;
  RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto found, parts_.store.open_of_ask(reader, ask, kOpenMax));
    waits = std::any_of(found.begin(), found.end(), [&](const Approval& approval) {
      return approval.state == ApprovalState::kPending && approval.expires_at > now &&
             approval.policy_version == policy_version(subject.demand) &&
             (!subject.foreseen ||
              approval.content_digest == digest_of(subject.foreseen->content)) &&
             is_same_wish(approval, subject.by, wishes);
    });
    return ok();
  }));
  return waits;
}

// ---- claiming ----------------------------------------------------------------------------------

Result<Approval> ApprovalService::claim(store::Writer& writer, const Approval& seen,
                                        const std::string& lease_id) {
  // The clock is read in here: what lapsed before this commit is not claimed by it.
  const WallTime now = parts_.clock.wall();
  return parts_.store.change(writer, seen.id, [&](Approval& approval) -> Status {
    RETURN_IF_ERROR(why_not_claimable(approval, now));
    if (approval.digest != seen.digest)
      return Error{Errc::kConflict,
                   "the approval request was changed while it was claimed: look at it again"};
    const bool first = approval.state == ApprovalState::kApproved;
    approval.state = ApprovalState::kClaimed;
    if (first) {
      approval.claimed_at = now;
      if (approval.task) approval.task->ends_at = now + approval.task->duration;
      approval.decisions.push_back(by_the_broker(approval, Verdict::kClaim, now, lease_id));
    }
    if (!lease_id.empty()) approval.lease_ids.push_back(lease_id);
    if (approval.task) {
      ++approval.task->leases_used;
      if (approval.has_statement()) ++approval.task->statements_used;
    }
    if (first) return tell(writer, "claimed", approval);
    return ok();
  });
}

Status ApprovalService::claim_alone(const Approval& approval) {
  return parts_.database.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(claim(writer, approval, {}));
    return ok();
  });
}

Status ApprovalService::check_claimable(const Approval& approval) const {
  return why_not_claimable(approval, parts_.clock.wall());
}

void ApprovalService::claimed(const Approval& approval) {
  parts_.log.info("approval request",
                  {{"id", approval.id},
                   {"state", approval_state_name(approval.state)},
                   {"lease", approval.lease_ids.empty() ? "" : approval.lease_ids.back()},
                   {"digest", approval.digest}});
  publish(approval);
}

void ApprovalService::unclaim(const std::string& id, const std::string& lease_id) {
  const auto restored = change(id, [&](Approval& approval, std::string&) -> Status {
    const auto lease = std::find(approval.lease_ids.begin(), approval.lease_ids.end(), lease_id);
    if (approval.state != ApprovalState::kClaimed || lease == approval.lease_ids.end())
      return Error{Errc::kConflict, "something else has happened with it"};
    approval.lease_ids.erase(lease);
    if (approval.task) {
      --approval.task->leases_used;
      if (approval.has_statement()) --approval.task->statements_used;
      return ok();
    }
    approval.state = ApprovalState::kApproved;
    approval.claimed_at.reset();
    return ok();
  });
  if (!restored)
    parts_.log.warn("claim that made nothing stays used",
                    {{"id", id}, {"error", restored.error().message}});
}

Status ApprovalService::supersede(const Approval& seen, std::string_view why) {
  RETURN_IF_ERROR(change(seen.id, [&](Approval& approval, std::string& event) -> Status {
    const WallTime now = parts_.clock.wall();
    // Its lease lives its own life: what is asked for anew does not end it.
    if (approval.state == ApprovalState::kClaimed && !approval.task) return claimed_already();
    const bool waits =
        approval.state == ApprovalState::kPending || approval.state == ApprovalState::kApproved;
    approval.state = waits ? ApprovalState::kSuperseded : ApprovalState::kEnded;
    approval.closed_at = now;
    approval.decisions.push_back(
        by_the_broker(approval, Verdict::kSupersede, now, std::string(why)));
    event = waits ? "cancelled" : "task_ended";
    return ok();
  }));
  return ok();
}

// ---- time --------------------------------------------------------------------------------------

Status ApprovalService::run_one(const std::string& id) {
  const auto changed = change(id, [&](Approval& approval, std::string& event) -> Status {
    // Decisions are in the order of their times: others were made since this one was looked for.
    const WallTime now = parts_.clock.wall();
    const auto due = approval.due_at();
    if (!due || *due > now) return Error{Errc::kConflict, "nothing is due"};
    const auto close = [&](ApprovalState state, Verdict verdict, std::string_view name) {
      approval.state = state;
      approval.closed_at = now;
      approval.decisions.push_back(by_the_broker(approval, verdict, now, {}));
      event = name;
    };
    switch (approval.state) {
      case ApprovalState::kPending:
        if (approval.expires_at <= now) {
          close(ApprovalState::kExpired, Verdict::kExpire, "expired");
          return ok();
        }
        approval.escalate_at.reset();
        approval.decisions.push_back(by_the_broker(approval, Verdict::kEscalate, now, {}));
        event = "escalated";
        return ok();
      case ApprovalState::kApproved:
        close(ApprovalState::kLapsed, Verdict::kLapse, "expired");
        return ok();
      default: close(ApprovalState::kEnded, Verdict::kEnd, "task_ended"); return ok();
    }
  });
  if (changed || changed.error().code == Errc::kConflict || changed.error().code == Errc::kNotFound)
    return ok();
  return changed.error();
}

Status ApprovalService::run_due() {
  const WallTime now = parts_.clock.wall();
  for (;;) {
    ASSIGN_OR_RETURN(const auto due, parts_.store.due(now, kDueAtOnce));
    for (const std::string& id : due) RETURN_IF_ERROR(run_one(id));
    if (due.size() < kDueAtOnce) return ok();
  }
}

Status ApprovalService::tidy() {
  RETURN_IF_ERROR(parts_.store.retire(parts_.clock.wall() - options_.retention, kRetireAtOnce));
  return ok();
}

}  // namespace curfew::broker
