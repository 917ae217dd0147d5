#include <fmt/format.h>

#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

// sys/config/login-limits, sys/locked-users.
class LoginRoutes {
 public:
  explicit LoginRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read_limits(const BackendCall&) const {
    return Response{.data = to_api(parts_.login_guard.limits())};
  }

  Result<Response> write_limits(const BackendCall& call) const {
    LoginLimits limits = parts_.login_guard.limits();
    RETURN_IF_ERROR(apply_fields(call.request.data, limits));
    RETURN_IF_ERROR(parts_.login_guard.set_limits(limits));
    return Response{};
  }

  // As Vault lays it out: by namespace, by mount.
  Result<Response> list_locked(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string only,
                     Fields(call.request.data).text_or("mount_accessor", ""));
    std::map<std::string, Json> names;
    std::int64_t total = 0;
    for (const LoginGuard::Locked& locked : parts_.login_guard.locked()) {
      if (!only.empty() && locked.mount != only) continue;
      names[locked.mount].push_back(locked.name);
      ++total;
    }
    Json mounts = Json::array();
    for (const auto& [mount, of_mount] : names)
      mounts.push_back({{"mount_accessor", mount},
                        {"counts", of_mount.size()},
                        {"alias_identifiers", of_mount}});
    Json here = {{"namespace_id", "root"},
                 {"namespace_path", ""},
                 {"counts", total},
                 {"mount_accessors", std::move(mounts)}};
    return Response{.data = {{"by_namespace", {std::move(here)}}, {"total", total}}};
  }

  Result<Response> unlock(const BackendCall& call) const {
    parts_.login_guard.unlock(call.param("mount_accessor"), call.param("alias"));
    return Response{};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_login_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  using F = FieldType;
  const auto to = binder<LoginRoutes>(parts);
  add_route(
      routes,
      {.pattern = "config/login-limits",
       .summary = "How often somebody may try to log in; 0: without limit.",
       .fields = {{"attempts_per_address", F::kInteger, "From one address in 10 seconds (600)."},
                  {"attempts_per_name", F::kInteger, "As one name in 10 seconds (600)."},
                  {"failures_per_address", F::kInteger,
                   "Failures from one address a minute (300)."},
                  {"failures_per_name", F::kInteger,
                   "Failures as one name from one address a minute (20)."}},
       .sudo = true},
      {{kRead, to(&LoginRoutes::read_limits)}, {kUpdate, to(&LoginRoutes::write_limits)}});
  add_route(routes,
            {.pattern = "locked-users",
             .summary = "The names that are shut now after failed logins.",
             .fields = {{"mount_accessor", F::kText, "Only those of this auth method."}}},
            {{kRead, to(&LoginRoutes::list_locked)}});
  add_route(routes,
            {.pattern = "locked-users/{mount_accessor}/unlock/{alias...}",
             .summary = "Lets a name log in again."},
            {{kUpdate, to(&LoginRoutes::unlock)}});
}

}  // namespace curfew::broker
