#include <fmt/format.h>

#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

class NamespaceRoutes {
 public:
  explicit NamespaceRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> list(const BackendCall&) const {
    Json keys = Json::array(), info = Json::object();
    for (const NamespaceEntry& entry : parts_.namespaces.list(parts_.place.path)) {
      const std::string path = entry.name() + '/';
      keys.push_back(path);
      info[path] = to_api(entry, parts_.place.path);
    }
    if (keys.empty()) return Error{Errc::kNotFound, ""};
    return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
  }

  Result<Response> read(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string name, namespace_name(call.param("path")));
    const auto entry = parts_.namespaces.find(parts_.place.path, name);
    if (!entry) return Error{Errc::kNotFound, ""};
    Response response{.data = to_api(*entry, parts_.place.path)};
    if (!entry->deleting) return response;
    ASSIGN_OR_RETURN(response.data["leases_left"], parts_.namespaces.leases_left(entry->path));
    return response;
  }

  Result<Response> write(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string name, namespace_name(call.param("path")));
    ASSIGN_OR_RETURN(auto metadata, custom_metadata_of(call.request.data));
    std::erase_if(metadata, [](const auto& member) { return member.second.is_null(); });
    ASSIGN_OR_RETURN(const auto entry, parts_.namespaces.put(parts_.place.path, name, metadata));
    return Response{.data = to_api(entry, parts_.place.path)};
  }

  Result<Response> patch(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string name, namespace_name(call.param("path")));
    ASSIGN_OR_RETURN(const auto metadata, custom_metadata_of(call.request.data));
    ASSIGN_OR_RETURN(const auto entry, parts_.namespaces.patch(parts_.place.path, name, metadata));
    return Response{.data = to_api(entry, parts_.place.path)};
  }

  Result<Response> remove(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string name, namespace_name(call.param("path")));
    ASSIGN_OR_RETURN(const auto deletion, parts_.namespaces.remove(parts_.place.path, name));
    if (deletion.done) return Response{};
    return Response{
        .data = {{"status", "in-progress"}},
        .warnings = {fmt::format("the namespace is closed, and goes when all its leases are proven "
                                 "gone: {}",
                                 deletion.waits_for)}};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_namespace_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<NamespaceRoutes>(parts);
  const FieldSpec metadata{"custom_metadata", FieldType::kMap, "What is known of it, as texts."};
  add_route(routes, {.pattern = "namespaces", .summary = "Lists the namespaces below this one."},
            {{kList, to(&NamespaceRoutes::list)}});
  add_route(
      routes,
      {.pattern = "namespaces/{path...}",
       .summary = "A namespace: made with keys of its own; deleting ends all its leases, then "
                  "destroys the keys.",
       .fields = {metadata}},
      {{kRead, to(&NamespaceRoutes::read)},
       {kUpdate, to(&NamespaceRoutes::write)},
       {kPatch, to(&NamespaceRoutes::patch)},
       {kDelete, to(&NamespaceRoutes::remove)}});
}

}  // namespace curfew::broker
