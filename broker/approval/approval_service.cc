#include "broker/approval/approval_service.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/approval/approval_match.h"
#include "broker/attribution.h"

// Asking.
namespace curfew::broker {
namespace {

constexpr std::size_t kIdCharacters = 24;
constexpr std::size_t kReasonBytesMax = 1024;
constexpr std::size_t kSameMax = 20;   // of one wish, the newest
constexpr std::size_t kOpenMax = 200;  // of those, looked through
// Where neither the request, the policy nor the role says how long: nobody means 32 days.
constexpr Millis kTtlDefault = std::chrono::hours{1};

Error not_as_the_policy_asks(std::string what) {
  return {Errc::kInvalidArgument, "the policy that asks for approval " + std::move(what)};
}

// Of two limits of which 0 is none: the lesser.
Millis lesser(Millis a, Millis b) {
  if (a == Millis{0} || b == Millis{0}) return std::max(a, b);
  return std::min(a, b);
}

// The rights that a role would have are for everybody to see, what was seen of the data is not.
void add_rehearsal(Json seen, Json& evidence) {
  if (!seen.is_object()) return;
  for (const char* name : {"privileges", "member_of", "attributes", "more"}) {
    const auto rights = seen.find(name);
    if (rights == seen.end()) continue;
    evidence[name] = *rights;
    seen.erase(rights);
  }
  if (!seen.empty()) evidence["rehearsal"] = std::move(seen);
}

}  // namespace

ApprovalService::ApprovalService(Parts parts, ApprovalOptions options)
    : parts_(std::move(parts)), options_(options) {}

std::string requester_key(const Token& token, const engines::Attribution& by) {
  if (by.entity_id.empty()) return "token:" + token.id;
  std::string key = "entity:" + by.entity_id;
  if (!token.sub_agent.empty()) key += '/' + token.sub_agent;
  if (!token.on_behalf_of.empty()) key += '@' + token.on_behalf_of;
  return key;
}

// ---- what is asked for --------------------------------------------------------------------------

Status ApprovalService::set_terms(const ApprovalSubject& subject, const ApprovalWishes& wishes,
                                  Approval& approval) const {
  const policy::ApprovalRule& rule = subject.demand.rule;
  approval.reason =
      clean_text(wishes.reason.empty() ? subject.by.purpose : wishes.reason, kReasonBytesMax);
  approval.ticket =
      clean_text(wishes.ticket.empty() ? subject.by.ticket : wishes.ticket, kTicketBytesMax);
  if (rule.reason_required && approval.reason.empty())
    return not_as_the_policy_asks(
        "wants a reason: send \"reason\" to sys/approvals, or the header X-Curfew-Purpose");
  if (rule.ticket_required && approval.ticket.empty())
    return not_as_the_policy_asks(
        "wants a ticket: send \"ticket\" to sys/approvals, or the header X-Curfew-Ticket");
  if (rule.statement_required && !approval.has_statement())
    return not_as_the_policy_asks(
        "wants to see the statement: send the SQL as \"statement\" to sys/approvals");
  if (!subject.foreseen) {
    if (wishes.task || wishes.ttl > Millis{0})
      return Error{Errc::kInvalidArgument,
                   "ttl and task are for credentials; no lease comes of this path"};
    return ok();
  }
  const engines::Terms& terms = subject.foreseen->terms;
  approval.ttl_max = lesser(rule.max_ttl, terms.max_ttl);
  approval.ttl = wishes.ttl;
  for (const Millis fallback : {rule.default_ttl, terms.ttl, kTtlDefault})
    if (approval.ttl == Millis{0}) approval.ttl = fallback;
  if (wishes.ttl == Millis{0} && approval.ttl_max > Millis{0})
    approval.ttl = std::min(approval.ttl, approval.ttl_max);
  approval.ttl = std::chrono::floor<Seconds>(approval.ttl);
  if (approval.ttl < Seconds{1})
    return Error{Errc::kInvalidArgument, "ttl: expected at least one second"};
  if (approval.ttl_max > Millis{0} && approval.ttl > approval.ttl_max)
    return Error{Errc::kInvalidArgument, fmt::format("ttl: at most {} may be asked for here",
                                                     format_duration_short(approval.ttl_max))};
  if (!wishes.task) return ok();
  if (!rule.task)
    return not_as_the_policy_asks("lets no approval cover a task: ask for each lease");
  const ApprovalTask& task = *wishes.task;
  const std::int64_t statements_max =
      rule.task->statements_max > 0 ? rule.task->statements_max : rule.task->leases_max;
  if (task.leases_max < 1 || task.leases_max > rule.task->leases_max ||
      task.duration < Seconds{1} || task.duration > rule.task->duration_max ||
      task.statements_max < 0 || task.statements_max > statements_max)
    return not_as_the_policy_asks(
        fmt::format("lets a task have up to {} leases, {} statements and {}", rule.task->leases_max,
                    statements_max, format_duration_short(rule.task->duration_max)));
  approval.task = task;
  approval.ttl = std::min(approval.ttl, task.duration);
  return ok();
}

Result<Approval> ApprovalService::prepare(const ApprovalSubject& subject,
                                          const ApprovalWishes& wishes) const {
  const policy::ApprovalRule& rule = subject.demand.rule;
  const WallTime now = parts_.clock.wall();
  Approval approval;
  approval.id = random_base62(parts_.random, kIdCharacters);
  approval.operation = subject.operation;
  approval.path = subject.path;
  approval.data = subject.data;
  approval.hides_data = subject.hides_data;
  approval.mount = subject.mount;
  approval.mount_path = subject.mount_path;
  approval.requester.by = subject.by;
  approval.requester.key = requester_key(subject.caller->token, subject.by);
  approval.requester.home = subject.caller->name_space;
  if (const Standing* standing = subject.caller->standing.get()) {
    approval.requester.kind = standing->kind;
    approval.requester.owner = standing->owner;
  }
  RETURN_IF_ERROR(exclude(*subject.caller, approval.requester));
  RETURN_IF_ERROR(set_terms(subject, wishes, approval));
  ASSIGN_OR_RETURN(approval.factors, factors_of(rule));
  ASSIGN_OR_RETURN(approval.escalate_to,
                   groups_of(rule.escalate_to.group_names, rule.escalate_to.group_ids));
  if (subject.foreseen) {
    approval.role = subject.foreseen->role;
    approval.target = subject.foreseen->target;
    approval.evidence = subject.foreseen->shown;
    approval.content_digest = digest_of(subject.foreseen->content);
  }
  if (!approval.evidence.is_object()) approval.evidence = Json::object();
  add_rehearsal(wishes.rehearsal, approval.evidence);
  approval.policies = subject.demand.policies;
  approval.rule_path = subject.demand.path;
  approval.policy_version = policy_version(subject.demand);
  approval.notify = rule.notify;
  approval.created_at = now;
  Millis wait = rule.ttl > Millis{0} ? rule.ttl : options_.request_ttl;
  ASSIGN_OR_RETURN(const Millis wait_max, request_ttl_max());
  wait = std::min(wait, lesser(wait_max, options_.request_ttl_max));
  approval.expires_at = now + wait;
  approval.escalate_at =
      now + (rule.escalate_after > Millis{0} ? std::min(rule.escalate_after, wait) : wait / 2);
  approval.claim_window = rule.claim_window > Millis{0} ? rule.claim_window : options_.claim_window;
  ASSIGN_OR_RETURN(approval.ask, ask_of(approval.requester.key, approval.requester.home,
                                        approval.operation, approval.path, approval.data));
  if (!wishes.idempotency_key.empty()) {
    ASSIGN_OR_RETURN(approval.key, parts_.barrier.keyed_hash(
                                       "approval key", dump_json(Json{approval.requester.key,
                                                                      approval.requester.home,
                                                                      wishes.idempotency_key})));
  }
  approval.digest = digest_of(approval);
  return approval;
}

namespace {

constexpr std::string_view kSettings = "approval-settings";
constexpr std::string_view kTtlMaxName = "request_ttl_max";

}  // namespace

Result<Millis> ApprovalService::request_ttl_max() const {
  std::optional<Json> stored;
  RETURN_IF_ERROR(parts_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(stored, parts_.records.get(reader, kSettings, kTtlMaxName));
    return ok();
  }));
  return stored ? Millis{stored->get<std::int64_t>()} : Millis{0};
}

