#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/approval/approval_view.h"
#include "broker/attribution.h"
#include "broker/system/system_parts.h"

// sys/control-group and sys/config/control-group: the approval queue as clients of Vault Enterprise
// and plain polling clients know it.
namespace curfew::broker {
namespace {

bool is_approved(const Approval& approval) {
  return approval.state == ApprovalState::kApproved || approval.state == ApprovalState::kClaimed;
}

class ControlGroupRoutes {
 public:
  explicit ControlGroupRoutes(const SystemParts& parts) : parts_(parts) {}

  // Vault's approvers know the accessor of a wrapping token, and approve what is behind it as it is
  // then.
  Result<Response> authorize(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Approval approval, of_accessor(call));
    ASSIGN_OR_RETURN(const Approval decided, parts_.approvals.decide(call.caller, parts_.place.id,
                                                                     {.id = approval.id,
                                                                      .verdict = Verdict::kApprove,
                                                                      .reason = {},
                                                                      .digest = approval.digest}));
    return Response{.data = {{"approved", is_approved(decided)}}};
  }

  // With an accessor it tells how far a request is; without one it makes one.
  Result<Response> request(const BackendCall& call) const {
    if (!Fields(call.request.data).has("accessor")) return create(call);
    ASSIGN_OR_RETURN(const Approval approval, of_accessor(call));
    return Response{.data = status_of(approval)};
  }

  Result<Response> status(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto approval, parts_.approvals.get(call.param("id")));
    if (!approval || !parts_.approvals.may_see(*approval, call.caller, parts_.place.id))
      return Error{Errc::kNotFound, "there is no such approval request"};
    return Response{.layout = Layout::kInjected, .data = status_of(*approval)};
  }

  Result<Response> read_config(const BackendCall&) const {
    ASSIGN_OR_RETURN(const Millis max, parts_.approvals.request_ttl_max());
    return Response{.data = {{"max_ttl", std::chrono::floor<Seconds>(max).count()}}};
  }

