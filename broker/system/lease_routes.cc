#include <fmt/format.h>

#include "base/duration.h"
#include "broker/lease/scope.h"
#include "broker/system/lease_view.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kListMax = 10'000;
constexpr std::int64_t kDefaultLimit = 1'000;

// The lease id of a request: the body's wins over the path's.
Result<std::string> lease_id_of(const BackendCall& call) {
  ASSIGN_OR_RETURN(std::string id, Fields(call.request.data).text_or("lease_id", ""));
  if (id.empty()) {
    const auto it = call.params.find("lease_id");
    if (it != call.params.end()) id = it->second;
  }
  if (id.empty()) return Error{Errc::kInvalidArgument, "lease_id must be specified"};
  return id;
}

class LeaseRoutes {
 public:
  explicit LeaseRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> lookup(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string id, lease_id_of(call));
    ASSIGN_OR_RETURN(const auto lease, parts_.leases.get(id));
    if (!lease || !is_live(lease->state)) return Error{Errc::kInvalidArgument, "invalid lease"};
    return Response{.data = lease_view(*lease, call.now)};
  }

  Result<Response> receipt(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string id, lease_id_of(call));
    ASSIGN_OR_RETURN(const auto lease, parts_.leases.get(id));
    if (!lease) return Error{Errc::kInvalidArgument, "invalid lease"};
    return Response{.data = lease_view(*lease, call.now)};
  }

  Result<Response> list(const BackendCall& call) const {
    std::string prefix = call.param("prefix");
    if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
    ASSIGN_OR_RETURN(auto keys, parts_.leases.list(prefix, kListMax));
    return Response{.data = {{"keys", std::move(keys)}}};
  }

  Result<Response> renew(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string id, lease_id_of(call));
    ASSIGN_OR_RETURN(const Millis increment,
                     Fields(call.request.data).duration_or("increment", Millis{0}));
    ASSIGN_OR_RETURN(const auto lease, parts_.leases.get(id));
    std::optional<WallTime> token_end;
    if (lease && is_live(lease->state)) {
      RETURN_IF_ERROR(parts_.lockdowns.check_stored(subject_of(*lease)));
    }
    if (lease) {
      ASSIGN_OR_RETURN(token_end, parts_.tokens.end_of(lease->token));
    }
    return parts_.lease_service.renew(id, increment, token_end);
  }

  Result<Response> revoke(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string id, lease_id_of(call));
    ASSIGN_OR_RETURN(const bool sync, Fields(call.request.data).boolean_or("sync", true));
    if (sync) {
      RETURN_IF_ERROR(parts_.lease_service.revoke(id));
      return Response{};
    }
    RETURN_IF_ERROR(parts_.lease_service.revoke_later(id));
    return Response{.status = 202};
  }

  Result<Response> revoke_prefix(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const bool sync, Fields(call.request.data).boolean_or("sync", true));
    ASSIGN_OR_RETURN(const std::string prefix, prefix_asked(call));
    RETURN_IF_ERROR(parts_.lease_service.revoke_prefix(prefix, sync));
    return sync ? Response{} : Response{.status = 202};
  }

  Result<Response> revoke_force(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string prefix, prefix_asked(call));
    RETURN_IF_ERROR(parts_.lease_service.revoke_force(prefix));
    return Response{};
  }

  // A lease's id, or a folder with its final '/'.
  Result<std::string> prefix_asked(const BackendCall& call) const {
    const std::string& prefix = call.param("prefix");
    if (prefix.starts_with("auth/"))
      return Error{Errc::kInvalidArgument,
                   "tokens are not ended by prefix; use auth/token/revoke or "
                   "auth/token/revoke-accessor, which end their leases too"};
    ASSIGN_OR_RETURN(const auto exact, parts_.leases.get(prefix));
    return exact || prefix.empty() || prefix.ends_with('/') ? prefix : prefix + "/";
  }

  Result<Response> tidy(const BackendCall&) const {
    parts_.wake_reaper();
    return Response{.status = 202,
                    .warnings = {"Tidy operation successfully started. Any information from the "
                                 "operation will be printed to the server's log."}};
  }

  // "irrevocable" is what Vault's clients call a lease whose revocation has failed.
  static Status read_type(const Json& data, LeaseFilter& filter) {
    ASSIGN_OR_RETURN(const std::string type, Fields(data).text_or("type", ""));
    if (type.empty()) return ok();
    filter.failing = type == "irrevocable";
    filter.also_ended = type == "all";
    if (filter.failing || filter.also_ended) return ok();
    filter.state = lease_state_of(type);
    if (filter.state) return ok();
    return Error{Errc::kInvalidArgument,
                 "field \"type\": expected pending, active, revoking, quarantined, revoked, "
                 "abandoned, irrevocable or all"};
  }

  Result<LeaseFilter> asked(const BackendCall& call) const {
    ASSIGN_OR_RETURN(LeaseScope scope, optional_scope_of_request(call.request.data));
    RETURN_IF_ERROR(resolve_scope(scope, parts_.mounts, parts_.tokens));
    LeaseFilter filter = filter_of(scope, scope.token_id);
    RETURN_IF_ERROR(read_type(call.request.data, filter));
    return filter;
  }

  Result<Response> count(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const LeaseFilter filter, asked(call));
    ASSIGN_OR_RETURN(const auto counts, parts_.leases.count_by_mount(filter));
    std::int64_t total = 0;
    for (const auto& [mount, number] : counts) total += number;
    return Response{.data = {{"counts", counts.empty() ? Json::object() : Json(counts)},
                             {"lease_count", total}}};
  }

  Result<Response> by_state(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const LeaseFilter filter, asked(call));
    ASSIGN_OR_RETURN(const std::string text, Fields(call.request.data).text_or("limit", ""));
    ASSIGN_OR_RETURN(std::int64_t limit,
                     text == "none" ? Result<std::int64_t>(kListMax)
                                    : Fields(call.request.data).integer_or("limit", kDefaultLimit));
    limit = std::clamp<std::int64_t>(limit, 1, kListMax);
    ASSIGN_OR_RETURN(const std::string after, Fields(call.request.data).text_or("after", ""));
    ASSIGN_OR_RETURN(const auto leases,
                     parts_.leases.find(filter, after, static_cast<std::size_t>(limit)));
    Json out = Json::array();
    for (const Lease& lease : leases) {
      Json item = lease_view(lease, call.now);
      item["lease_id"] = lease.id;
      item["mount_id"] = lease.mount;
      item["error"] = lease.error;
      out.push_back(std::move(item));
    }
    const auto total = static_cast<std::int64_t>(out.size());
    // A page may be short where damaged rows were passed over: only an empty one is the last.
    return Response{.data = {{"lease_count", total},
                             {"leases", std::move(out)},
                             {"next", leases.empty() ? "" : leases.back().id}}};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_lease_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<LeaseRoutes>(parts);
  const FieldSpec id{"lease_id", FieldType::kText, "The lease."};
  const FieldSpec increment{"increment", FieldType::kDuration,
                            "New time to live, counted from now; 0 means the role's."};
  const FieldSpec sync{"sync", FieldType::kBoolean, "Wait until it is done (the default)."};
  std::vector<FieldSpec> filter_fields = scope_fields();
  filter_fields.push_back(
      {"type", FieldType::kText, "State of the leases, or \"all\"; all live ones by default."});
  auto list_fields = filter_fields;
  list_fields.push_back({"limit", FieldType::kInteger, "At most so many, or \"none\"."});
  list_fields.push_back(
      {"after", FieldType::kText, "Only those behind this id: \"next\" of a page."});
  add_route(routes, {.pattern = "leases/lookup", .summary = "Describes a lease.", .fields = {id}},
            {{kUpdate, to(&LeaseRoutes::lookup)}});
  add_route(routes,
            {.pattern = "leases/lookup/{prefix...}",
             .summary = "Lists the leases below a path.",
             .sudo = true},
            {{kList, to(&LeaseRoutes::list)}});
  add_route(routes,
            {.pattern = "leases/receipt",
             .summary = "Describes a lease, also an ended one, with the receipt of its revocation.",
             .fields = {id}},
            {{kUpdate, to(&LeaseRoutes::receipt)}, {kRead, to(&LeaseRoutes::receipt)}});
  for (const std::string base : {"leases/renew", "renew"}) {
    for (const std::string tail : {"", "/{lease_id...}"})
      add_route(routes,
                {.pattern = base + tail, .summary = "Renews a lease.", .fields = {id, increment}},
                {{kUpdate, to(&LeaseRoutes::renew)}});
  }
  for (const std::string base : {"leases/revoke", "revoke"}) {
    for (const std::string tail : {"", "/{lease_id...}"})
      add_route(routes, {.pattern = base + tail, .summary = "Ends a lease.", .fields = {id, sync}},
                {{kUpdate, to(&LeaseRoutes::revoke)}});
  }
  for (const std::string base : {"leases/revoke-prefix", "revoke-prefix"})
    add_route(routes,
              {.pattern = base + "/{prefix...}",
               .summary = "Ends all leases below a path.",
               .fields = {sync},
               .sudo = true},
              {{kUpdate, to(&LeaseRoutes::revoke_prefix)}});
  for (const std::string base : {"leases/revoke-force", "revoke-force"})
    add_route(routes,
              {.pattern = base + "/{prefix...}",
               .summary = "Ends all leases below a path; gives up those that cannot be revoked.",
               .sudo = true},
              {{kUpdate, to(&LeaseRoutes::revoke_force)}});
  add_route(
      routes,
      {.pattern = "leases/tidy", .summary = "Looks for leases that are due or have no token."},
      {{kUpdate, to(&LeaseRoutes::tidy)}});
  add_route(
      routes,
      {.pattern = "leases/count", .summary = "Counts leases by mount.", .fields = filter_fields},
      {{kRead, to(&LeaseRoutes::count)}});
  add_route(routes,
            {.pattern = "leases",
             .summary = "Lists leases by state and scope, page by page.",
             .fields = list_fields,
             .sudo = true},
            {{kRead, to(&LeaseRoutes::by_state)}});
}

}  // namespace curfew::broker
