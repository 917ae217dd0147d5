#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/encoding.h"
#include "broker/approval/approval_view.h"
#include "broker/attribution.h"
#include "broker/system/system_parts.h"

// sys/approvals: the approval queue.
namespace curfew::broker {
namespace {

constexpr std::int64_t kLimitDefault = 50;
constexpr std::int64_t kLimitMax = 200;
constexpr std::size_t kPage = 200;
constexpr int kPagesMax = 60;  // looked through for one list
constexpr std::size_t kEarlierMax = 10;
constexpr Millis kWaitDefault = Seconds{50};
constexpr Millis kWaitMax = Seconds{50};
// Then a listener comes again, and what it may see is looked at anew.
constexpr Millis kStreamMax = std::chrono::minutes{10};

Error not_found() {
  return {Errc::kNotFound, "there is no such approval request"};
}

// A capability of operations that a request may name: "read", "create", …
Result<Operation> operation_of(const std::string& name) {
  for (const Operation operation : {Operation::kRead, Operation::kCreate, Operation::kUpdate,
                                    Operation::kPatch, Operation::kDelete, Operation::kList})
    if (name == operation_name(operation)) return operation;
  return Error{Errc::kInvalidArgument,
               "operation: expected read, create, update, patch, delete or list"};
}

Result<std::optional<ApprovalTask>> task_of(const Json& data) {
  ASSIGN_OR_RETURN(const auto given, Fields(data).object("task"));
  if (!given) return std::optional<ApprovalTask>();
  const Fields fields(*given);
  ApprovalTask task;
  ASSIGN_OR_RETURN(task.leases_max, fields.integer_or("leases", 1));
  ASSIGN_OR_RETURN(task.statements_max, fields.integer_or("statements", 0));
  ASSIGN_OR_RETURN(task.duration, fields.duration_or("duration", Millis{0}));
  if (task.duration == Millis{0})
    return Error{Errc::kInvalidArgument, "task: missing duration, such as \"1h\""};
  return std::optional(task);
}

// Where a list goes on, in a form that says nothing.
std::string to_cursor(const Approval& approval) {
  return base64_encode(fmt::format("{} {}", to_unix_millis(approval.created_at), approval.id));
}

Result<std::optional<ApprovalCursor>> cursor_of(const std::string& text) {
  if (text.empty()) return std::optional<ApprovalCursor>();
  const auto decoded = base64_decode(text);
  const auto space = decoded ? decoded->find(' ') : std::string::npos;
  if (space == std::string::npos || space == 0 || space > 15 ||
      decoded->find_first_not_of("0123456789") < space)
    return Error{Errc::kInvalidArgument, "after: expected the \"next\" of an earlier list"};
  return std::optional(ApprovalCursor{from_unix_millis(std::stoll(decoded->substr(0, space))),
                                      decoded->substr(space + 1)});
}

class ApprovalRoutes {
 public:
  explicit ApprovalRoutes(const SystemParts& parts) : parts_(parts) {}

  // ---- asking ---------------------------------------------------------------------------------

  Result<Response> create(const BackendCall& call) const {
    const Json& data = call.request.data;
    const Fields fields(data);
    Request asked;
    ASSIGN_OR_RETURN(asked.path, required_text(data, "path"));
    ASSIGN_OR_RETURN(const std::string operation, fields.text_or("operation", "read"));
    ASSIGN_OR_RETURN(asked.operation, operation_of(operation));
    ASSIGN_OR_RETURN(const auto parameters, fields.object("parameters"));
    if (parameters) asked.data = *parameters;
    for (const char* name : {"statement", "statement_parameters"})
      if (data.contains(name) && !data[name].is_null()) asked.data[name] = data[name];
    ApprovalWishes wishes;
    ASSIGN_OR_RETURN(wishes.ttl, fields.duration_or("ttl", Millis{0}));
    ASSIGN_OR_RETURN(wishes.task, task_of(data));
    ASSIGN_OR_RETURN(wishes.reason, fields.text_or("reason", ""));
    ASSIGN_OR_RETURN(wishes.ticket, fields.text_or("ticket", ""));
    ASSIGN_OR_RETURN(wishes.idempotency_key,
                     fields.text_or("idempotency_key", call.request.idempotency_key));
    ASSIGN_OR_RETURN(wishes.break_glass, fields.boolean_or("break_glass", false));
    BackendCall as_said = call;
    ASSIGN_OR_RETURN(const std::string purpose,
                     fields.text_or("purpose", call.attribution.purpose));
    ASSIGN_OR_RETURN(const std::string session,
                     fields.text_or("session", call.attribution.session));
    as_said.attribution.purpose = clean_text(purpose, kPurposeBytesMax);
    as_said.attribution.session = clean_text(session, kSessionBytesMax);
    ASSIGN_OR_RETURN(const Approval approval,
                     parts_.ask_approval(as_said, std::move(asked), std::move(wishes)));
    return shown(call, approval);
  }

