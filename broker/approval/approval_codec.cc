#include "broker/approval/approval_codec.h"

#include <fmt/format.h>

#include "broker/attribution.h"
#include "broker/stored_attribution.h"

namespace curfew::broker {
namespace {

Json millis_or_null(const std::optional<WallTime>& time) {
  return time ? Json(to_unix_millis(*time)) : Json(nullptr);
}

std::optional<WallTime> time_or_null(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return from_unix_millis(value.get<std::int64_t>());
}

store::Value column(const std::optional<WallTime>& time) {
  if (!time) return std::monostate{};
  return to_unix_millis(*time);
}

// Every plain column, in a form that no two rows share.
std::string context_of(const std::string& name_space, const Approval& approval) {
  return dump_json(
      Json{"approvals", name_space, approval.id, static_cast<std::int64_t>(approval.state),
           approval.requester.key, agent_of(approval.requester.by), approval.role, approval.target,
           approval.ask, approval.key, approval.automatic, to_unix_millis(approval.created_at),
           millis_or_null(approval.due_at()), millis_or_null(approval.review_due)});
}

// ---- parts --------------------------------------------------------------------------------------

Json to_json(const std::vector<ApproverGroup>& groups) {
  Json out = Json::array();
  for (const ApproverGroup& group : groups) out.push_back({{"id", group.id}, {"name", group.name}});
  return out;
}

std::vector<ApproverGroup> groups_from(const Json& json) {
  std::vector<ApproverGroup> out;
  for (const Json& group : json)
    out.push_back({group.at("id").get<std::string>(), group.at("name").get<std::string>()});
  return out;
}

Json to_json(const ApproverFactor& factor) {
  return {
      {"name", factor.name}, {"groups", to_json(factor.groups)}, {"approvals", factor.approvals}};
}

ApproverFactor factor_from(const Json& json) {
  return {.name = json.at("name").get<std::string>(),
          .groups = groups_from(json.at("groups")),
          .approvals = json.at("approvals").get<std::int64_t>()};
}

Json to_json(const ApprovalDecision& decision) {
  return {{"by", decision.by},
          {"by_name", decision.by_name},
          {"verdict", static_cast<std::int64_t>(decision.verdict)},
          {"reason", decision.reason},
          {"at", to_unix_millis(decision.at)},
          {"digest", decision.digest},
          {"groups", decision.groups},
          {"ttl", decision.ttl.count()}};
}

ApprovalDecision decision_from(const Json& json) {
  return {.by = json.at("by").get<std::string>(),
          .by_name = json.at("by_name").get<std::string>(),
          .verdict = static_cast<Verdict>(json.at("verdict").get<std::int64_t>()),
          .reason = json.at("reason").get<std::string>(),
          .at = from_unix_millis(json.at("at").get<std::int64_t>()),
          .digest = json.at("digest").get<std::string>(),
          .groups = json.at("groups").get<std::vector<std::string>>(),
          .ttl = Millis{json.at("ttl").get<std::int64_t>()}};
}

Json to_json(const std::optional<ApprovalTask>& task) {
  if (!task) return nullptr;
  return {{"leases_max", task->leases_max},           {"statements_max", task->statements_max},
          {"duration", task->duration.count()},       {"leases_used", task->leases_used},
          {"statements_used", task->statements_used}, {"ends_at", millis_or_null(task->ends_at)}};
}

std::optional<ApprovalTask> task_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return ApprovalTask{.leases_max = json.at("leases_max").get<std::int64_t>(),
                      .statements_max = json.at("statements_max").get<std::int64_t>(),
                      .duration = Millis{json.at("duration").get<std::int64_t>()},
                      .leases_used = json.at("leases_used").get<std::int64_t>(),
                      .statements_used = json.at("statements_used").get<std::int64_t>(),
                      .ends_at = time_or_null(json.at("ends_at"))};
}

Json to_json(const ApprovalRequester& requester) {
  Json by = to_stored(requester.by);
  by["entity_id"] = requester.by.entity_id;
  return {{"by", std::move(by)},
          {"kind", requester.kind},
          {"owner", requester.owner},
          {"home", requester.home},
          {"excluded", requester.excluded},
          {"excluded_groups", requester.excluded_groups}};
}

ApprovalRequester requester_from(const Json& json, std::string key) {
  const Json& by = json.at("by");
  return {.by = attribution_from_stored(by, by.at("entity_id").get<std::string>()),
          .key = std::move(key),
          .kind = json.at("kind").get<std::string>(),
          .owner = json.at("owner").get<std::string>(),
          .home = json.at("home").get<std::string>(),
          .excluded = json.at("excluded").get<std::vector<std::string>>(),
          .excluded_groups = json.at("excluded_groups").get<std::vector<std::string>>()};
}

template <class T>
Json list_to_json(const std::vector<T>& items) {
  Json out = Json::array();
  for (const T& item : items) out.push_back(to_json(item));
  return out;
}

// ---- the whole ----------------------------------------------------------------------------------

Json body_of(const Approval& approval) {
  return {{"revision", approval.revision},
          {"operation", static_cast<int>(approval.operation)},
          {"path", approval.path},
          {"data", approval.data},
          {"hides_data", approval.hides_data},
          {"mount", approval.mount},
          {"mount_path", approval.mount_path},
          {"ttl", approval.ttl.count()},
          {"ttl_max", approval.ttl_max.count()},
          {"task", to_json(approval.task)},
          {"requester", to_json(approval.requester)},
          {"reason", approval.reason},
          {"ticket", approval.ticket},
          {"policy_version", approval.policy_version},
          {"content_digest", approval.content_digest},
          {"digest", approval.digest},
          {"evidence", approval.evidence},
          {"policies", approval.policies},
          {"rule_path", approval.rule_path},
          {"factors", list_to_json(approval.factors)},
          {"decisions", list_to_json(approval.decisions)},
          {"notify", approval.notify},
          {"escalate_to", to_json(approval.escalate_to)},
          {"shadow", approval.shadow},
          {"break_glass", approval.break_glass},
          {"expires_at", to_unix_millis(approval.expires_at)},
          {"escalate_at", millis_or_null(approval.escalate_at)},
          {"claim_window", approval.claim_window.count()},
          {"approved_at", millis_or_null(approval.approved_at)},
          {"claim_until", millis_or_null(approval.claim_until)},
          {"claimed_at", millis_or_null(approval.claimed_at)},
          {"closed_at", millis_or_null(approval.closed_at)},
          {"lease_ids", approval.lease_ids}};
}

// REQUIRES: `body` was opened from a seal.
void read_body(const Json& body, Approval& approval) {
  const auto text = [&](const char* name) { return body.at(name).get<std::string>(); };
  const auto millis = [&](const char* name) { return Millis{body.at(name).get<std::int64_t>()}; };
  approval.revision = body.at("revision").get<std::int64_t>();
  approval.operation = static_cast<Operation>(body.at("operation").get<int>());
  approval.path = text("path");
  approval.data = body.at("data");
  approval.hides_data = body.at("hides_data").get<bool>();
  approval.mount = text("mount");
  approval.mount_path = text("mount_path");
  approval.ttl = millis("ttl");
  approval.ttl_max = millis("ttl_max");
  approval.task = task_from(body.at("task"));
  approval.requester = requester_from(body.at("requester"), std::move(approval.requester.key));
  approval.reason = text("reason");
  approval.ticket = text("ticket");
  approval.policy_version = text("policy_version");
  approval.content_digest = text("content_digest");
  approval.digest = text("digest");
  approval.evidence = body.at("evidence");
  approval.policies = body.at("policies").get<std::vector<std::string>>();
  approval.rule_path = text("rule_path");
  for (const Json& factor : body.at("factors")) approval.factors.push_back(factor_from(factor));
  for (const Json& decision : body.at("decisions"))
    approval.decisions.push_back(decision_from(decision));
  approval.notify = body.at("notify").get<std::vector<std::string>>();
  approval.escalate_to = groups_from(body.at("escalate_to"));
  approval.shadow = body.at("shadow");
  approval.break_glass = body.at("break_glass").get<bool>();
  approval.expires_at = from_unix_millis(body.at("expires_at").get<std::int64_t>());
  approval.escalate_at = time_or_null(body.at("escalate_at"));
  approval.claim_window = millis("claim_window");
  approval.approved_at = time_or_null(body.at("approved_at"));
  approval.claim_until = time_or_null(body.at("claim_until"));
  approval.claimed_at = time_or_null(body.at("claimed_at"));
  approval.closed_at = time_or_null(body.at("closed_at"));
  approval.lease_ids = body.at("lease_ids").get<std::vector<std::string>>();
}

Error altered(const std::string& id) {
  return {Errc::kCorrupt,
          fmt::format("the stored approval request \"{}\" was altered outside of Curfew and is not "
                      "trusted; restore the store from a backup",
                      id)};
}

}  // namespace

