#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/attribution.h"
#include "broker/lease/end_operation.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/scope.h"
#include "broker/system/lease_view.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

constexpr std::int64_t kDefaultLimit = 100;
constexpr std::int64_t kListMax = 10'000;
constexpr std::size_t kReasonBytesMax = 512;
constexpr std::size_t kIdBytesMax = 100;

Result<std::size_t> limit_asked(const Json& data) {
  ASSIGN_OR_RETURN(const std::int64_t limit, Fields(data).integer_or("limit", kDefaultLimit));
  return static_cast<std::size_t>(std::clamp<std::int64_t>(limit, 0, kListMax));
}

// Why something is done; it stands in the audit log, and people who are refused read it.
Result<std::string> reason_asked(const Json& data) {
  ASSIGN_OR_RETURN(const std::string text, Fields(data).text_or("reason", ""));
  std::string reason = clean_text(text, kReasonBytesMax);
  if (reason.empty())
    return Error{Errc::kInvalidArgument,
                 "missing reason: say why; those who are refused will read it"};
  return reason;
}

class IncidentRoutes {
 public:
  explicit IncidentRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<LeaseScope> scope_asked(const BackendCall& call) const {
    ASSIGN_OR_RETURN(LeaseScope scope, scope_of_request(call.request.data));
    RETURN_IF_ERROR(resolve_scope(scope, parts_.mounts, parts_.tokens));
    return scope;
  }

  // ---- ending ---------------------------------------------------------------------------------

  Result<Response> end(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const LeaseScope scope, scope_asked(call));
    ASSIGN_OR_RETURN(const bool dry_run, fields.boolean_or("dry_run", false));
    if (dry_run) return preview(call, scope);
    ASSIGN_OR_RETURN(const std::string reason, reason_asked(call.request.data));
    ASSIGN_OR_RETURN(const bool lock_down, fields.boolean_or("lock_down", true));
    ASSIGN_OR_RETURN(const std::string id,
                     parts_.end_operations.begin({.scope = scope,
                                                  .reason = reason,
                                                  .lock_down = lock_down,
                                                  .by = agent_of(call.attribution),
                                                  .by_accessor = call.attribution.token_accessor}));
    return Response{
        .status = 202,
        .data = {
            {"id", id}, {"scope", to_api(scope)}, {"lockdown", lock_down ? Json(id) : Json()}}};
  }

  Result<Response> preview(const BackendCall& call, const LeaseScope& scope) const {
    ASSIGN_OR_RETURN(const std::size_t limit, limit_asked(call.request.data));
    ASSIGN_OR_RETURN(const auto preview, parts_.end_operations.preview(scope, limit));
    Json counts = Json::array();
    for (const LeaseStore::Tally& tally : preview.tallies)
      counts.push_back({{"mount", mount_path(tally.mount)},
                        {"role", tally.role},
                        {"target", tally.resource},
                        {"state", lease_state_name(tally.state)},
                        {"count", tally.count}});
    return Response{.data = {{"dry_run", true},
                             {"scope", to_api(scope)},
                             {"found", preview.found},
                             {"tokens", preview.tokens},
                             {"counts", std::move(counts)},
                             {"leases", views(preview.leases, call.now)}}};
  }

  Result<Response> progress(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::size_t limit, limit_asked(call.request.data));
    ASSIGN_OR_RETURN(const auto found, parts_.end_operations.progress(call.param("id"), limit));
    if (!found) return Error{Errc::kNotFound, ""};
    ASSIGN_OR_RETURN(const auto lockdown, parts_.lockdowns.get(found->id));
    const EndTotals& totals = found->totals;
    return Response{
        .data = {{"id", found->id},
                 {"scope", to_api(found->request.scope)},
                 {"reason", found->request.reason},
                 {"by", found->request.by},
                 {"by_accessor", found->request.by_accessor},
                 {"started_at", format_rfc3339(found->started_at)},
                 {"finished", found->finished_at.has_value()},
                 {"finished_at",
                  found->finished_at ? Json(format_rfc3339(*found->finished_at)) : Json(nullptr)},
                 {"lockdown", lockdown ? Json(found->id) : Json(nullptr)},
                 {"looking", found->looking},
                 {"tokens", found->tokens},
                 {"found", totals.found},
                 {"locked_out", totals.locked_out},
                 {"ended", totals.ended},
                 {"failing", totals.failing},
                 {"receipts",
                  {{"proven", totals.proven},
                   {"never_made", totals.never_made},
                   {"given_up", totals.given_up},
                   {"warnings", totals.warnings}}},
                 {"leases", views(found->leases, call.now)}}};
  }

  Result<Response> list_operations(const BackendCall&) const {
    ASSIGN_OR_RETURN(auto ids, parts_.end_operations.list());
    if (ids.empty()) return Error{Errc::kNotFound, ""};
    return Response{.data = {{"keys", std::move(ids)}}};
  }

  // ---- lockdowns ------------------------------------------------------------------------------

  Result<Response> add_lockdown(const BackendCall& call) const {
    Lockdown lockdown;
    const auto id = call.params.find("id");
    lockdown.id = id != call.params.end() ? id->second : random_base62(parts_.random, 12);
    if (lockdown.id.size() > kIdBytesMax)
      return Error{Errc::kInvalidArgument, "the lockdown's id is longer than 100 characters"};
    ASSIGN_OR_RETURN(lockdown.scope, scope_asked(call));
    ASSIGN_OR_RETURN(lockdown.reason, reason_asked(call.request.data));
    lockdown.by = agent_of(call.attribution);
    lockdown.by_accessor = call.attribution.token_accessor;
    lockdown.since = call.now;
    RETURN_IF_ERROR(parts_.lockdowns.put(lockdown));
    return Response{.data = to_api(lockdown)};
  }

  Result<Response> read_lockdown(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto lockdown, parts_.lockdowns.get(call.param("id")));
    if (!lockdown) return Error{Errc::kNotFound, ""};
    return Response{.data = to_api(*lockdown)};
  }

  Result<Response> lift_lockdown(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const bool lifted, parts_.lockdowns.lift(call.param("id")));
    Response response;
    if (!lifted) response.warnings.push_back("there was no lockdown " + call.param("id"));
    return response;
  }

  Result<Response> list_lockdowns(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto lockdowns, parts_.lockdowns.list());
    if (lockdowns.empty()) return Error{Errc::kNotFound, ""};
    Json keys = Json::array();
    Json info = Json::object();
    for (const Lockdown& lockdown : lockdowns) {
      keys.push_back(lockdown.id);
      info[lockdown.id] = to_api(lockdown);
    }
    return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
  }

 private:
  std::string mount_path(const std::string& accessor) const {
    const auto mount = parts_.mounts.by_accessor(accessor);
    return mount ? mount->entry.path : accessor;
  }

  Json views(const std::vector<Lease>& leases, WallTime now) const {
    Json out = Json::array();
    for (const Lease& lease : leases) {
      Json item = lease_view(lease, now);
      item["mount"] = mount_path(lease.mount);
      out.push_back(std::move(item));
    }
    return out;
  }

  const SystemParts parts_;
};

}  // namespace

