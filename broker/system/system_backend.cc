#include "broker/system/system_backend.h"

namespace curfew::broker {
namespace {

BackendRoutes all_routes(const SystemParts& parts) {
  RouteList routes;
  add_seal_routes(parts, routes);
  add_rekey_routes(parts, routes);
  add_root_routes(parts, routes);
  add_health_routes(parts, routes);
  add_metrics_routes(parts, routes);
  // Before the mounts' general route, which would take sys/mounts/auth/ for mounts of engines.
  add_auth_routes(parts, routes);
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
  return BackendRoutes(std::move(routes));
}

}  // namespace

SystemBackend::SystemBackend(SystemParts parts)
    : parts_(std::move(parts)), routes_(all_routes(parts_)) {}

void add_route(RouteList& routes, RouteSpec spec, std::map<Operation, BackendHandler> handlers) {
  routes.push_back({{std::move(spec)}, std::move(handlers)});
}

}  // namespace curfew::broker
