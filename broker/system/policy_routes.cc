#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

class PolicyRoutes {
 public:
  explicit PolicyRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto policy, parts_.policies.get(call.param("name")));
    if (!policy) return Error{Errc::kNotFound, ""};
    return Response{.data = {{"name", policy->name}, {"policy", policy->text}}};
  }

  // The older form of the paths: other keys, and at the top level too.
  Result<Response> read_old(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Response response, read(call));
    response.layout = Layout::kInjected;
    response.data["rules"] = response.data["policy"];
    response.data.erase("policy");
    return response;
  }

  Result<Response> write(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(std::string text, fields.text_or("policy", ""));
    if (text.empty()) {
      ASSIGN_OR_RETURN(text, fields.text_or("rules", ""));
    }
    RETURN_IF_ERROR(parts_.policies.put(call.param("name"), text));
    return Response{};
  }

  Result<Response> remove(const BackendCall& call) const {
    RETURN_IF_ERROR(parts_.policies.remove(call.param("name")));
    return Response{};
  }

  Result<Response> list(const BackendCall&) const {
    ASSIGN_OR_RETURN(auto names, parts_.policies.names());
    return Response{.data = {{"keys", std::move(names)}}};
  }

  Result<Response> list_old(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Response response, list(call));
    response.layout = Layout::kInjected;
    response.data["policies"] = response.data["keys"];
    return response;
  }

 private:
  const SystemParts parts_;
};

class PasswordPolicyRoutes {
 public:
  explicit PasswordPolicyRoutes(const SystemParts& parts) : parts_(parts) {}

  Result<Response> read(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto text, parts_.passwords.text(call.param("name")));
    if (!text) return Error{Errc::kNotFound, ""};
    return Response{.data = {{"policy", *text}}};
  }

  Result<Response> write(const BackendCall& call) const {
    ASSIGN_OR_RETURN(std::string text, required_text(call.request.data, "policy"));
    RETURN_IF_ERROR(parts_.passwords.put(call.param("name"), text));
    return Response{};
  }

  Result<Response> remove(const BackendCall& call) const {
    RETURN_IF_ERROR(parts_.passwords.remove(call.param("name")));
    return Response{};
  }

  Result<Response> list(const BackendCall&) const {
    ASSIGN_OR_RETURN(auto names, parts_.passwords.names());
    return Response{.data = {{"keys", std::move(names)}}};
  }

  Result<Response> generate(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto text, parts_.passwords.text(call.param("name")));
    if (!text) return Error{Errc::kNotFound, ""};
    ASSIGN_OR_RETURN(const Secret password, parts_.passwords.make(call.param("name")));
    return Response{.data = {{"password", password.reveal()}}};
  }

 private:
  const SystemParts parts_;
};

}  // namespace

void add_policy_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<PolicyRoutes>(parts);
  const FieldSpec text{"policy", FieldType::kText, "The policy, in HCL or JSON.", true};
  add_route(routes, {.pattern = "policies/acl", .summary = "Lists the policies."},
            {{kList, to(&PolicyRoutes::list)}, {kRead, to(&PolicyRoutes::list)}});
  add_route(routes, {.pattern = "policies/acl/{name...}", .summary = "A policy.", .fields = {text}},
            {{kRead, to(&PolicyRoutes::read)},
             {kUpdate, to(&PolicyRoutes::write)},
             {kDelete, to(&PolicyRoutes::remove)}});
  add_route(routes, {.pattern = "policy", .summary = "Lists the policies (older form)."},
            {{kRead, to(&PolicyRoutes::list_old)}, {kList, to(&PolicyRoutes::list_old)}});
  add_route(routes,
            {.pattern = "policy/{name...}", .summary = "A policy (older form).", .fields = {text}},
            {{kRead, to(&PolicyRoutes::read_old)},
             {kUpdate, to(&PolicyRoutes::write)},
             {kDelete, to(&PolicyRoutes::remove)}});
}

void add_password_policy_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<PasswordPolicyRoutes>(parts);
  add_route(routes, {.pattern = "policies/password", .summary = "Lists the password policies."},
            {{kList, to(&PasswordPolicyRoutes::list)}});
  add_route(routes,
            {.pattern = "policies/password/{name}/generate",
             .summary = "Makes a password by the policy."},
            {{kRead, to(&PasswordPolicyRoutes::generate)}});
  add_route(routes,
            {.pattern = "policies/password/{name}",
             .summary = "A password policy.",
             .fields = {{"policy", FieldType::kText, "The policy, in HCL.", true}}},
            {{kRead, to(&PasswordPolicyRoutes::read)},
             {kUpdate, to(&PasswordPolicyRoutes::write)},
             {kDelete, to(&PasswordPolicyRoutes::remove)}});
}

}  // namespace curfew::broker
