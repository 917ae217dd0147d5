#include "broker/reconcile/reconciler.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

// How long a request waits for its report; after that the work goes on by itself.
constexpr Millis kWait = Seconds{20};

class ReconcileRoutes {
 public:
  explicit ReconcileRoutes(const SystemParts& parts) : reconciler_(parts.reconciler) {}

  Result<Response> run(const BackendCall& call) const {
    const Fields fields(call.request.data);
    Reconciler::Request request;
    ASSIGN_OR_RETURN(request.mount, fields.text_or("mount", ""));
    ASSIGN_OR_RETURN(request.target, fields.text_or("target", ""));
    ASSIGN_OR_RETURN(const bool repair, fields.boolean_or("repair", false));
    ASSIGN_OR_RETURN(request.with_foreign, fields.boolean_or("foreign", false));
    if (repair) request.repair = Repair::kAll;
    ASSIGN_OR_RETURN(const auto report, reconciler_.run(std::move(request), kWait));
    if (report == nullptr)
      return Response{.status = 202,
                      .data = {{"running", true}},
                      .warnings = {"the comparison goes on; sys/reconcile has its report when it "
                                   "has ended"}};
    return shown(report.get(), false);
  }

  Result<Response> last(const BackendCall&) const {
    const bool running = reconciler_.is_running();
    return shown(reconciler_.last().get(), running);
  }

 private:
  static Response shown(const ReconcileReport* report, bool running) {
    Json data = report == nullptr ? Json::object() : report->to_json();
    data["running"] = running;
    return Response{.data = std::move(data)};
  }

  Reconciler& reconciler_;
};

}  // namespace

void add_reconcile_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<ReconcileRoutes>(parts);
  add_route(routes,
            {.pattern = "reconcile",
             .summary = "Compares the roles in the targets with the leases; a read gives the last "
                        "report.",
             .fields = {{"mount", FieldType::kText, "The path of one mount; all by default."},
                        {"target", FieldType::kText, "The name of one target; all by default."},
                        {"repair", FieldType::kBoolean,
                         "Put right what can be; by default it is only reported."},
                        {"foreign", FieldType::kBoolean,
                         "Also report what bears the mark of another broker."}},
             .sudo = true},
            {{kUpdate, to(&ReconcileRoutes::run)}, {kRead, to(&ReconcileRoutes::last)}});
}

}  // namespace curfew::broker
