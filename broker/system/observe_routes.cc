#include <fmt/format.h>

#include "base/duration.h"
#include "broker/system/system_parts.h"
#include "engines/inventory.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kPage = 200;
constexpr std::size_t kNamedMax = 100;
constexpr Millis kTakeChargeTimeout = Seconds{20};

// Targets that this server does not touch, because another has taken charge of them.
class ObserveRoutes {
 public:
  explicit ObserveRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> status(const BackendCall& call) const {
    Json targets = Json::array();
    for (const MountEntry& entry : parts_.mounts.list()) {
      const auto mount = parts_.mounts.by_accessor(entry.accessor);
      engines::Inventory* inventory = mount ? engines::inventory_of(mount->engine()) : nullptr;
      if (inventory == nullptr) continue;
      ASSIGN_OR_RETURN(const auto names, inventory->resources());
      for (const std::string& target : names) {
        const auto observing = inventory->observing(target);
        if (!observing) continue;
        ASSIGN_OR_RETURN(Json about, describe(*mount, target, call.now));
        about["since"] = format_rfc3339(observing->since);
        about["reason"] = observing->reason;
        targets.push_back(std::move(about));
      }
    }
    return Response{.data = {{"targets", std::move(targets)}}};
  }

  Result<Response> accept(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string path, required_text(call.request.data, "mount"));
    ASSIGN_OR_RETURN(const std::string target, required_text(call.request.data, "target"));
    ASSIGN_OR_RETURN(const std::string reason, required_text(call.request.data, "reason"));
    const auto mount = parts_.mounts.at(path);
    engines::Inventory* inventory = mount ? engines::inventory_of(mount->engine()) : nullptr;
    if (inventory == nullptr)
      return Error{Errc::kInvalidArgument, fmt::format("no mount with targets at \"{}\"", path)};
    if (!inventory->observing(target))
      return Error{Errc::kInvalidArgument,
                   fmt::format("target \"{}\" of \"{}\" is not being observed; see: curfew observe "
                               "status",
                               target, mount->entry.path)};
    RETURN_IF_ERROR(
        inventory->take_charge(target, {.deadline = parts_.clock.steady() + kTakeChargeTimeout}));
    parts_.log.warn("charge of a target taken", {{"mount", mount->entry.path},
                                                 {"target", target},
                                                 {"reason", reason},
                                                 {"request", call.request.id}});
    // What waited for this need not wait for its next attempt.
    for (const LeaseState state : {LeaseState::kRevoking, LeaseState::kQuarantined})
      RETURN_IF_ERROR(parts_.leases.end_all(
          {.mount = mount->entry.accessor, .resource = target, .state = state}, call.now));
    parts_.wake_reaper();
    return Response{.data = {{"mount", mount->entry.path}, {"target", target}}};
  }

 private:
  // What would be done there if this server were in charge.
  Result<Json> describe(const Mount& mount, const std::string& target, WallTime now) const {
    Json about{{"mount", mount.entry.path}, {"accessor", mount.entry.accessor}, {"target", target}};
    std::int64_t count = 0;
    Json due = Json::array();
    std::string after;
    for (;;) {
      ASSIGN_OR_RETURN(
          const auto page,
          parts_.leases.find({.mount = mount.entry.accessor, .resource = target}, after, kPage));
      if (page.empty()) break;
      after = page.back().id;
      for (const Lease& lease : page) {
        const bool is_due = lease.state != LeaseState::kActive || lease.expires_at <= now;
        if (!is_due) continue;
        ++count;
        if (due.size() < kNamedMax) due.push_back(lease.id);
      }
    }
    about["due_leases"] = count;
    about["would_revoke"] = std::move(due);
    ASSIGN_OR_RETURN(const ReconcileReport report,
                     parts_.reconciler.look_at(mount.entry.path, target));
    about["differences"] = report.to_json();
    return about;
  }

  const SystemParts parts_;
};

}  // namespace

void add_observe_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<ObserveRoutes>(parts);
  add_route(routes,
            {.pattern = "observe",
             .summary = "Targets that are only observed, because the store was restored or copied, "
                        "and what would be revoked there.",
             .sudo = true},
            {{kRead, to(&ObserveRoutes::status)}});
  add_route(routes,
            {.pattern = "observe/accept",
             .summary = "Takes charge of an observed target; what is due there is revoked.",
             .fields = {{"mount", FieldType::kText, "The path of the mount.", true},
                        {"target", FieldType::kText, "The name of the target.", true},
                        {"reason", FieldType::kText, "Why, for the log.", true}},
             .sudo = true},
            {{kUpdate, to(&ObserveRoutes::accept)}});
}

}  // namespace curfew::broker
