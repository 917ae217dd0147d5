#include <fmt/format.h>

#include "broker/lease/ttl.h"
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
  return {{"sys/", fixed("system", "system endpoints used for control, policy and debugging")}};
}

Json tune_data(const MountEntry& entry) {
  const auto seconds = [](Millis time) {
    return std::chrono::floor<Seconds>(time > Millis{0} ? time : kSystemTtl).count();
  };
  Json out = {{"default_lease_ttl", seconds(entry.config.default_lease_ttl)},
              {"max_lease_ttl", seconds(entry.config.max_lease_ttl)},
              {"force_no_cache", entry.config.force_no_cache},
              {"description", entry.description}};
  if (!entry.options.empty()) out["options"] = entry.options;
  if (!entry.config.listing_visibility.empty())
    out["listing_visibility"] = entry.config.listing_visibility;
  if (!entry.config.audit_non_hmac_request_keys.empty())
    out["audit_non_hmac_request_keys"] = entry.config.audit_non_hmac_request_keys;
  if (!entry.config.audit_non_hmac_response_keys.empty())
    out["audit_non_hmac_response_keys"] = entry.config.audit_non_hmac_response_keys;
  return out;
}

Status apply_tune(const Json& data, MountEntry& entry) {
  const Fields fields(data);
  RETURN_IF_ERROR(apply_config(data, entry.config));
  ASSIGN_OR_RETURN(entry.description, fields.text_or("description", entry.description));
  ASSIGN_OR_RETURN(const auto options, fields.text_map("options"));
  if (options) {
    for (const auto& [name, value] : *options) entry.options[name] = value;
  }
  return ok();
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

  Result<Response> list_auth(const BackendCall&) const {
    const MountEntry entry = parts_.token_mount.entry();
    return Response{.layout = Layout::kInjected, .data = {{"token/", to_api(entry)}}};
  }

  Result<Response> read_auth(const BackendCall& call) const {
    RETURN_IF_ERROR(only_token(call));
    return Response{.layout = Layout::kInjected, .data = to_api(parts_.token_mount.entry())};
  }

  Result<Response> enable_auth(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string type, required_text(call.request.data, "type"));
    return Error{Errc::kInvalidArgument,
                 fmt::format("unknown auth method type \"{}\": only tokens are served yet, at "
                             "auth/token/",
                             type)};
  }

  Result<Response> disable_auth(const BackendCall& call) const {
    if (is_token(call.param("path")))
      return Error{Errc::kInvalidArgument, "the token auth method cannot be disabled"};
    return Response{};
  }

  Result<Response> read_auth_tune(const BackendCall& call) const {
    RETURN_IF_ERROR(only_token(call));
    Json data = tune_data(parts_.token_mount.entry());
    data["token_type"] = "default-service";
    return Response{.layout = Layout::kInjected, .data = std::move(data)};
  }

  Result<Response> tune_auth(const BackendCall& call) const {
    RETURN_IF_ERROR(only_token(call));
    RETURN_IF_ERROR(parts_.token_mount.tune(
        [&](MountEntry& entry) { return apply_tune(call.request.data, entry); }));
    return Response{};
  }

 private:
  static bool is_token(std::string_view path) { return path == "token" || path == "token/"; }
  static Status only_token(const BackendCall& call) {
    if (is_token(call.param("path"))) return ok();
    return unknown_mount("auth/" + call.param("path"));
  }

  const SystemParts parts_;
};

std::vector<FieldSpec> tune_fields() {
  using enum FieldType;
  return {{"default_lease_ttl", kDuration, "Time to live where a role says nothing."},
          {"max_lease_ttl", kDuration, "The longest time to live."},
          {"description", kText, "For people."},
          {"options", kMap, "Of the engine."},
          {"listing_visibility", kText, "\"unauth\" shows the mount without a token."},
          {"audit_non_hmac_request_keys", kList, "Request members to audit in the clear."},
          {"audit_non_hmac_response_keys", kList, "Response members to audit in the clear."}};
}

}  // namespace

void add_mount_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<MountRoutes>(parts);
  // Before the general paths, which would take these for mounts.
  add_route(routes,
            {.pattern = "mounts/auth/{path}/tune",
             .summary = "The settings of an auth mount.",
             .fields = tune_fields()},
            {{kRead, to(&MountRoutes::read_auth_tune)}, {kUpdate, to(&MountRoutes::tune_auth)}});
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

void add_auth_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<MountRoutes>(parts);
  add_route(routes, {.pattern = "auth", .summary = "Lists the auth methods."},
            {{kRead, to(&MountRoutes::list_auth)}});
  add_route(routes,
            {.pattern = "auth/{path}/tune",
             .summary = "The settings of an auth method.",
             .fields = tune_fields(),
             .sudo = true},
            {{kRead, to(&MountRoutes::read_auth_tune)}, {kUpdate, to(&MountRoutes::tune_auth)}});
  add_route(routes, {.pattern = "auth/{path...}", .summary = "An auth method.", .sudo = true},
            {{kRead, to(&MountRoutes::read_auth)},
             {kUpdate, to(&MountRoutes::enable_auth)},
             {kDelete, to(&MountRoutes::disable_auth)}});
}

}  // namespace curfew::broker