  // ---- looking --------------------------------------------------------------------------------

  Result<Response> show(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Approval approval, seen(call));
    ASSIGN_OR_RETURN(Response response, shown(call, approval));
    ASSIGN_OR_RETURN(response.data["earlier"], earlier(approval));
    return response;
  }

  Result<Response> list(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ApprovalFilter filter;
    ASSIGN_OR_RETURN(const auto states, fields.comma_list("state"));
    for (const std::string& name : states.value_or(std::vector<std::string>())) {
      const auto state = approval_state_of(name);
      if (!state)
        return Error{Errc::kInvalidArgument,
                     fmt::format("state: \"{}\" is none; expected pending, approved, claimed, "
                                 "denied, expired, cancelled, superseded, lapsed, withdrawn or "
                                 "ended",
                                 name.substr(0, 32))};
      filter.states.push_back(*state);
    }
    ASSIGN_OR_RETURN(filter.agent, fields.text_or("agent", ""));
    ASSIGN_OR_RETURN(filter.role, fields.text_or("role", ""));
    ASSIGN_OR_RETURN(filter.target, fields.text_or("target", ""));
    ASSIGN_OR_RETURN(const std::string kind, fields.text_or("kind", ""));
    ASSIGN_OR_RETURN(const bool mine, fields.boolean_or("mine", false));
    ASSIGN_OR_RETURN(const bool waiting, fields.boolean_or("waiting", false));
    ASSIGN_OR_RETURN(const std::int64_t asked, fields.integer_or("limit", kLimitDefault));
    const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(asked, 1, kLimitMax));
    ASSIGN_OR_RETURN(const std::string after, fields.text_or("after", ""));
    ASSIGN_OR_RETURN(auto cursor, cursor_of(after));
    if (mine) filter.requester = requester_key(call.caller->token, call.attribution);
    if (waiting) filter.states = {ApprovalState::kPending};
    const auto wanted = [&](const Approval& approval) {
      if (!kind.empty() && (kind == "task") != approval.is_task()) return false;
      if (!parts_.approvals.may_see(approval, call.caller, parts_.place.id)) return false;
      return !waiting || parts_.approvals.possible(approval, call.caller, parts_.place.id)
                             .at("approve")
                             .get<bool>();
    };
    Json keys = Json::array();
    Json infos = Json::object();
    Json next = nullptr;
    for (int page = 0; page < kPagesMax && keys.size() < limit; ++page) {
      ASSIGN_OR_RETURN(const auto found, parts_.approvals.store().find(filter, cursor, kPage));
      for (const Approval& approval : found) {
        cursor = ApprovalCursor{approval.created_at, approval.id};
        next = to_cursor(approval);
        if (!wanted(approval)) continue;
        Json info = to_summary(approval, parts_.approvals.tally_of(approval));
        info["can"] = parts_.approvals.possible(approval, call.caller, parts_.place.id);
        keys.push_back(approval.id);
        infos[approval.id] = std::move(info);
        if (keys.size() == limit) break;
      }
      if (found.size() < kPage && keys.size() < limit) next = nullptr;
      if (found.size() < kPage) break;
    }
    return Response{.data = {{"keys", std::move(keys)},
                             {"key_info", std::move(infos)},
                             {"next", std::move(next)}}};
  }

  // ---- waiting --------------------------------------------------------------------------------

