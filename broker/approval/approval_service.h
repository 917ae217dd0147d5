#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/approval/approval.h"
#include "broker/approval/approval_events.h"
#include "broker/approval/approval_store.h"
#include "broker/approval/approver.h"
#include "broker/identity/identity_service.h"
#include "broker/lease/lease.h"
#include "broker/token/token_store.h"
#include "policy/rights.h"
#include "store/barrier.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

struct ApprovalOptions {
  Millis request_ttl = std::chrono::minutes{30};
  Millis claim_window = std::chrono::minutes{15};
  Millis request_ttl_max = std::chrono::hours{24};  // whatever a policy says
  // How long the same is not asked again after it was denied.
  Millis denied_pause = std::chrono::minutes{5};
  Millis review_within = std::chrono::hours{24};
  std::int64_t pending_per_requester_max = 10;
  std::int64_t pending_max = 50'000;               // of all of a namespace
  Millis retention = std::chrono::hours{24 * 90};  // closed ones, counted from when they were made
};

// A request for which a policy asks for approval: what the pipeline has found out about it.
struct ApprovalSubject {
  Operation operation = Operation::kRead;
  std::string path;
  Json data = Json::object();  // of a lease without "ttl"
  bool hides_data = false;     // see Approval
  std::string mount;           // accessor
  std::string mount_path;
  std::string place;  // id of the namespace
  const Caller* caller = nullptr;
  engines::Attribution by;
  policy::ApprovalDemand demand;
  std::optional<engines::Foreseen> foreseen = {};  // nullopt: no lease comes of it
};

// What whoever asks says beside it.
struct ApprovalWishes {
  Millis ttl{0};  // 0: the policy's default, else the role's
  std::optional<ApprovalTask> task = {};
  std::string reason = {};
  std::string ticket = {};
  std::string idempotency_key = {};
  bool break_glass = false;
  Json rehearsal = nullptr;  // evidence of a rolled-back run
};

// The approval queue of one namespace: requests, decisions, claims. Thread-safe. A change is
// durable when its call returns success and has had no effect when it fails. Every method also
// gives the store's errors.
class ApprovalService {
 public:
  // Tells people. `event` is a name from docs/notifications.md; called inside the transaction that
  // makes the change, which fails with it.
  using Notify =
      std::function<Status(store::Writer&, std::string_view event, const Approval& approval)>;

  struct Parts {
    store::Database& database;
    const store::Records& records;
    const store::Barrier& barrier;
    ApprovalStore& store;
    ApprovalEvents& events;
    const IdentityService& identities;
    TokenStore& tokens;
    const Clock& clock;
    Random& random;
    Log& log;
    Notify notify;  // may be empty
    // Makes leases due; those that are not there count as ended. Likewise in the transaction.
    std::function<Status(store::Writer&, const std::vector<std::string>& leases)> end_leases;
    std::function<void()> due_changed;  // what is due may have changed: look again soon
  };
  ApprovalService(Parts parts, ApprovalOptions options);

  // ---- asking

  // Makes an approval request, or gives the one that waits for the same already. kInvalidArgument:
  // the policy's terms are not met (a reason, a shorter TTL, …), or nobody could approve.
  // kQuotaExceeded: the same was denied just now, or too many wait. kPermissionDenied: no break
  // glass for this caller.
  Result<Approval> ask(const ApprovalSubject& subject, const ApprovalWishes& wishes);

  // ---- deciding. kNotFound; kConflict: the state has moved on; kPermissionDenied: not hers.
  struct Deciding {
    std::string id;
    Verdict verdict = Verdict::kComment;
    std::string reason = {};
    std::string digest = {};  // of what she saw; needed to approve and to narrow
    Millis ttl{0};            // to narrow
  };
  // kPreconditionFailed: the digest is not the present one: it was narrowed meanwhile.
  Result<Approval> decide(const Caller* caller, const std::string& place, const Deciding& deciding);

  // What the caller could do with it now; see docs/approvals-api.md, `can`.
  Json possible(const Approval& approval, const Caller* caller, const std::string& place) const;
  // Whether she may see it: whoever asked, the human behind that, and those who may decide.
  // Whether it is whoever asked, or the human behind that.
  bool is_behind(const Approval& approval, const Caller* caller) const;
  bool may_see(const Approval& approval, const Caller* caller, const std::string& place) const;

  // ---- claiming