Status ApprovalService::set_request_ttl_max(Millis max) {
  return parts_.database.write([&](store::Writer& writer) -> Status {
    if (max > Millis{0})
      return parts_.records.put(writer, kSettings, kTtlMaxName, Json(max.count()));
    RETURN_IF_ERROR(parts_.records.remove(writer, kSettings, kTtlMaxName));
    return ok();
  });
}

// ---- asking -------------------------------------------------------------------------------------

// In the place of one that waits or was approved comes another one.
Status ApprovalService::replace(store::Writer& writer, const std::string& id, std::string_view why,
                                std::vector<Approval>& replaced) const {
  const WallTime now = parts_.clock.wall();
  ASSIGN_OR_RETURN(Approval changed, parts_.store.change(writer, id, [&](Approval& old) -> Status {
    old.state = ApprovalState::kSuperseded;
    old.closed_at = now;
    old.decisions.push_back({.verdict = Verdict::kSupersede,
                             .reason = std::string(why),
                             .at = now,
                             .digest = old.digest});
    return ok();
  }));
  RETURN_IF_ERROR(tell(writer, "cancelled", changed));
  replaced.push_back(std::move(changed));
  return ok();
}

// The request that stands for this one already; nullopt: it is a new one.
Result<std::optional<Approval>> ApprovalService::earlier(store::Writer& writer,
                                                         const Approval& wanted,
                                                         const ApprovalWishes& wishes,
                                                         std::vector<Approval>& replaced) const {
  const WallTime now = parts_.clock.wall();
  const auto is_replaceable = [](const Approval& found) {
    return found.state == ApprovalState::kPending || found.state == ApprovalState::kApproved;
  };
  // What nobody could claim any more is not waited for.
  const auto is_outdated = [&](const Approval& found) {
    return is_replaceable(found) && (found.content_digest != wanted.content_digest ||
                                     found.policy_version != wanted.policy_version);
  };
  if (!wanted.key.empty()) {
    ASSIGN_OR_RETURN(const auto with_key, parts_.store.of_key(writer, wanted.key));
    for (const Approval& found : with_key) {
      const bool same = found.ask == wanted.ask && is_same_wish(found, wanted.requester.by, wishes);
      if (same && !is_outdated(found)) return std::optional(found);
      if (is_replaceable(found))
        RETURN_IF_ERROR(replace(writer, found.id,
                                same ? "the role or the policy has changed since"
                                     : "asked for something else with the same key",
                                replaced));
    }
  }
  ASSIGN_OR_RETURN(const auto open, parts_.store.open_of_ask(writer, wanted.ask, kOpenMax));
  for (const Approval& found : open) {
    const bool waits = found.state == ApprovalState::kPending && found.expires_at > now;
    const bool usable =
        found.state == ApprovalState::kApproved && found.claim_until && *found.claim_until > now;
    if (!(waits || usable) || !is_same_wish(found, wanted.requester.by, wishes)) continue;
    if (!is_outdated(found)) return std::optional(found);
    RETURN_IF_ERROR(
        replace(writer, found.id, "the role or the policy has changed since", replaced));
  }
  RETURN_IF_ERROR(check_not_denied(writer, wanted.ask));
  ASSIGN_OR_RETURN(const std::int64_t pending,
                   parts_.store.count(writer, wanted.requester.key, ApprovalState::kPending));
  if (pending >= options_.pending_per_requester_max)
    return Error{Errc::kQuotaExceeded,
                 fmt::format("{} approval requests of yours are waiting, and no more may: wait for "
                             "decisions, or cancel some",
                             pending)};
  ASSIGN_OR_RETURN(const std::int64_t all,
                   parts_.store.count_up_to(writer, ApprovalState::kPending, options_.pending_max));
  if (all >= options_.pending_max)
    return Error{Errc::kOverloaded,
                 "as many approval requests are waiting as may: retry when some are decided"};
  return std::optional<Approval>();
}

