#include <fmt/format.h>

#include "broker/system/mount_tuning.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

bool is_token(std::string_view path) {
  return path == "token" || path == "token/";
}

Error unknown_mount(std::string_view path) {
  return {Errc::kInvalidArgument, fmt::format("no auth method at \"{}\"", path)};
}

class AuthRoutes {
 public:
  explicit AuthRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> list(const BackendCall&) const {
    Json data = {{"token/", to_api(parts_.token_mount.entry())}};
    for (const MountEntry& entry : parts_.auth_mounts.list()) data[entry.path] = to_api(entry);
    return Response{.layout = Layout::kInjected, .data = std::move(data)};
  }

  Result<Response> read(const BackendCall& call) const {
    if (const auto tuned = tuned_mount(call)) return read_tune_of(*tuned);
    ASSIGN_OR_RETURN(const MountEntry entry, entry_of(call.param("path")));
    return Response{.layout = Layout::kInjected, .data = to_api(entry)};
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
    RETURN_IF_ERROR(parts_.auth_mounts.create(std::move(entry)));
    return Response{};
  }

  Result<Response> disable(const BackendCall& call) const {
    const std::string& path = call.param("path");
    if (path.empty())
      return Error{Errc::kUnsupportedOperation, "name the auth method: sys/auth/<path>"};
    if (is_token(path))
      return Error{Errc::kInvalidArgument, "the token auth method cannot be disabled"};
    RETURN_IF_ERROR(parts_.auth_mounts.remove(path));
    return Response{};
  }

  // sys/mounts/auth/<path>/tune, which the general route of sys/mounts/ would take for a mount.
  Result<Response> read_tune(const BackendCall& call) const {
    const auto path = tuned_mount(call);
    return path ? read_tune_of(*path) : Result<Response>(no_mount(call));
  }
  Result<Response> tune(const BackendCall& call) const {
    const auto path = tuned_mount(call);
    return path ? tune_of(*path, call.request.data) : Result<Response>(no_mount(call));
  }

 private:
  static Error no_mount(const BackendCall& call) {
    return {Errc::kInvalidArgument,
            fmt::format("cannot mount at \"auth/{}\": reserved; auth methods are enabled at "
                        "sys/auth/<path>",
                        call.param("path"))};
  }

  static std::optional<std::string> tuned_mount(const BackendCall& call) {
    const std::string& path = call.param("path");
    if (!path.ends_with("/tune")) return std::nullopt;
    return path.substr(0, path.size() - 5);
  }

  Result<MountEntry> entry_of(const std::string& path) const {
    if (is_token(path)) return parts_.token_mount.entry();
    const auto mount = parts_.auth_mounts.at(path);
    if (mount == nullptr) return unknown_mount(path);
    return mount->entry;
  }

  Result<Response> read_tune_of(const std::string& path) const {
    ASSIGN_OR_RETURN(const MountEntry entry, entry_of(path));
    Json data = tune_data(entry);
    data["token_type"] = "default-service";
    return Response{.layout = Layout::kInjected, .data = std::move(data)};
  }

  Result<Response> tune_of(const std::string& path, const Json& data) const {
    const auto change = [&](MountEntry& entry) { return apply_tune(data, entry); };
    RETURN_IF_ERROR(is_token(path) ? parts_.token_mount.tune(change)
                                   : parts_.auth_mounts.change(path, change));
    return Response{};
  }

  const SystemParts parts_;
};

}  // namespace

void add_auth_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<AuthRoutes>(parts);
  add_route(routes,
            {.pattern = "mounts/auth/{path...}",
             .summary = "The settings of an auth method, as <path>/tune.",
             .fields = tune_fields()},
            {{kRead, to(&AuthRoutes::read_tune)}, {kUpdate, to(&AuthRoutes::tune)}});
  add_route(routes, {.pattern = "auth", .summary = "Lists the auth methods."},
            {{kRead, to(&AuthRoutes::list)}});
  add_route(routes,
            {.pattern = "auth/{path...}",
             .summary = "An auth method: enables it, describes it, disables it and ends all tokens "
                        "of its logins. With /tune: its settings.",
             .fields = {{"type", FieldType::kText, "The method.", true},
                        {"description", FieldType::kText, "For people."},
                        {"config", FieldType::kMap, "Settings, as in tune."},
                        {"options", FieldType::kMap, "Of the method."}},
             .sudo = true},
            {{kRead, to(&AuthRoutes::read)},
             {kUpdate, to(&AuthRoutes::enable)},
             {kDelete, to(&AuthRoutes::disable)}});
}

}  // namespace curfew::broker
