#include "broker/approval/approval_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/attribution.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

Json time_or_null(const std::optional<WallTime>& time) {
  return time ? Json(format_rfc3339(*time)) : Json(nullptr);
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

Json human(const std::string& id, const std::string& name) {
  return {{"id", id}, {"name", name}};
}

Json requester_view(const ApprovalRequester& requester) {
  const engines::Attribution& by = requester.by;
  return {{"entity_id", by.entity_id},
          {"entity_name", by.entity_name},
          {"kind", requester.kind},
          {"agent", agent_of(by)},
          {"display_name", by.display_name},
          {"human", by.human},
          {"human_id", by.human_id},
          {"owner", requester.owner},
          {"session", by.session},
          {"trace_id", by.trace_id},
          {"sub_agent", by.sub_agent},
          {"remote_address", by.remote_address},
          {"token_accessor", by.token_accessor}};
}

Json task_view(const std::optional<ApprovalTask>& task) {
  if (!task) return nullptr;
  return {{"leases_max", task->leases_max},
          {"leases_used", task->leases_used},
          {"statements_max", task->statements_max > 0 ? task->statements_max : task->leases_max},
          {"statements_used", task->statements_used},
          {"duration", seconds(task->duration)},
          {"ends_at", time_or_null(task->ends_at)}};
}

Json groups_view(const std::vector<ApproverGroup>& groups) {
  Json out = Json::array();
  for (const ApproverGroup& group : groups) out.push_back({{"id", group.id}, {"name", group.name}});
  return out;
}

Json factor_view(const FactorTally& tally) {
  Json by = Json::array();
  for (const ApprovalDecision* decision : tally.by)
    by.push_back(human(decision->by, decision->by_name));
  return {{"name", tally.factor->name},
          {"groups", groups_view(tally.factor->groups)},
          {"approvals", tally.factor->approvals},
          {"given", tally.by.size()},
          {"by", std::move(by)},
          {"satisfied", tally.is_satisfied()}};
}

Json decision_view(const Approval& approval, const ApprovalDecision& decision) {
  Json out = {{"by", human(decision.by, decision.by_name)},
              {"verdict", verdict_name(decision.verdict)},
              {"reason", decision.reason},
              {"at", format_rfc3339(decision.at)},
              {"digest", decision.digest},
              {"counts", decision.digest == approval.digest}};
  if (decision.ttl > Millis{0}) out["ttl"] = seconds(decision.ttl);
  return out;
}

// Of data that nobody is shown, the names alone.
Json parameters_view(const Approval& approval) {
  if (!approval.hides_data) return approval.data;
  Json out = Json::object();
  for (const auto& [name, value] : approval.data.items()) out[name] = "(not shown)";
  return out;
}

}  // namespace

void hide_from_requester(Json& view) {
  const auto evidence = view.find("evidence");
  if (evidence != view.end() && evidence->is_object()) evidence->erase("rehearsal");
}

std::string etag_of(const Approval& approval) {
  return fmt::format("\"{}-{}\"", approval.revision,
                     std::string_view(approval.digest).substr(kDigestPrefix.size(), 16));
}

Json to_summary(const Approval& approval, const std::vector<FactorTally>& tallies) {
  Json factors = Json::array();
  for (const FactorTally& tally : tallies) factors.push_back(factor_view(tally));
  Json decisions = Json::array();
  for (const ApprovalDecision& decision : approval.decisions)
    decisions.push_back(decision_view(approval, decision));
  Json break_glass = false;
  if (approval.break_glass)
    break_glass = {{"review_due", time_or_null(approval.review_due)},
                   {"reviewed", !approval.review_due.has_value()}};
  Json automatic = nullptr;
  if (!approval.automatic.empty())
    automatic = {{"rule", approval.automatic.substr(0, approval.automatic.find('@'))},
                 {"version", approval.policy_version}};
  return {{"id", approval.id},
          {"kind", approval.is_task() ? "task" : "access"},
          {"state", approval_state_name(approval.state)},
          {"revision", approval.revision},
          {"digest", approval.digest},
          {"path", approval.path},
          {"operation", operation_name(approval.operation)},
          {"mount", approval.mount_path},
          {"role", approval.role},
          {"target", approval.target},
          {"ttl", seconds(approval.ttl)},
          {"ttl_max", seconds(approval.ttl_max)},
          {"requester", requester_view(approval.requester)},
          {"claims_of_agent",
           {{"purpose", approval.requester.by.purpose},
            {"reason", approval.reason},
            {"ticket", approval.ticket}}},
          {"task", task_view(approval.task)},
          {"created_at", format_rfc3339(approval.created_at)},
          {"expires_at", format_rfc3339(approval.expires_at)},
          {"escalate_at", time_or_null(approval.escalate_at)},
          {"escalate_to", groups_view(approval.escalate_to)},
          {"escalated", std::any_of(approval.decisions.begin(), approval.decisions.end(),
                                    [](const ApprovalDecision& decision) {
                                      return decision.verdict == Verdict::kEscalate;
                                    })},
          {"approved_at", time_or_null(approval.approved_at)},
          {"claim_until", time_or_null(approval.claim_until)},
          {"claimed_at", time_or_null(approval.claimed_at)},
          {"closed_at", time_or_null(approval.closed_at)},
          {"factors", std::move(factors)},
          {"decisions", std::move(decisions)},
          {"lease_ids", approval.lease_ids},
          {"policies", approval.policies},
          {"rule_path", approval.rule_path},
          {"policy_version", approval.policy_version},
          {"automatic", std::move(automatic)},
          {"shadow", approval.shadow},
          {"break_glass", std::move(break_glass)}};
}

Json to_api(const Approval& approval, const std::vector<FactorTally>& tallies) {
  Json out = to_summary(approval, tallies);
  out["parameters"] = parameters_view(approval);
  out["evidence"] = approval.evidence;
  return out;
}

}  // namespace curfew::broker
