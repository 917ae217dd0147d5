#include "broker/identity/identity_backend.h"

// The registry of agents.
namespace curfew::broker {

Result<Response> IdentityBackend::write_agent(const BackendCall& call) {
  const Fields fields(call.request.data);
  AgentChange change;
  change.name = call.param("name");
  ASSIGN_OR_RETURN(change.entity_id, path_or_field(call, "entity_id"));
  ASSIGN_OR_RETURN(change.owner, path_or_field(call, "owner"));
  ASSIGN_OR_RETURN(change.kind, fields.text("kind"));
  ASSIGN_OR_RETURN(change.description, fields.text("description"));
  ASSIGN_OR_RETURN(change.policies, fields.comma_list("policies"));
  ASSIGN_OR_RETURN(change.ceiling_policies, fields.comma_list("ceiling_policies"));
  ASSIGN_OR_RETURN(change.allowed_roles, fields.comma_list("allowed_roles"));
  ASSIGN_OR_RETURN(change.live_leases_max, fields.integer("max_live_leases"));
  ASSIGN_OR_RETURN(change.leases_per_hour, fields.integer("max_leases_per_hour"));
  ASSIGN_OR_RETURN(change.ttl_max, fields.duration("max_ttl"));
  ASSIGN_OR_RETURN(change.metadata, fields.text_map("metadata"));
  ASSIGN_OR_RETURN(change.disabled, fields.boolean("disabled"));
  ASSIGN_OR_RETURN(const Written written, identities_.put_agent(change));
  return written_answer(written);
}

Result<Response> IdentityBackend::read_agent(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const auto view, identities_.find_agent(call.param("name")));
  if (!view) return Error{Errc::kNotFound, ""};
  return Response{.data = viewer_.agent(*view)};
}

Result<Response> IdentityBackend::delete_agent(const BackendCall& call) {
  RETURN_IF_ERROR(identities_.remove_agent(call.param("name")));
  return Response{};
}

Result<Response> IdentityBackend::list_agents(const BackendCall&) const {
  ASSIGN_OR_RETURN(const auto views, identities_.agents());
  if (views.empty()) return Error{Errc::kNotFound, ""};
  Json keys = Json::array();
  Json info = Json::object();
  for (const AgentView& view : views) {
    keys.push_back(view.entity.name);
    info[view.entity.name] = viewer_.agent_info(view);
  }
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::set_disabled(const BackendCall& call, bool disabled) {
  RETURN_IF_ERROR(identities_.set_agent_disabled(call.param("name"), disabled));
  return Response{};
}

}  // namespace curfew::broker