  // The approved request, or the task under way, by which the subject may go through now; nullopt:
  // none.
  Result<std::optional<Approval>> covering(const ApprovalSubject& subject,
                                           const ApprovalWishes& wishes) const;
  // Whether a request for the same waits for decisions already.
  Result<bool> is_waiting(const ApprovalSubject& subject, const ApprovalWishes& wishes) const;
  // The last word, in the transaction that makes the lease durable (for other requests: in one of
  // its own, with an empty `lease_id`): still approved, in time, not claimed yet, and exactly
  // what was approved.
  Result<Approval> claim(store::Writer& writer, const Approval& approval,
                         const std::string& lease_id);
  // The same where no lease comes of it, in a transaction of its own.
  Status claim_alone(const Approval& approval);
  // Why nothing can be claimed by it now, from what is known: kConflict, kQuotaExceeded. Not the
  // last word.
  Status check_claimable(const Approval& approval) const;
  // After the commit.
  void claimed(const Approval& approval);
  // The claim made nothing, for certain: it may be claimed again while its window lasts.
  void unclaim(const std::string& id, const std::string& lease_id);

  // What was approved is not what there is now: it cannot be claimed any more, and has to be asked
  // for again. Ends a task.
  Status supersede(const Approval& approval, std::string_view why);

  // ---- time

  // How long any request waits at the most, whatever the policies say; 0: the option's.
  Result<Millis> request_ttl_max() const;
  Status set_request_ttl_max(Millis max);

  // Does what is due.
  Status run_due();
  // Removes what has been closed for long enough.
  Status tidy();

  Result<std::optional<Approval>> get(const std::string& id) const { return parts_.store.get(id); }
  const ApprovalStore& store() const { return parts_.store; }
  ApprovalEvents& events() { return parts_.events; }

  // Who counts for which factor, with entities that were merged taken for one.
  std::vector<FactorTally> tally_of(const Approval& approval) const;

 private:
  // See Approval::ask.
  Result<std::string> ask_of(const std::string& requester, const std::string& home,
                             Operation operation, const std::string& path, const Json& data) const;
  Result<Approval> prepare(const ApprovalSubject& subject, const ApprovalWishes& wishes) const;
  Status set_terms(const ApprovalSubject& subject, const ApprovalWishes& wishes,
                   Approval& approval) const;
  Result<std::vector<ApproverFactor>> factors_of(const policy::ApprovalRule& rule) const;
  Result<std::vector<ApproverGroup>> groups_of(const std::vector<std::string>& names,
                                               const std::vector<std::string>& ids) const;
  Status exclude(const Caller& caller, ApprovalRequester& requester) const;
  Status exclude_owner(const std::string& entity_id, ApprovalRequester& requester) const;
  Result<std::optional<Approval>> earlier(store::Writer& writer, const Approval& wanted,
                                          const ApprovalWishes& wishes,
                                          std::vector<Approval>& replaced) const;
  Status replace(store::Writer& writer, const std::string& id, std::string_view why,
                 std::vector<Approval>& replaced) const;
  Status check_not_denied(const store::Reader& reader, const std::string& ask) const;
  Status apply_rules(store::Writer& writer, const policy::ApprovalRule& rule, Approval& approval,
                     std::string& event) const;
  Status break_glass(const ApprovalSubject& subject, Approval& approval, std::string& event) const;

  using SameEntity = std::function<std::string(const std::string& entity_id)>;
  Status apply(const Approver* approver, const Deciding& deciding, const SameEntity& same_entity,
               Approval& approval, std::string& event) const;
  Status check_may_cancel(const Approval& approval, const Caller* caller) const;
  void approve(Approval& approval, WallTime now) const;
  std::string same(const std::string& entity_id) const;

  Result<Approval> change(const std::string& id,
                          const std::function<Status(Approval&, std::string& event)>& change);
  Status run_one(const std::string& id);
  Status tell(store::Writer& writer, const std::string& event, const Approval& approval) const;
  void publish(const Approval& approval) const;

  const Parts parts_;
  const ApprovalOptions options_;
};

// The ApprovalRequester::key of a caller.
std::string requester_key(const Token& token, const engines::Attribution& by);

// What the leases of a claimed request remember of it: {"id", "digest", "deciders": [...]}.
Json approval_note(const Approval& approval);

// A number for a policy's demand that changes when it does.
std::string policy_version(const policy::ApprovalDemand& demand);

}  // namespace curfew::broker
