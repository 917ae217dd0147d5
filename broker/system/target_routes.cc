#include "base/duration.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {

void add_target_routes(const SystemParts& parts, RouteList& routes) {
  const BackendHandler read = [parts](const BackendCall& call) -> Result<Response> {
    Json targets = Json::array();
    for (const TargetBreakers::Open& target : parts.breakers.open()) {
      const auto space = target.group.find(' ');
      const std::string accessor = target.group.substr(0, space);
      const std::string resource = space == std::string::npos ? "" : target.group.substr(space + 1);
      std::int64_t waiting = 0;
      for (const LeaseState state : {LeaseState::kRevoking, LeaseState::kQuarantined}) {
        ASSIGN_OR_RETURN(
            const std::int64_t count,
            parts.leases.count({.mount = accessor, .resource = resource, .state = state}));
        waiting += count;
      }
      const auto mount = parts.mounts.by_accessor(accessor);
      const Millis wait = std::max(Millis{target.next_probe - parts.clock.steady()}, Millis{0});
      targets.push_back({{"mount", mount ? mount->entry.path : ""},
                         {"mount_accessor", accessor},
                         {"target", resource},
                         {"since", format_rfc3339(target.since)},
                         {"failures", target.failures},
                         {"next_attempt", format_rfc3339(call.now + wait)},
                         {"leases_waiting", waiting},
                         {"error", target.error}});
    }
    return Response{.data = {{"unreachable", std::move(targets)}}};
  };
  add_route(routes,
            {.pattern = "targets",
             .summary = "Targets that do not answer; their leases wait until they do.",
             .sudo = true},
            {{Operation::kRead, read}});
}

}  // namespace curfew::broker
