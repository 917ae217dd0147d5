#include "base/duration.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

Json describe(const ClockGuard::State& state) {
  const Millis ahead{state.machine - state.believed};
  Json out = {{"machine_time", format_rfc3339(state.machine)},
              {"believed_time", format_rfc3339(state.believed)},
              {"difference_seconds", std::chrono::round<Seconds>(ahead).count()},
              {"held", state.held},
              {"noticed_at", nullptr}};
  if (state.since) out["noticed_at"] = format_rfc3339(*state.since);
  return out;
}

}  // namespace

void add_clock_routes(const SystemParts& parts, RouteList& routes) {
  const BackendHandler read = [parts](const BackendCall&) -> Result<Response> {
    return Response{.data = describe(parts.guard.state())};
  };
  const BackendHandler confirm = [parts](const BackendCall& call) -> Result<Response> {
    ASSIGN_OR_RETURN(const bool sure, Fields(call.request.data).boolean_or("confirm", false));
    if (!sure)
      return Error{Errc::kInvalidArgument,
                   "field \"confirm\": expected true, once the machine's clock is known to be "
                   "right"};
    const Json now = describe(parts.guard.confirm());
    parts.wake_reaper();
    return Response{.data = now};
  };
  add_route(routes,
            {.pattern = "clock",
             .summary = "The time that leases are judged by, and whether a jump of the machine's "
                        "clock waits to be confirmed.",
             .fields = {{"confirm", FieldType::kBoolean,
                         "true: the machine's clock is right; what is due by it is revoked."}},
             .sudo = true},
            {{Operation::kRead, read}, {Operation::kUpdate, confirm}});
}

}  // namespace curfew::broker
