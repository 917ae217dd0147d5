#include <fmt/format.h>

#include "broker/system/mount_tuning.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

Error unknown_mount(std::string_view path) {
  return {Errc::kInvalidArgument, fmt::format("no mount at \"{}\"", path)};
}

// The mounts that are always there, as sys/mounts lists them.
Json fixed_mounts() {
  const auto fixed = [](const char* type, const char* description) {
    MountEntry entry;
    entry.type = type;
    entry.accessor = std::string(type) + "_00000000";
    entry.description = description;
    return to_api(entry);
  };
  return {{"identity/", fixed("identity", "entities, groups and the registry of agents")},
          {"sys/", fixed("system", "system endpoints used for control, policy and debugging")}};
}

class MountRoutes {
 public:
  explicit MountRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> list(const BackendCall&) const {
    Json mounts = fixed_mounts();
    for (const MountEntry& entry : parts_.mounts.list()) mounts[entry.path] = to_api(entry);
    return Response{.layout = Layout::kInjected, .data = std::move(mounts)};
  }

  // The path of a mount may hold '/', which only the general route takes: it serves their settings
  // too.
  static std::optional<std::string> tuned_mount(const BackendCall& call) {
    const std::string& path = call.param("path");
    if (!path.ends_with("/tune")) return std::nullopt;
    return path.substr(0, path.size() - 5);
  }

  Result<Response> read(const BackendCall& call) const {
    if (const auto tuned = tuned_mount(call)) return read_tune_of(*tuned);
    const auto mount = parts_.mounts.at(call.param("path"));
    if (!mount) return unknown_mount(call.param("path"));
    return Response{.layout = Layout::kInjected, .data = to_api(mount->entry)};
  }

  Result<Response> enable(const BackendCall& call) const {
    if (const auto tuned = tuned_mount(call)) return tune_of(*tuned, call.request.data);
    const Fields fields(call.request.data);
    MountEntry entry;
    entry.path = call.param("path");
    ASSIGN_OR_RETURN(entry.type, required_text(call.request.data, "type"));
    ASSIGN_OR_RETURN(entry.description, fields.text_or("description", ""));
    ASSIGN_OR_RETURN(const auto config, fields.object("config"));
    if (config) RETURN_IF_ERROR(apply_config(*config, entry.config));
    ASSIGN_OR_RETURN(const auto options, fields.text_map("options"));
    if (options) entry.options = *options;
    if (entry.type == "kv-v1" || entry.type == "kv-v2") {
      entry.options["version"] = entry.type.substr(4);
      entry.type = "kv";
    }
    RETURN_IF_ERROR(parts_.mounts.create(std::move(entry)));
    return Response{};
  }

  Result<Response> disable(const BackendCall& call) const {
    const std::string& path = call.param("path");
    if (path.empty())
      return Error{Errc::kUnsupportedOperation, "name the mount: sys/mounts/<path>"};
    const auto mount = parts_.mounts.at(path);
    if (!mount) return Response{};
    RETURN_IF_ERROR(parts_.mounts.begin_unmount(path));
    const Status ended = parts_.lease_service.wait_ended({.mount = mount->entry.accessor});
    if (!ended)
      return Error{
          Errc::kInvalidArgument,
          fmt::format("the mount \"{}\" refuses requests from now on and goes by itself when its "
                      "leases are revoked. {}",
                      mount->entry.path, ended.error().message)};
    RETURN_IF_ERROR(parts_.mounts.finish_unmounts());
    return Response{};
  }

  Result<Response> read_tune(const BackendCall& call) const {
    return read_tune_of(call.param("path"));
  }

  Result<Response> read_tune_of(const std::string& path) const {
    const auto mount = parts_.mounts.at(path);
    if (!mount) return unknown_mount(path);
    return Response{.layout = Layout::kInjected, .data = tune_data(mount->entry)};
  }

  Result<Response> tune(const BackendCall& call) const {
    return tune_of(call.param("path"), call.request.data);
  }

  Result<Response> tune_of(const std::string& path, const Json& data) const {
    RETURN_IF_ERROR(
        parts_.mounts.change(path, [&](MountEntry& entry) { return apply_tune(data, entry); }));
    return Response{};
  }

  Result<Response> move(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string from, required_text(call.request.data, "from"));
    ASSIGN_OR_RETURN(const std::string to, required_text(call.request.data, "to"));
    ASSIGN_OR_RETURN(const std::string old_path, normalise_mount_path(from));
    ASSIGN_OR_RETURN(const std::string new_path, normalise_mount_path(to));
    RETURN_IF_ERROR(parts_.mounts.move(from, to));
    RETURN_IF_ERROR(parts_.quotas.follow_mount(old_path, new_path));
    return Response{};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_mount_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<MountRoutes>(parts);
  add_route(routes, {.pattern = "mounts", .summary = "Lists the mounts."},
            {{kRead, to(&MountRoutes::list)}});
  add_route(routes,
            {.pattern = "mounts/{path}/tune",
             .summary = "The settings of a mount.",
             .fields = tune_fields()},
            {{kRead, to(&MountRoutes::read_tune)}, {kUpdate, to(&MountRoutes::tune)}});
  add_route(
      routes,
      {.pattern = "mounts/{path...}",
       .summary = "A mount: makes it, describes it, removes it with all its leases.",
       .fields = {{"type", FieldType::kText, "The secrets engine: kv, static_key, database.", true},
                  {"description", FieldType::kText, "For people."},
                  {"config", FieldType::kMap, "Settings, as in tune."},
                  {"options", FieldType::kMap, "Of the engine: {\"version\":\"2\"}."}}},
      {{kRead, to(&MountRoutes::read)},
       {kUpdate, to(&MountRoutes::enable)},
       {kDelete, to(&MountRoutes::disable)}});
  add_route(routes,
            {.pattern = "remount",
             .summary = "Moves a mount to another path.",
             .fields = {{"from", FieldType::kText, "Its path.", true},
                        {"to", FieldType::kText, "Its new path.", true}},
             .sudo = true},
            {{kUpdate, to(&MountRoutes::move)}});
}

}  // namespace curfew::broker
