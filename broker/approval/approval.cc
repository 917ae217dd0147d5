#include "broker/approval/approval.h"

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::broker {
namespace {

constexpr std::array<const char*, 10> kStates = {"pending",   "approved",  "claimed",    "denied",
                                                 "expired",   "cancelled", "superseded", "lapsed",
                                                 "withdrawn", "ended"};

constexpr std::array<const char*, 15> kVerdicts = {
    "approve", "deny",     "narrow", "cancel", "withdraw", "comment",   "automatic", "break_glass",
    "review",  "escalate", "claim",  "expire", "lapse",    "supersede", "end"};

}  // namespace

const char* approval_state_name(ApprovalState state) {
  return kStates.at(static_cast<std::size_t>(state));
}

std::optional<ApprovalState> approval_state_of(std::string_view name) {
  const auto found = std::find(kStates.begin(), kStates.end(), name);
  if (found == kStates.end()) return std::nullopt;
  return static_cast<ApprovalState>(found - kStates.begin());
}

const char* verdict_name(Verdict verdict) {
  return kVerdicts.at(static_cast<std::size_t>(verdict));
}

bool may_move(ApprovalState from, ApprovalState to) {
  using enum ApprovalState;
  if (from == to) return true;
  switch (from) {
    case kPending:
      return to == kApproved || to == kDenied || to == kExpired || to == kCancelled ||
             to == kSuperseded;
    case kApproved:
      return to == kClaimed || to == kLapsed || to == kWithdrawn || to == kCancelled ||
             to == kSuperseded;
    // Back to kApproved: the claim made nothing, and nothing exists.
    case kClaimed: return to == kApproved || to == kWithdrawn || to == kEnded;
    default: return false;
  }
}

std::optional<WallTime> Approval::due_at() const {
  switch (state) {
    case ApprovalState::kPending:
      return escalate_at ? std::min(*escalate_at, expires_at) : expires_at;
    case ApprovalState::kApproved: return claim_until;
    case ApprovalState::kClaimed: return task ? task->ends_at : std::nullopt;
    default: return std::nullopt;
  }
}

std::string digest_of(const Json& value) {
  // Objects are sorted by key and printed without spaces.
  return "sha256:" + hex_encode(sha256(dump_json(value)));
}

std::string digest_of(const Approval& approval) {
  const engines::Attribution& by = approval.requester.by;
  Json task = nullptr;
  if (approval.task)
    task = {{"leases", approval.task->leases_max},
            {"statements", approval.task->statements_max},
            {"duration", approval.task->duration.count()}};
  return digest_of(Json{{"operation", operation_name(approval.operation)},
                        {"path", approval.path},
                        {"data", approval.data},
                        {"mount", approval.mount},
                        {"role", approval.role},
                        {"target", approval.target},
                        {"ttl", approval.ttl.count()},
                        {"task", std::move(task)},
                        {"content", approval.content_digest},
                        {"policy", approval.policy_version},
                        {"requester", approval.requester.key},
                        {"home", approval.requester.home},
                        {"entity", by.entity_id},
                        {"agent", by.agent},
                        {"human", by.human_id},
                        {"sub_agent", by.sub_agent},
                        {"session", by.session},
                        {"purpose", by.purpose},
                        {"trace", by.trace_id},
                        {"reason", approval.reason},
                        {"ticket", approval.ticket}});
}

}  // namespace curfew::broker