  Result<Response> write_config(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Millis max, Fields(call.request.data).duration_or("max_ttl", Millis{0}));
    RETURN_IF_ERROR(parts_.approvals.set_request_ttl_max(max));
    return Response{};
  }

  Result<Response> remove_config(const BackendCall&) const {
    RETURN_IF_ERROR(parts_.approvals.set_request_ttl_max(Millis{0}));
    return Response{};
  }

 private:
  static Json status_of(const Approval& approval) {
    Json authorizations = Json::array();
    for (const ApprovalDecision& decision : approval.decisions)
      if ((decision.verdict == Verdict::kApprove || decision.verdict == Verdict::kNarrow) &&
          decision.digest == approval.digest)
        authorizations.push_back({{"entity_id", decision.by}, {"entity_name", decision.by_name}});
    const engines::Attribution& by = approval.requester.by;
    return {{"approved", is_approved(approval)},
            {"state", approval_state_name(approval.state)},
            {"id", approval.id},
            {"request_path", approval.path},
            {"request_operation", operation_name(approval.operation)},
            {"request_entity", {{"id", by.entity_id}, {"name", by.entity_name}}},
            {"authorizations", std::move(authorizations)},
            {"expires_at", format_rfc3339(approval.expires_at)},
            {"ttl", std::chrono::floor<Seconds>(approval.ttl).count()}};
  }

  // Whoever knows the accessor may see it.
  Result<Approval> of_accessor(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string accessor, required_text(call.request.data, "accessor"));
    ASSIGN_OR_RETURN(const auto id, parts_.wraps.promised_by(accessor));
    if (!id)
      return Error{Errc::kInvalidArgument,
                   "accessor: the wrapping token that it belongs to waits for no approval"};
    ASSIGN_OR_RETURN(auto approval, parts_.approvals.get(*id));
    if (!approval) return Error{Errc::kInvalidArgument, "there is no such approval request"};
    return *std::move(approval);
  }

  // The paths of credentials for which the caller's policies ask for approval.
  std::vector<std::string> guarded_paths(const BackendCall& call) const {
    std::vector<std::string> out;
    const Json rules = call.caller->rights->resultant();
    if (!rules.contains("exact_paths")) return out;
    for (const auto& [path, rule] : rules["exact_paths"].items()) {
      if (!call.caller->rights->approval({.operation = Operation::kRead, .path = path})) continue;
      const auto routed = parts_.mounts.route(path);
      if (!routed.mount) continue;
      const auto match = routed.mount->engine().routes().match(routed.rest, Operation::kRead);
      if (match && match->route->issues_lease) out.push_back(path);
    }
    return out;
  }

  // What is to be read: the path that either of two members holds; else, where they name things in
  // the client's own words, the only path of the caller's that it can be.
  Result<std::string> path_of(const BackendCall& call) const {
    std::vector<std::string> words;
    for (const char* name : {"target_resource", "operation"}) {
      ASSIGN_OR_RETURN(std::string text, Fields(call.request.data).text_or(name, ""));
      if (text.starts_with("/v1/")) text.erase(0, 4);
      if (text.find('/') != std::string::npos && parts_.mounts.route(text).mount) return text;
      words.push_back(std::move(text));
    }
    std::vector<std::string> paths = guarded_paths(call);
    const auto named = std::find_if(paths.begin(), paths.end(), [&](const std::string& path) {
      return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
        return !word.empty() && path.ends_with('/' + word);
      });
    });
    if (named != paths.end()) return *named;
    if (paths.size() == 1) return paths.front();
    return Error{
        Errc::kInvalidArgument,
        fmt::format("target_resource: expected the path whose credential is wanted; \"{}\" "
                    "is none{}",
                    clean_text(words.front(), 64),
                    paths.empty() ? std::string()
                                  : fmt::format(". Yours are: {}", fmt::join(paths, ", ")))};
  }

  Result<Response> create(const BackendCall& call) const {
    const Fields fields(call.request.data);
    Request asked;
    ASSIGN_OR_RETURN(asked.path, path_of(call));
    ApprovalWishes wishes;
    ASSIGN_OR_RETURN(const std::int64_t minutes,
                     fields.integer_or("requested_duration_minutes", 0));
    if (minutes < 0 || minutes > 60 * 24 * 365)
      return Error{Errc::kInvalidArgument,
                   "requested_duration_minutes: expected a number of minutes"};
    wishes.ttl = std::chrono::minutes{minutes};
    ASSIGN_OR_RETURN(wishes.reason, fields.text_or("justification", ""));
    wishes.idempotency_key = call.request.idempotency_key;
    ASSIGN_OR_RETURN(const Approval approval,
                     parts_.ask_approval(call, std::move(asked), std::move(wishes)));
    Response response;
    response.layout = Layout::kInjected;
    response.data = status_of(approval);
    response.request_id = approval.id;  // such clients go on with the "request_id" of the answer
    response.approval = {{"id", approval.id}, {"digest", approval.digest}};
    return response;
  }

  const SystemParts parts_;
};

}  // namespace

void add_control_group_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<ControlGroupRoutes>(parts);
  const FieldSpec accessor{"accessor", FieldType::kText, "Of the wrapping token.", true};
  add_route(routes,
            {.pattern = "control-group/authorize",
             .summary = "Approves the request behind a wrapping token.",
             .fields = {accessor}},
            {{kUpdate, to(&ControlGroupRoutes::authorize)}});
  add_route(
      routes,
      {.pattern = "control-group/request",
       .summary = "How far a request is; without an accessor, asks for one.",
       .fields = {{"accessor", FieldType::kText, "Of the wrapping token."},
                  {"target_resource", FieldType::kText, "The path that is wanted."},
                  {"justification", FieldType::kText, "Why."},
                  {"requested_duration_minutes", FieldType::kInteger, "How long it is needed."}}},
      {{kUpdate, to(&ControlGroupRoutes::request)}});
  add_route(routes, {.pattern = "control-group/request/{id}", .summary = "How far a request is."},
            {{kRead, to(&ControlGroupRoutes::status)}});
  add_route(routes,
            {.pattern = "config/control-group",
             .summary = "How long any request for approval waits at the most.",
             .fields = {{"max_ttl", FieldType::kDuration, "Whatever policies say; 0: no limit."}}},
            {{kRead, to(&ControlGroupRoutes::read_config)},
             {kUpdate, to(&ControlGroupRoutes::write_config)},
             {kDelete, to(&ControlGroupRoutes::remove_config)}});
}

}  // namespace curfew::broker
