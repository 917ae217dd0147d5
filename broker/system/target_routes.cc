#include "base/duration.h"
#include "broker/system/system_parts.h"
#include "engines/inventory.h"

namespace curfew::broker {
namespace {

// Of every target that is configured. One whose configuration cannot be used is left out: its
// leases say what is wrong.
Result<Json> connections_of(const MountTable& mounts) {
  Json out = Json::array();
  for (const MountEntry& entry : mounts.list()) {
    const auto mount = mounts.by_accessor(entry.accessor);
    engines::Inventory* inventory = mount ? engines::inventory_of(mount->engine()) : nullptr;
    if (inventory == nullptr) continue;
    ASSIGN_OR_RETURN(const auto names, inventory->resources());
    for (const std::string& target : names) {
      const auto connections = inventory->connections(target);
      if (!connections) continue;
      out.push_back({{"mount", entry.path},
                     {"target", target},
                     {"max", connections->max},
                     {"open", connections->open},
                     {"in_use", connections->in_use},
                     {"waiting", connections->waiting}});
    }
  }
  return out;
}

}  // namespace

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
    ASSIGN_OR_RETURN(Json connections, connections_of(parts.mounts));
    return Response{
        .data = {{"unreachable", std::move(targets)}, {"connections", std::move(connections)}}};
  };
  add_route(
      routes,
      {.pattern = "targets",
       .summary =
           "Targets that do not answer, whose leases wait until they do; connections to each.",
       .sudo = true},
      {{Operation::kRead, read}});
}

}  // namespace curfew::broker
