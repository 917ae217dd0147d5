#include "broker/system/system_backend.h"

namespace curfew::broker {
namespace {

// What is the whole server's affair has no place in a namespace below the first.
bool belongs_to_server(const BackendRoutes::Route& route) {
  if (route.works_sealed) return true;
  const auto begins = [&](std::string_view path) {
    return route.pattern == path ||
           (route.pattern.starts_with(path) && route.pattern[path.size()] == '/');
  };
  return begins("seal") || begins("clock") || begins("rekey") || begins("rekey-recovery-key") ||
         begins("generate-root") || begins("migrate-seal") || begins("internal/counters");
}

// Who has no token is not told that the namespace exists.
void confine(RouteList& routes) {
  for (BackendRoutes::Route& route : routes) {
    if (route.pattern != "internal/specs/openapi") continue;
    route.works_sealed = false;
    route.unauthenticated = false;
  }
  std::erase_if(routes, belongs_to_server);
}

BackendRoutes all_routes(const SystemParts& parts) {
  RouteList routes;
  add_seal_routes(parts, routes);
  add_rekey_routes(parts, routes);
  add_root_routes(parts, routes);
  add_health_routes(parts, routes);
  add_metrics_routes(parts, routes);
  // Before the mounts' general route, which would take sys/mounts/auth/ for mounts of engines.
  add_auth_routes(parts, routes);
  add_namespace_routes(parts, routes);
  add_mount_routes(parts, routes);
  add_login_routes(parts, routes);
  add_ui_routes(parts, routes);
  add_policy_routes(parts, routes);
  add_password_policy_routes(parts, routes);
  add_capability_routes(parts, routes);
  add_lease_routes(parts, routes);
  add_quota_routes(parts, routes);
  add_incident_routes(parts, routes);
  add_whois_routes(parts, routes);
  add_audit_routes(parts, routes);
  add_clock_routes(parts, routes);
  add_target_routes(parts, routes);
  add_observe_routes(parts, routes);
  add_reconcile_routes(parts, routes);
  add_wrapping_routes(parts, routes);
  add_approval_routes(parts, routes);
  add_control_group_routes(parts, routes);
  add_notification_routes(parts, routes);
  if (!parts.place.is_first()) confine(routes);
  return BackendRoutes(std::move(routes));
}

}  // namespace

SystemBackend::SystemBackend(SystemParts parts)
    : parts_(std::move(parts)), routes_(all_routes(parts_)) {}

void add_route(RouteList& routes, RouteSpec spec, std::map<Operation, BackendHandler> handlers) {
  routes.push_back({{std::move(spec)}, std::move(handlers)});
}

}  // namespace curfew::broker