Result<Approval> open_approval(const store::Barrier& barrier, const store::Row& row) {
  const auto time = [&](std::size_t at) -> Json {
    const auto value = row.integer_or_null(at);
    return value ? Json(*value) : Json(nullptr);
  };
  Approval approval;
  approval.id = row.text(0);
  approval.requester.key = row.text(2);
  approval.role = row.text(4);
  approval.target = row.text(5);
  approval.ask = row.text(6);
  approval.key = row.text(7);
  approval.automatic = row.text(8);
  approval.created_at = from_unix_millis(row.integer(9));
  approval.review_due = time_or_null(time(11));
  const std::string context =
      dump_json(Json{"approvals", barrier.name_space(), approval.id, row.integer(1), row.text(2),
                     row.text(3), row.text(4), row.text(5), row.text(6), row.text(7), row.text(8),
                     row.integer(9), time(10), time(11)});
  auto opened = barrier.open(context, row.blob(12));
  if (!opened && opened.error().code == Errc::kCorrupt) return altered(approval.id);
  if (!opened) return std::move(opened).error();
  approval.state = static_cast<ApprovalState>(row.integer(1));
  ASSIGN_OR_RETURN(const Json body, parse_json(*opened));
  read_body(body, approval);
  return approval;
}

Status insert_approval(store::Writer& writer, const store::Barrier& barrier,
                       const Approval& approval) {
  ASSIGN_OR_RETURN(
      const std::string sealed,
      barrier.seal(context_of(barrier.name_space(), approval), dump_json(body_of(approval))));
  RETURN_IF_ERROR(writer.execute(
      "INSERT INTO approvals (id, namespace, state, requester, agent, role, target, ask, "
      "request_key, automatic, created_at, due_at, review_due, sealed) VALUES ($1, $2, $3, $4, $5, "
      "$6, $7, $8, $9, $10, $11, $12, $13, $14)",
      {approval.id, barrier.name_space(), static_cast<std::int64_t>(approval.state),
       approval.requester.key, agent_of(approval.requester.by), approval.role, approval.target,
       approval.ask, approval.key, approval.automatic, to_unix_millis(approval.created_at),
       column(approval.due_at()), column(approval.review_due), store::Blob{sealed}}));
  return ok();
}

Status update_approval(store::Writer& writer, const store::Barrier& barrier,
                       const Approval& approval) {
  ASSIGN_OR_RETURN(
      const std::string sealed,
      barrier.seal(context_of(barrier.name_space(), approval), dump_json(body_of(approval))));
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      writer.execute("UPDATE approvals SET state = $1, automatic = $2, due_at = $3, review_due = "
                     "$4, request_key = $5, sealed = $6 WHERE id = $7 AND namespace = $8",
                     {static_cast<std::int64_t>(approval.state), approval.automatic,
                      column(approval.due_at()), column(approval.review_due), approval.key,
                      store::Blob{sealed}, approval.id, barrier.name_space()}));
  if (changed != 1) return Error{Errc::kNotFound, "there is no such approval request"};
  return ok();
}

}  // namespace curfew::broker
