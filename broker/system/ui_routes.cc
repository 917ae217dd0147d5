#include "broker/system/system_parts.h"
#include "broker/tenant/nowhere.h"

namespace curfew::broker {
namespace {

// What clients ask before they use a path: which mount it is in, and of which version.
class UiRoutes {
 public:
  explicit UiRoutes(const SystemParts& parts) : parts_(parts) {}

  // Without a token only what is marked for everyone to see.
  Result<Response> list(const BackendCall& call) const {
    Json secret = Json::object(), auth = Json::object();
    const Caller* caller = call.caller;
    for (const MountEntry& entry : parts_.mounts.list()) {
      if (entry.config.listing_visibility == "unauth" ||
          (caller != nullptr && caller->rights->reaches_mount(entry.path)))
        secret[entry.path] = to_api(entry);
    }
    if (caller != nullptr && caller->rights->reaches_mount("auth/token/"))
      auth["token/"] = to_api(parts_.token_mount.entry());
    for (const MountEntry& entry : parts_.auth_mounts.list()) {
      if (entry.config.listing_visibility == "unauth" ||
          (caller != nullptr && caller->rights->reaches_mount("auth/" + entry.path)))
        auth[entry.path] = to_api(entry);
    }
    return Response{.data = {{"auth", std::move(auth)}, {"secret", std::move(secret)}}};
  }

  // The same answer for a mount that does not exist and for one out of reach.
  Result<Response> read(const BackendCall& call) const {
    std::string path = call.param("path");
    if (!path.ends_with('/')) path += '/';
    const auto routed = parts_.mounts.route(path);
    if (call.caller == nullptr || !routed.mount ||
        !call.caller->rights->reaches_mount(routed.mount->entry.path))
      return out_of_reach(path);
    Json data = to_api(routed.mount->entry);
    data["path"] = routed.mount->entry.path;
    return Response{.data = std::move(data)};
  }

  Result<Response> resultant(const BackendCall& call) const {
    return Response{.data = call.caller->rights->resultant()};
  }

 private:
  const SystemParts parts_;
};

class CapabilityRoutes {
 public:
  explicit CapabilityRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> self(const BackendCall& call) const {
    return answer(call, *call.caller->rights);
  }

  Result<Response> of_token(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string token, required_text(call.request.data, "token"));
    ASSIGN_OR_RETURN(const auto found, parts_.tokens.find(Secret(token)));
    return of(call, found);
  }

  Result<Response> of_accessor(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string accessor, required_text(call.request.data, "accessor"));
    ASSIGN_OR_RETURN(const auto found, parts_.tokens.find_by_accessor(accessor));
    return of(call, found);
  }

 private:
  Result<Response> of(const BackendCall& call, const std::optional<Token>& token) const {
    if (!token) return Error{Errc::kInvalidArgument, "invalid token"};
    ASSIGN_OR_RETURN(const Authority authority, parts_.authorities.of(*token));
    return answer(call, *authority.rights);
  }

  static Result<Response> answer(const BackendCall& call, const policy::Rights& rights) {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(auto paths, fields.comma_list("paths"));
    if (!paths) {
      ASSIGN_OR_RETURN(paths, fields.comma_list("path"));
    }
    if (!paths || paths->empty()) return Error{Errc::kInvalidArgument, "paths must be supplied"};
    Json data = Json::object();
    for (const std::string& path : *paths) data[path] = rights.capabilities(path);
    if (paths->size() == 1) data["capabilities"] = data[paths->front()];
    return Response{.layout = Layout::kInjected, .data = std::move(data)};
  }

  const SystemParts parts_;
};

}  // namespace

void add_ui_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<UiRoutes>(parts);
  add_route(routes,
            {.pattern = "internal/ui/mounts",
             .summary = "The mounts within reach of the token.",
             .unauthenticated = true},
            {{kRead, to(&UiRoutes::list)}});
  add_route(routes,
            {.pattern = "internal/ui/mounts/{path...}",
             .summary = "The mount that a path is in.",
             .unauthenticated = true},
            {{kRead, to(&UiRoutes::read)}});
  add_route(routes,
            {.pattern = "internal/ui/resultant-acl",
             .summary = "What the calling token's policies say together."},
            {{kRead, to(&UiRoutes::resultant)}});
}

void add_capability_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<CapabilityRoutes>(parts);
  const FieldSpec paths{"paths", FieldType::kList, "The paths in question.", true};
  add_route(routes,
            {.pattern = "capabilities-self",
             .summary = "What the calling token may do at a path.",
             .fields = {paths}},
            {{kUpdate, to(&CapabilityRoutes::self)}});
  add_route(routes,
            {.pattern = "capabilities",
             .summary = "What a token may do at a path.",
             .fields = {paths, {"token", FieldType::kText, "The token.", true}}},
            {{kUpdate, to(&CapabilityRoutes::of_token)}});
  add_route(routes,
            {.pattern = "capabilities-accessor",
             .summary = "What the token of an accessor may do at a path.",
             .fields = {paths, {"accessor", FieldType::kText, "The accessor.", true}}},
            {{kUpdate, to(&CapabilityRoutes::of_accessor)}});
}

}  // namespace curfew::broker
