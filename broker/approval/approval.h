#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/route.h"
#include "engines/engine.h"
#include "policy/approval_rule.h"

namespace curfew::broker {

// An approval request from birth to death; the numbers are stored.
enum class ApprovalState : std::int64_t {
  kPending = 0,     // people have to decide
  kApproved = 1,    // waits for its claim
  kClaimed = 2,     // its lease lives its own life; of a task: under way
  kDenied = 3,      // by an approver
  kExpired = 4,     // nobody decided in time
  kCancelled = 5,   // by whoever asked, or the human behind an agent
  kSuperseded = 6,  // what was asked for is not the same any more
  kLapsed = 7,      // approved, and not claimed in time
  kWithdrawn = 8,   // by an approver, after it was approved
  kEnded = 9,       // a task whose time is over, or that whoever asked has ended
};

const char* approval_state_name(ApprovalState state);
std::optional<ApprovalState> approval_state_of(std::string_view name);

// Whether an approval request may move from one state to another (staying is a move as well). The
// only place that says so.
bool may_move(ApprovalState from, ApprovalState to);

// Whether something may still come of it.
inline bool is_open(ApprovalState state) {
  return state <= ApprovalState::kClaimed;
}

enum class Verdict : std::int64_t {
  kApprove = 0,
  kDeny = 1,
  kNarrow = 2,  // approves less than was asked for
  kCancel = 3,
  kWithdraw = 4,
  kComment = 5,
  kAutomatic = 6,   // a rule of the policy approved
  kBreakGlass = 7,  // whoever asked went ahead alone
  kReview = 8,      // of that, afterwards
  kEscalate = 9,
  kClaim = 10,
  kExpire = 11,
  kLapse = 12,
  kSupersede = 13,
  kEnd = 14,
};

const char* verdict_name(Verdict verdict);

// One step in the life of an approval request, for good.
struct ApprovalDecision {
  std::string by = {};       // entity id; empty: the broker itself
  std::string by_name = {};  // as it was called then
  Verdict verdict = Verdict::kComment;
  std::string reason = {};
  WallTime at = {};
  std::string digest = {};               // of what it was about
  std::vector<std::string> groups = {};  // ids of those of the factors' groups that it was in then
  Millis ttl{0};                         // of kNarrow
};

// A group as an approval request remembers it.
struct ApproverGroup {
  std::string id;
  std::string name;  // as it was called then
};

// So many different humans of these groups must approve.
struct ApproverFactor {
  std::string name;
  std::vector<ApproverGroup> groups;
  std::int64_t approvals = 1;
};

// What one approval of a task covers, and what of it is used up.
struct ApprovalTask {
  std::int64_t leases_max = 0;
  std::int64_t statements_max = 0;  // leases for one statement, of those; 0: as many as leases
  Millis duration{0};
  std::int64_t leases_used = 0;
  std::int64_t statements_used = 0;
  std::optional<WallTime> ends_at;  // once it is claimed
};

// Who asks. A snapshot, beside what an Attribution has.
struct ApprovalRequester {
  engines::Attribution by;  // names as they were then; `purpose` is the agent's own text
  std::string key;          // the entity's id with the sub-agent's name, or the token's row id
  std::string kind;         // of the entity: "agent", "human" or empty
  std::string owner;        // of an agent: the name of whoever answers for it
  std::string home;         // id of the namespace that the token belongs to
  // Entities that never approve this: who asks, for whom it acts, who answers for it, and who made
  // the token that it asks with.
  std::vector<std::string> excluded;
  std::vector<std::string> excluded_groups;  // likewise, by the id of a group
};

// One row.
struct Approval {
  std::string id;
  ApprovalState state = ApprovalState::kPending;
  std::int64_t revision = 1;  // grows with every change

  // What is asked for. Changes only when it is narrowed.
  Operation operation = Operation::kRead;
  std::string path;            // of the request that waits
  Json data = Json::object();  // its body or query; may hold secrets of a write
  bool hides_data = false;     // such: its values are shown to nobody
  std::string mount;           // accessor of the mount; empty: a path of the broker's own
  std::string mount_path;
  std::string role;  // empty: no lease comes of it
  std::string target;
  Millis ttl{0};      // of the lease (of a task: of each)
  Millis ttl_max{0};  // what the policy allows; 0: nothing is said
  std::optional<ApprovalTask> task;
  ApprovalRequester requester;
  std::string reason;  // the agent's own text
  std::string ticket;  // likewise
  std::string policy_version;
  std::string content_digest;  // of Foreseen::content
  std::string digest;          // of all of it: what people approve

  // What people are shown beside it.
  Json evidence = Json::object();
  std::vector<std::string> policies;
  std::string rule_path;

  // Who decides, and what was decided.
  std::vector<ApproverFactor> factors;
  std::vector<ApprovalDecision> decisions;
  std::vector<std::string> notify;
  std::vector<ApproverGroup> escalate_to;
  std::string automatic;        // the policy's rule that approved it; empty: none
  Json shadow = Json::array();  // what rules in shadow would have decided
  bool break_glass = false;
  std::optional<WallTime> review_due;  // of a break glass, until somebody has reviewed it

  WallTime created_at;
  WallTime expires_at;                  // while it is pending
  std::optional<WallTime> escalate_at;  // nullopt: it was
  Millis claim_window{0};
  std::optional<WallTime> approved_at;
  std::optional<WallTime> claim_until;
  std::optional<WallTime> claimed_at;
  std::optional<WallTime> closed_at;
  std::vector<std::string> lease_ids;  // the newest last; of a task the last 100
  std::string ask;  // keyed hash of who asks for what, by which a repetition is known
  std::string key;  // keyed hash of who asks and the Idempotency-Key; empty: none

  bool is_task() const { return task.has_value(); }
  bool has_statement() const { return data.contains("statement"); }
  // When something is due with it: expiry, escalation, the end of the claim window, of the task, of
  // the time for a review. nullopt: nothing ever.
  std::optional<WallTime> due_at() const;
};

// The SHA-256 of everything that an approval is about, as "sha256:" and hex. It changes exactly
// when something of that changes.
std::string digest_of(const Approval& approval);

// The same of a JSON value, in a form in which equal values are equal texts.
std::string digest_of(const Json& value);

}  // namespace curfew::broker
