#include <fmt/format.h>

#include <algorithm>

#include "broker/identity/identity_backend.h"
#include "broker/identity/identity_checks.h"

// Groups and their aliases.
namespace curfew::broker {

Result<Response> IdentityBackend::write_group(const BackendCall& call) {
  const Fields fields(call.request.data);
  GroupChange change;
  ASSIGN_OR_RETURN(change.id, path_or_field(call, "id"));
  ASSIGN_OR_RETURN(change.name, path_or_field(call, "name"));
  ASSIGN_OR_RETURN(change.type, fields.text("type"));
  ASSIGN_OR_RETURN(change.policies, fields.comma_list("policies"));
  ASSIGN_OR_RETURN(change.metadata, fields.text_map("metadata"));
  ASSIGN_OR_RETURN(change.member_entity_ids, fields.comma_list("member_entity_ids"));
  ASSIGN_OR_RETURN(change.member_group_ids, fields.comma_list("member_group_ids"));
  if (change.type && change.type->empty()) change.type.reset();
  ASSIGN_OR_RETURN(const Written written, identities_.put_group(change));
  return written_answer(written);
}

Result<Response> IdentityBackend::read_group(const BackendCall& call, IdentityKey::By by) const {
  const bool by_id = by == IdentityKey::By::kId;
  ASSIGN_OR_RETURN(const auto view,
                   identities_.find_group({by, call.param(by_id ? "id" : "name")}));
  if (!view) return Error{Errc::kNotFound, ""};
  return Response{.data = viewer_.group(*view)};
}

Result<Response> IdentityBackend::delete_group(const BackendCall& call, IdentityKey::By by) {
  const bool by_id = by == IdentityKey::By::kId;
  const std::string& value = call.param(by_id ? "id" : "name");
  if (value.empty()) return invalid_identity("empty group name");
  RETURN_IF_ERROR(identities_.remove_group({by, value}));
  return Response{};
}

Result<Response> IdentityBackend::list_groups(const BackendCall&, bool by_id) const {
  std::vector<std::string> keys;
  Json info = Json::object();
  RETURN_IF_ERROR(identities_.each_group([&](const Group& group, std::int64_t members) {
    keys.push_back(by_id ? group.id : group.name);
    info[group.id] = viewer_.group_info(group, members);
  }));
  if (keys.empty()) return Error{Errc::kNotFound, ""};
  std::sort(keys.begin(), keys.end());
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::write_group_alias(const BackendCall& call) {
  ASSIGN_OR_RETURN(const AliasChange change, alias_change(call));
  ASSIGN_OR_RETURN(const auto written, identities_.put_group_alias(change));
  if (!written) return Response{};
  Response response{.data = {{"id", written->id}, {"canonical_id", written->canonical_id}}};
  if (written->moved)
    response.warnings.emplace_back("the alias belonged to another group; it is moved");
  return response;
}

Result<Response> IdentityBackend::read_group_alias(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const auto view,
                   identities_.find_group({IdentityKey::By::kAliasId, call.param("id")}));
  if (!view || !view->group.alias) return Error{Errc::kNotFound, ""};
  Json data = viewer_.group_alias(*view->group.alias, view->group.id);
  data["namespace_id"] = viewer_.namespace_id;
  return Response{.data = std::move(data)};
}

Result<Response> IdentityBackend::delete_group_alias(const BackendCall& call) {
  RETURN_IF_ERROR(identities_.remove_group_alias(call.param("id")));
  return Response{};
}

Result<Response> IdentityBackend::list_group_aliases(const BackendCall&) const {
  std::vector<std::string> keys;
  Json info = Json::object();
  RETURN_IF_ERROR(identities_.each_group([&](const Group& group, std::int64_t) {
    if (!group.alias) return;
    keys.push_back(group.alias->id);
    info[group.alias->id] = viewer_.group_alias_info(*group.alias, group.id);
  }));
  if (keys.empty()) return Error{Errc::kNotFound, ""};
  std::sort(keys.begin(), keys.end());
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::look_up_group(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const IdentityKey key, lookup_key(call.request.data));
  ASSIGN_OR_RETURN(const auto view, identities_.find_group(key));
  return view ? Response{.data = viewer_.group(*view)} : Response{};
}

}  // namespace curfew::broker
