#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "broker/approval/approval_service.h"
#include "broker/audit/audit_broker.h"
#include "broker/auth/auth_mounts.h"
#include "broker/auth/login_guard.h"
#include "broker/backend.h"
#include "broker/clock_guard.h"
#include "broker/identity/authority.h"
#include "broker/lease/end_operation.h"
#include "broker/lease/lease_meters.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/target_breakers.h"
#include "broker/lifecycle.h"
#include "broker/metric.h"
#include "broker/mount/caretaker.h"
#include "broker/mount/mount_table.h"
#include "broker/mount/token_mount.h"
#include "broker/notify/notifier.h"
#include "broker/policy/password_policies.h"
#include "broker/policy/policy_store.h"
#include "broker/quota/quotas.h"
#include "broker/reconcile/reconciler.h"
#include "broker/tenant/namespace_entry.h"
#include "broker/tenant/namespaces.h"
#include "broker/token/token_service.h"
#include "broker/wrapping/wraps.h"
#include "store/keyring.h"
#include "store/sql.h"

namespace curfew::broker {

// What the paths below sys/ work on. All references outlive the backend.
struct SystemParts {
  Lifecycle& lifecycle;
  store::Database& database;
  store::Keyring& keyring;
  TokenService& tokens;
  PolicyStore& policies;
  PasswordPolicies& passwords;
  MountTable& mounts;
  TokenMount& token_mount;
  AuthMounts& auth_mounts;
  const Authorities& authorities;
  LoginGuard& login_guard;
  LeaseStore& leases;
  LeaseService& lease_service;
  Quotas& quotas;
  Lockdowns& lockdowns;
  EndOperations& end_operations;
  ApprovalService& approvals;
  Wraps& wraps;
  Notifier& notifier;
  AuditBroker& audit;
  const Caretaker& caretaker;
  Reconciler& reconciler;
  ClockGuard& guard;
  const TargetBreakers& breakers;
  const LeaseMeters& meters;
  Namespaces& namespaces;       // those below
  const NamespaceEntry& place;  // the namespace whose paths these are
  const Clock& clock;           // the guard
  Random& random;
  Log& log;
  // See RequestPipeline.
  std::function<Result<Approval>(const BackendCall&, Request, ApprovalWishes)> ask_approval;
  std::function<Result<Response>(const BackendCall&, const Approval&, bool opens_wrap)>
      claim_approval;
  std::function<Json()> describe;  // the API description
  std::function<void()> wake_reaper;
  std::string version;
  std::function<std::vector<Metric>()> edge_metrics;  // what the edge counts; may be empty
  bool open_metrics = false;                          // sys/metrics needs no token
};

// Each file of this folder adds the routes of one subject.
using RouteList = std::vector<BackendRoutes::Route>;
void add_seal_routes(const SystemParts& parts, RouteList& routes);
void add_rekey_routes(const SystemParts& parts, RouteList& routes);
void add_root_routes(const SystemParts& parts, RouteList& routes);
void add_health_routes(const SystemParts& parts, RouteList& routes);
void add_metrics_routes(const SystemParts& parts, RouteList& routes);
void add_namespace_routes(const SystemParts& parts, RouteList& routes);
void add_mount_routes(const SystemParts& parts, RouteList& routes);
void add_auth_routes(const SystemParts& parts, RouteList& routes);
void add_login_routes(const SystemParts& parts, RouteList& routes);
void add_ui_routes(const SystemParts& parts, RouteList& routes);
void add_policy_routes(const SystemParts& parts, RouteList& routes);
void add_password_policy_routes(const SystemParts& parts, RouteList& routes);
void add_capability_routes(const SystemParts& parts, RouteList& routes);
void add_lease_routes(const SystemParts& parts, RouteList& routes);
void add_quota_routes(const SystemParts& parts, RouteList& routes);
void add_clock_routes(const SystemParts& parts, RouteList& routes);
void add_target_routes(const SystemParts& parts, RouteList& routes);
void add_incident_routes(const SystemParts& parts, RouteList& routes);
void add_whois_routes(const SystemParts& parts, RouteList& routes);
void add_audit_routes(const SystemParts& parts, RouteList& routes);
void add_observe_routes(const SystemParts& parts, RouteList& routes);
void add_reconcile_routes(const SystemParts& parts, RouteList& routes);
void add_approval_routes(const SystemParts& parts, RouteList& routes);
void add_control_group_routes(const SystemParts& parts, RouteList& routes);
void add_notification_routes(const SystemParts& parts, RouteList& routes);
void add_wrapping_routes(const SystemParts& parts, RouteList& routes);

// What is counted of one namespace: its leases, targets, quotas and logins.
Result<std::vector<Metric>> namespace_metrics(const SystemParts& parts, WallTime now);

// Appends one route.
void add_route(RouteList& routes, RouteSpec spec, std::map<Operation, BackendHandler> handlers);

// Turns the member functions of a class that is made from the parts into handlers, which share one
// object.
template <class Routes>
auto binder(const SystemParts& parts) {
  return [handlers = std::make_shared<const Routes>(parts)](auto method) -> BackendHandler {
    return [handlers, method](const BackendCall& call) { return ((*handlers).*method)(call); };
  };
}

}  // namespace curfew::broker
