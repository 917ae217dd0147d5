#include "broker/tenant/nowhere.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace curfew::broker {
namespace {

BackendRoutes make_routes() {
  std::vector<BackendRoutes::Route> routes;
  routes.push_back(
      {{.pattern = "internal/ui/mounts", .summary = "The mounts.", .unauthenticated = true},
       {{Operation::kRead, [](const BackendCall&) -> Result<Response> {
           return Response{.data = {{"auth", Json::object()}, {"secret", Json::object()}}};
         }}}});
  routes.push_back({{.pattern = "internal/ui/mounts/{path...}",
                     .summary = "The mount that a path is in.",
                     .unauthenticated = true},
                    {{Operation::kRead, [](const BackendCall& call) -> Result<Response> {
                        const std::string path = call.param("path");
                        return out_of_reach(path.ends_with('/') ? path : path + '/');
                      }}}});
  return BackendRoutes(std::move(routes));
}

}  // namespace

Error out_of_reach(const std::string& path) {
  return {Errc::kPermissionDenied,
          fmt::format("preflight capability check returned 403, please ensure client's policies "
                      "grant access to path \"{}\"",
                      path)};
}

Nowhere::Nowhere() : routes_(make_routes()) {}

}  // namespace curfew::broker