void add_incident_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<IncidentRoutes>(parts);
  const FieldSpec reason{"reason", FieldType::kText, "Why; those who are refused will read it."};
  const FieldSpec limit{"limit", FieldType::kInteger, "List at most so many leases."};
  auto lockdown_fields = scope_fields();
  lockdown_fields.push_back(reason);
  auto end_fields = lockdown_fields;
  end_fields.push_back({"dry_run", FieldType::kBoolean, "Only say what would be ended."});
  end_fields.push_back({"lock_down", FieldType::kBoolean,
                        "Refuse new leases in the scope until the lockdown of the same id is "
                        "lifted (the default)."});
  end_fields.push_back(limit);
  add_route(routes,
            {.pattern = "leases/end",
             .summary = "Ends all leases of a scope; lists the operations that did.",
             .fields = end_fields,
             .sudo = true},
            {{kUpdate, to(&IncidentRoutes::end)}, {kList, to(&IncidentRoutes::list_operations)}});
  add_route(routes,
            {.pattern = "leases/end/{id}",
             .summary = "How far an operation that ends leases is.",
             .fields = {limit},
             .sudo = true},
            {{kRead, to(&IncidentRoutes::progress)}});
  add_route(
      routes,
      {.pattern = "lockdown",
       .summary = "Refuses new leases and renewals in a scope; lists where they are refused.",
       .fields = lockdown_fields,
       .sudo = true},
      {{kUpdate, to(&IncidentRoutes::add_lockdown)}, {kList, to(&IncidentRoutes::list_lockdowns)}});
  add_route(routes,
            {.pattern = "lockdown/{id}",
             .summary = "A lockdown under a name of one's own; deleting lifts it.",
             .fields = lockdown_fields,
             .sudo = true},
            {{kRead, to(&IncidentRoutes::read_lockdown)},
             {kUpdate, to(&IncidentRoutes::add_lockdown)},
             {kDelete, to(&IncidentRoutes::lift_lockdown)}});
}

}  // namespace curfew::broker