  Result<Response> wait(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const Millis asked, fields.duration_or("timeout", kWaitDefault));
    ASSIGN_OR_RETURN(const std::int64_t revision, fields.integer_or("revision", -1));
    const Millis left = call.request.resumed ? call.request.hold_left : std::min(asked, kWaitMax);
    // Nothing is missed: what happens from here on is known, and what happened before is read.
    auto watch = parts_.approvals.events().watch(call.param("id"));
    ASSIGN_OR_RETURN(const Approval approval, seen(call));
    const bool ready =
        revision >= 0 ? approval.revision > revision : approval.state != ApprovalState::kPending;
    if (ready || left <= Millis{0}) return shown(call, approval);
    return Response{
        .hold = Hold{[watch](std::function<void()> wake) { return watch->arm(std::move(wake)); },
                     left}};
  }

  Result<Response> events(const BackendCall& call) const {
    struct Listener {
      std::string key;
      std::optional<Approver> approver;
      bool sees_all = false;
    };
    Listener listener{requester_key(call.caller->token, call.attribution),
                      {},
                      call.caller->rights->has_sudo("sys/approvals")};
    if (auto approver = approver_of(call.caller, parts_.place.id)) listener.approver = *approver;
    const auto piece_of = [listener](const ApprovalEvent& event) -> std::string {
      const auto in = [](const std::vector<std::string>& list, const std::string& text) {
        return std::find(list.begin(), list.end(), text) != list.end();
      };
      bool decides = false;
      if (listener.approver && !in(event.excluded, listener.approver->entity_id)) {
        for (const std::string& group : listener.approver->groups) {
          if (in(event.excluded_groups, group)) {
            decides = false;
            break;
          }
          decides = decides || in(event.groups, group);
        }
      }
      const bool behind = listener.approver && in(event.excluded, listener.approver->entity_id);
      if (!decides && !behind && event.requester != listener.key && !listener.sees_all) return {};
      const Json data = {{"id", event.id},
                         {"state", approval_state_name(event.state)},
                         {"revision", event.revision},
                         {"role", event.role},
                         {"kind", event.is_task ? "task" : "access"},
                         {"waiting", decides && event.state == ApprovalState::kPending}};
      return "event: approval\ndata: " + dump_json(data) + "\n\n";
    };
    Millis time = kStreamMax;
    if (const auto& end = call.caller->token.expires_at)
      time = std::clamp<Millis>(*end - call.now, Seconds{1}, kStreamMax);
    Stream stream{
        .content_type = "text/event-stream",
        .open =
            [events = parts_.approvals.events().shared_from_this(), piece_of](auto send, auto) {
              send("retry: 2000\nevent: hello\ndata: {}\n\n");
              return events->listen([piece_of, send](const ApprovalEvent& event) {
                std::string piece = piece_of(event);
                if (!piece.empty()) send(std::move(piece));
              });
            },
        .heartbeat = ":\n\n",
        .time = time};
    return Response{.stream = std::make_shared<const Stream>(std::move(stream))};
  }

  // ---- deciding -------------------------------------------------------------------------------

  template <Verdict kVerdict>
  Result<Response> decide(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ApprovalService::Deciding deciding{.id = call.param("id"), .verdict = kVerdict};
    ASSIGN_OR_RETURN(const std::string text, fields.text_or("text", ""));
    ASSIGN_OR_RETURN(deciding.reason, fields.text_or("reason", text));
    ASSIGN_OR_RETURN(deciding.digest, fields.text_or("digest", ""));
    ASSIGN_OR_RETURN(deciding.ttl, fields.duration_or("ttl", Millis{0}));
    if (deciding.digest.empty() && !call.request.if_match.empty()) {
      ASSIGN_OR_RETURN(const Approval approval, seen(call));
      if (call.request.if_match != etag_of(approval))
        return Error{Errc::kPreconditionFailed,
                     "the approval request has changed since you have seen it: look at it again"};
      deciding.digest = approval.digest;
    }
    ASSIGN_OR_RETURN(const Approval approval,
                     parts_.approvals.decide(call.caller, parts_.place.id, deciding));
    parts_.wake_reaper();
    return shown(call, approval);
  }

  Result<Response> claim(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Approval approval, seen(call));
    return parts_.claim_approval(call, approval, false);
  }

 private:
  Result<Approval> seen(const BackendCall& call) const {
    ASSIGN_OR_RETURN(auto found, parts_.approvals.get(call.param("id")));
    if (!found || !parts_.approvals.may_see(*found, call.caller, parts_.place.id))
      return not_found();
    return *std::move(found);
  }

  Result<Response> shown(const BackendCall& call, const Approval& approval) const {
    Response response;
    response.data = to_api(approval, parts_.approvals.tally_of(approval));
    if (parts_.approvals.is_behind(approval, call.caller)) hide_from_requester(response.data);
    response.data["can"] = parts_.approvals.possible(approval, call.caller, parts_.place.id);
    response.approval = {{"id", approval.id},
                         {"digest", approval.digest},
                         {"state", approval_state_name(approval.state)}};
    if (call.request.answer_headers != nullptr)
      call.request.answer_headers->push_back({"ETag", etag_of(approval)});
    return response;
  }

  Result<Json> earlier(const Approval& approval) const {
    ASSIGN_OR_RETURN(const auto found,
                     parts_.approvals.store().find({.requester = approval.requester.key},
                                                   ApprovalCursor{approval.created_at, approval.id},
                                                   kEarlierMax));
    Json out = Json::array();
    for (const Approval& before : found)
      out.push_back({{"id", before.id},
                     {"state", approval_state_name(before.state)},
                     {"path", before.path},
                     {"created_at", format_rfc3339(before.created_at)}});
    return out;
  }

  const SystemParts parts_;
};

