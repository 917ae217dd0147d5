#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

class AuditRoutes {
 public:
  explicit AuditRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> list(const BackendCall&) const {
    Json devices = Json::object();
    for (const AuditDeviceInfo& info : parts_.audit.list())
      devices[info.path] = {{"description", info.description},
                            {"local", info.local},
                            {"options", info.options},
                            {"path", info.path},
                            {"type", info.type}};
    return Response{.layout = Layout::kInjected, .data = std::move(devices)};
  }

  Result<Response> enable(const BackendCall& call) const {
    // A device is a file on the server: its operator's affair, whoever rules the namespace.
    if (!parts_.place.is_first() && call.caller->name_space != kFirstNamespace)
      return Error{
          Errc::kPermissionDenied,
          "permission denied: an audit device writes to the server's disk, so only a token "
          "of the root namespace can enable one"};
    const Fields fields(call.request.data);
    AuditDeviceInfo info;
    info.path = call.param("path");
    ASSIGN_OR_RETURN(info.type, required_text(call.request.data, "type"));
    ASSIGN_OR_RETURN(info.description, fields.text_or("description", ""));
    ASSIGN_OR_RETURN(const auto options, fields.text_map("options"));
    if (options) info.options = *options;
    ASSIGN_OR_RETURN(info.local, fields.boolean_or("local", false));
    RETURN_IF_ERROR(parts_.audit.enable(std::move(info)));
    parts_.log.info("audit device enabled", {{"path", call.param("path")}});
    return Response{};
  }

  Result<Response> disable(const BackendCall& call) const {
    RETURN_IF_ERROR(parts_.audit.disable(call.param("path")));
    // In the operator's log too: the device that would hold it is gone.
    parts_.log.warn("audit device disabled", {{"path", call.param("path")},
                                              {"by", call.caller->token.display_name},
                                              {"accessor", call.caller->token.accessor}});
    return Response{};
  }

  Result<Response> hash(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const std::string input, required_text(call.request.data, "input"));
    ASSIGN_OR_RETURN(const std::string hash, parts_.audit.hash(call.param("path"), input));
    return Response{.layout = Layout::kInjected, .data = {{"hash", hash}}};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_audit_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<AuditRoutes>(parts);
  add_route(routes, {.pattern = "audit", .summary = "Lists the audit devices.", .sudo = true},
            {{kRead, to(&AuditRoutes::list)}});
  add_route(
      routes,
      {.pattern = "audit/{path...}",
       .summary = "An audit device.",
       .fields = {{"type", FieldType::kText, "\"file\".", true},
                  {"options", FieldType::kMap, "{\"file_path\":\"/var/log/curfew/audit.log\"}."},
                  {"description", FieldType::kText, "For people."}},
       .sudo = true},
      {{kUpdate, to(&AuditRoutes::enable)}, {kDelete, to(&AuditRoutes::disable)}});
  add_route(routes,
            {.pattern = "audit-hash/{path...}",
             .summary = "The keyed hash of a value, as a device writes it.",
             .fields = {{"input", FieldType::kText, "The value.", true}}},
            {{kUpdate, to(&AuditRoutes::hash)}});
}

}  // namespace curfew::broker
