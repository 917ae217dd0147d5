#include <map>

#include "broker/system/seal_status.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {

Cluster cluster_of(const SystemParts& parts) {
  const auto id = parts.lifecycle.store_id();
  if (!id || id->empty()) return {};
  return {"curfew-" + id->substr(0, 8), *id};
}

Json seal_status_json(const SystemParts& parts, const store::SealStatus& status) {
  Json out = {{"type", store::seal_kind_name(status.kind)},
              {"initialized", status.initialized},
              {"sealed", status.sealed},
              {"t", status.threshold},
              {"n", status.shares},
              {"progress", status.progress},
              {"nonce", status.nonce},
              {"version", parts.version},
              {"migration", status.migration},
              {"recovery_seal", status.recovery},
              {"storage_type", "sqlite"}};
  if (!status.sealed) {
    Cluster cluster = cluster_of(parts);
    out["cluster_name"] = std::move(cluster.name);
    out["cluster_id"] = std::move(cluster.id);
  }
  return out;
}

namespace {

// The status code asked for in the query, or the usual one.
Result<int> code_of(const Json& query, const char* name, int usual) {
  ASSIGN_OR_RETURN(const std::int64_t code, Fields(query).integer_or(name, usual));
  if (code < 200 || code > 599)
    return Error{Errc::kInvalidArgument, std::string("bad status code for ") + name};
  return static_cast<int>(code);
}

Result<Response> health(const SystemParts& parts, const BackendCall& call) {
  const Json& query = call.request.data;
  ASSIGN_OR_RETURN(const auto status, parts.lifecycle.status());
  const bool serving = parts.lifecycle.is_serving();
  Response response{.layout = Layout::kBare};
  if (!status.initialized) {
    ASSIGN_OR_RETURN(response.status, code_of(query, "uninitcode", 501));
  } else if (!serving) {
    ASSIGN_OR_RETURN(response.status, code_of(query, "sealedcode", 503));
  } else {
    ASSIGN_OR_RETURN(response.status, code_of(query, "activecode", 200));
  }
  const char* replication = serving ? "disabled" : "unknown";
  response.data = {{"initialized", status.initialized},
                   {"sealed", !serving},
                   {"standby", !serving},
                   {"performance_standby", false},
                   {"replication_performance_mode", replication},
                   {"replication_dr_mode", replication},
                   {"server_time_utc", to_unix_seconds(call.now)},
                   {"version", parts.version}};
  if (serving) {
    Cluster cluster = cluster_of(parts);
    response.data["cluster_name"] = std::move(cluster.name);
    response.data["cluster_id"] = std::move(cluster.id);
  }
  return response;
}

Result<Response> leader() {
  return Response{.layout = Layout::kBare,
                  .data = {{"ha_enabled", false},
                           {"is_self", false},
                           {"active_time", "0001-01-01T00:00:00Z"},
                           {"leader_address", ""},
                           {"leader_cluster_address", ""},
                           {"performance_standby", false},
                           {"performance_standby_last_remote_wal", 0}}};
}

}  // namespace

void add_health_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  add_route(routes,
            {.pattern = "health",
             .summary = "Whether requests are served; the status code says it too.",
             .unauthenticated = true,
             .works_sealed = true},
            {{kRead, [parts](const BackendCall& call) { return health(parts, call); }}});
  add_route(routes,
            {.pattern = "leader",
             .summary = "Which node leads; every node serves.",
             .unauthenticated = true,
             .works_sealed = true},
            {{kRead, [](const BackendCall&) { return leader(); }}});
  add_route(routes,
            {.pattern = "internal/specs/openapi",
             .summary = "This description.",
             .unauthenticated = true,
             .works_sealed = true},
            {{kRead, [parts](const BackendCall&) -> Result<Response> {
                return Response{.layout = Layout::kBare, .data = parts.describe()};
              }}});
}

}  // namespace curfew::broker