void add_decisions(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<ApprovalRoutes>(parts);
  const FieldSpec reason{"reason", FieldType::kText, "Why; whoever asked reads it."};
  const FieldSpec digest{"digest", FieldType::kText,
                         "Of the request as it was seen; or its ETag as If-Match."};
  const FieldSpec ttl{"ttl", FieldType::kDuration, "A shorter time to live."};
  const auto add = [&](const char* name, const char* summary, std::vector<FieldSpec> fields,
                       auto handler) {
    add_route(routes,
              {.pattern = fmt::format("approvals/{{id}}/{}", name),
               .summary = summary,
               .fields = std::move(fields)},
              {{kUpdate, to(handler)}});
  };
  using Routes = ApprovalRoutes;
  add("approve", "Approves what was seen.", {digest, reason}, &Routes::decide<Verdict::kApprove>);
  add("deny", "Denies it.", {reason}, &Routes::decide<Verdict::kDeny>);
  add("narrow", "Approves less: a shorter time. Others have to approve again.",
      {ttl, digest, reason}, &Routes::decide<Verdict::kNarrow>);
  add("cancel", "Takes it back, or ends a task; for whoever asked.", {reason},
      &Routes::decide<Verdict::kCancel>);
  add("withdraw", "Takes an approval back; ends its leases.", {reason},
      &Routes::decide<Verdict::kWithdraw>);
  add("comment", "Says something that decides nothing.", {reason},
      &Routes::decide<Verdict::kComment>);
  add("review", "Says that a break glass was looked at afterwards.", {reason},
      &Routes::decide<Verdict::kReview>);
  add("claim", "Makes the approved request; answers as that would.", {}, &Routes::claim);
}

}  // namespace

void add_approval_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<ApprovalRoutes>(parts);
  add_route(
      routes,
      {.pattern = "approvals",
       .summary = "Requests that people have to approve.",
       .fields = {{"path", FieldType::kText, "Of the request that is to be made.", true},
                  {"operation", FieldType::kText, "Of that request; read unless it is said."},
                  {"parameters", FieldType::kMap, "Of that request."},
                  {"ttl", FieldType::kDuration, "How long its lease shall live."},
                  {"reason", FieldType::kText, "Why; approvers read it."},
                  {"ticket", FieldType::kText, "What the work is booked on."},
                  {"purpose", FieldType::kText, "In the place of X-Curfew-Purpose."},
                  {"session", FieldType::kText, "In the place of X-Curfew-Session."},
                  {"statement", FieldType::kText, "The one SQL statement that is to be run."},
                  {"statement_parameters", FieldType::kList, "Its parameters."},
                  {"task", FieldType::kMap,
                   "{leases, statements, duration}: one approval for all."},
                  {"idempotency_key", FieldType::kText, "A repetition with it is no new request."},
                  {"break_glass", FieldType::kBoolean, "Go ahead alone, and answer for it."}}},
      {{kUpdate, to(&ApprovalRoutes::create)},
       {kList, to(&ApprovalRoutes::list)},
       {kRead, to(&ApprovalRoutes::list)}});
  add_route(routes,
            {.pattern = "approvals/events",
             .summary = "What changes, as it happens (text/event-stream)."},
            {{kRead, to(&ApprovalRoutes::events)}});
  add_route(routes, {.pattern = "approvals/{id}", .summary = "One of them."},
            {{kRead, to(&ApprovalRoutes::show)}});
  add_route(routes,
            {.pattern = "approvals/{id}/wait",
             .summary = "Answers once it is decided, or the time is over.",
             .fields = {{"timeout", FieldType::kDuration, "At most 50s."},
                        {"revision", FieldType::kInteger, "Answer once it is beyond this one."}}},
            {{kRead, to(&ApprovalRoutes::wait)}});
  add_decisions(parts, routes);
}

}  // namespace curfew::broker
