#include "broker/approval/approval_service.h"

// What a policy asks for, as a number that changes when it does.
namespace curfew::broker {
namespace {

Json to_json(const policy::ApprovalGroups& groups) {
  return {{"names", groups.group_names}, {"ids", groups.group_ids}};
}

Json to_json(const policy::ApprovalFactor& factor) {
  return {{"name", factor.name},
          {"names", factor.group_names},
          {"ids", factor.group_ids},
          {"approvals", factor.approvals}};
}

}  // namespace

std::string policy_version(const policy::ApprovalDemand& demand) {
  const policy::ApprovalRule& rule = demand.rule;
  Json factors = Json::array();
  for (const policy::ApprovalFactor& factor : rule.factors) factors.push_back(to_json(factor));
  Json automatic = Json::array();
  for (const policy::AutoApproval& one : rule.automatic)
    automatic.push_back({one.name, one.max_ttl.count(), one.per_hour, one.shadow});
  Json task = nullptr;
  if (rule.task)
    task = {rule.task->leases_max, rule.task->statements_max, rule.task->duration_max.count()};
  return digest_of(Json{{"path", demand.path},
                        {"factors", std::move(factors)},
                        {"ttl", rule.ttl.count()},
                        {"claim_window", rule.claim_window.count()},
                        {"default_ttl", rule.default_ttl.count()},
                        {"max_ttl", rule.max_ttl.count()},
                        {"reason", rule.reason_required},
                        {"ticket", rule.ticket_required},
                        {"statement", rule.statement_required},
                        {"automatic", std::move(automatic)},
                        {"break_glass", rule.break_glass ? to_json(*rule.break_glass) : Json()},
                        {"task", std::move(task)}});
}

}  // namespace curfew::broker