Status ApprovalService::check_not_denied(const store::Reader& reader,
                                         const std::string& ask) const {
  const WallTime now = parts_.clock.wall();
  ASSIGN_OR_RETURN(const auto same, parts_.store.of_ask(reader, ask, kSameMax));
  for (const Approval& found : same) {
    const Millis since = now - found.closed_at.value_or(WallTime{});
    if (found.state != ApprovalState::kDenied || since >= options_.denied_pause) continue;
    return Error{Errc::kQuotaExceeded,
                 fmt::format("this was denied just now ({}): it can be asked again in {}",
                             found.decisions.empty() ? "" : found.decisions.back().reason,
                             format_duration_short(
                                 std::chrono::ceil<Seconds>(options_.denied_pause - since)))};
  }
  return ok();
}

Result<Approval> ApprovalService::ask(const ApprovalSubject& subject,
                                      const ApprovalWishes& wishes) {
  ASSIGN_OR_RETURN(Approval approval, prepare(subject, wishes));
  std::string event = "requested";
  if (wishes.break_glass) RETURN_IF_ERROR(break_glass(subject, approval, event));
  bool is_new = true;
  std::vector<Approval> replaced;
  RETURN_IF_ERROR(parts_.database.write([&](store::Writer& writer) -> Status {
    if (!wishes.break_glass) {
      ASSIGN_OR_RETURN(auto known, earlier(writer, approval, wishes, replaced));
      if (known) {
        approval = *std::move(known);
        is_new = false;
        return ok();
      }
      RETURN_IF_ERROR(apply_rules(writer, subject.demand.rule, approval, event));
    }
    RETURN_IF_ERROR(parts_.store.insert(writer, approval));
    return tell(writer, event, approval);
  }));
  for (const Approval& old : replaced) publish(old);
  if (!is_new) return approval;
  parts_.log.info("approval request", {{"id", approval.id},
                                       {"state", approval_state_name(approval.state)},
                                       {"path", approval.path},
                                       {"by", agent_of(approval.requester.by)},
                                       {"digest", approval.digest}});
  publish(approval);
  return approval;
}

// ---- telling ------------------------------------------------------------------------------------

Status ApprovalService::tell(store::Writer& writer, const std::string& event,
                             const Approval& approval) const {
  if (event.empty() || !parts_.notify) return ok();
  return parts_.notify(writer, event, approval);
}

void ApprovalService::publish(const Approval& approval) const {
  ApprovalEvent event{.id = approval.id,
                      .state = approval.state,
                      .revision = approval.revision,
                      .role = approval.role,
                      .is_task = approval.is_task(),
                      .requester = approval.requester.key,
                      .groups = {},
                      .excluded = approval.requester.excluded,
                      .excluded_groups = approval.requester.excluded_groups};
  for (const ApproverFactor& factor : approval.factors)
    for (const ApproverGroup& group : factor.groups) event.groups.push_back(group.id);
  parts_.events.publish(event);
  if (parts_.due_changed) parts_.due_changed();
}

}  // namespace curfew::broker
