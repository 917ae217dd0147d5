#include "broker/identity/identity_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/identity/identity_checks.h"

// Entities and their aliases.
namespace curfew::broker {

IdentityBackend::IdentityBackend(IdentityService& identities, IdentityViewer viewer)
    : identities_(identities), viewer_(std::move(viewer)), routes_(make_routes()) {}

Result<std::optional<std::string>> path_or_field(const BackendCall& call, std::string_view name) {
  const auto in_path = call.params.find(name);
  if (in_path != call.params.end() && !in_path->second.empty())
    return std::optional{in_path->second};
  ASSIGN_OR_RETURN(auto value, Fields(call.request.data).text(name));
  if (value && value->empty()) value.reset();
  return value;
}

Result<IdentityKey> lookup_key(const Json& data) {
  const Fields fields(data);
  std::map<std::string, std::string> given;
  for (const char* name : {"id", "name", "alias_id", "alias_name", "alias_mount_accessor"}) {
    ASSIGN_OR_RETURN(auto value, fields.text(name));
    if (value && !value->empty()) given[name] = *std::move(value);
  }
  const bool by_alias = given.contains("alias_name") && given.contains("alias_mount_accessor");
  if (given.empty()) return invalid_identity("query parameter not supplied");
  if (given.size() > 1 && !(given.size() == 2 && by_alias))
    return invalid_identity(
        "query parameter conflict; please supply distinct set of query parameters");
  if (by_alias)
    return IdentityKey{IdentityKey::By::kAlias, given["alias_name"], given["alias_mount_accessor"]};
  if (given.contains("id")) return IdentityKey{IdentityKey::By::kId, given["id"]};
  if (given.contains("name")) return IdentityKey{IdentityKey::By::kName, given["name"]};
  if (given.contains("alias_id")) return IdentityKey{IdentityKey::By::kAliasId, given["alias_id"]};
  return invalid_identity("both 'alias_name' and 'alias_mount_accessor' needs to be set");
}

Response written_answer(const Written& written, Json more) {
  if (!written.created) return {};
  more["id"] = written.id;
  more["name"] = written.name;
  return {.data = std::move(more)};
}

// ---- entities ---------------------------------------------------------------------------------

Result<Response> IdentityBackend::write_entity(const BackendCall& call) {
  const Fields fields(call.request.data);
  EntityChange change;
  ASSIGN_OR_RETURN(change.id, path_or_field(call, "id"));
  ASSIGN_OR_RETURN(change.name, path_or_field(call, "name"));
  ASSIGN_OR_RETURN(change.kind, fields.text("kind"));
  ASSIGN_OR_RETURN(change.policies, fields.comma_list("policies"));
  ASSIGN_OR_RETURN(change.metadata, fields.text_map("metadata"));
  ASSIGN_OR_RETURN(change.disabled, fields.boolean("disabled"));
  ASSIGN_OR_RETURN(const Written written, identities_.put_entity(change));
  return written_answer(written, {{"aliases", nullptr}});
}

Result<Response> IdentityBackend::read_entity(const BackendCall& call, IdentityKey::By by) const {
  const bool by_id = by == IdentityKey::By::kId;
  ASSIGN_OR_RETURN(const auto view,
                   identities_.find_entity({by, call.param(by_id ? "id" : "name")}));
  if (!view) return Error{Errc::kNotFound, ""};
  return Response{.data = viewer_.entity(*view)};
}

Result<Response> IdentityBackend::delete_entity(const BackendCall& call) {
  RETURN_IF_ERROR(identities_.remove_entities({call.param("id")}));
  return Response{};
}

Result<Response> IdentityBackend::delete_entity_named(const BackendCall& call) {
  if (call.param("name").empty()) return invalid_identity("missing entity name");
  RETURN_IF_ERROR(identities_.remove_entity_named(call.param("name")));
  return Response{};
}

Result<Response> IdentityBackend::list_entities(const BackendCall&, bool by_id) const {
  std::vector<std::string> keys;
  Json info = Json::object();
  RETURN_IF_ERROR(identities_.each_entity([&](const Entity& entity) {
    keys.push_back(by_id ? entity.id : entity.name);
    info[entity.id] = viewer_.entity_info(entity);
  }));
  if (keys.empty()) return Error{Errc::kNotFound, ""};
  std::sort(keys.begin(), keys.end());
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::delete_entities(const BackendCall& call) {
  ASSIGN_OR_RETURN(const auto ids, Fields(call.request.data).comma_list("entity_ids"));
  if (!ids || ids->empty()) return invalid_identity("missing entity ids to delete");
  RETURN_IF_ERROR(identities_.remove_entities(*ids));
  return Response{};
}

Result<Response> IdentityBackend::merge(const BackendCall& call) {
  const Fields fields(call.request.data);
  EntityMerge merge;
  ASSIGN_OR_RETURN(merge.to_id, fields.text_or("to_entity_id", ""));
  ASSIGN_OR_RETURN(auto from, fields.comma_list("from_entity_ids"));
  ASSIGN_OR_RETURN(auto keep, fields.comma_list("conflicting_alias_ids_to_keep"));
  for (std::string& id : from.value_or(std::vector<std::string>{}))
    if (std::find(merge.from_ids.begin(), merge.from_ids.end(), id) == merge.from_ids.end())
      merge.from_ids.push_back(std::move(id));
  merge.alias_ids_to_keep = keep.value_or(std::vector<std::string>{});
  RETURN_IF_ERROR(identities_.merge(merge));
  return Response{};
}

// ---- aliases ----------------------------------------------------------------------------------

Result<AliasChange> IdentityBackend::alias_change(const BackendCall& call) const {
  AliasChange change;
  ASSIGN_OR_RETURN(change.id, path_or_field(call, "id"));
  ASSIGN_OR_RETURN(change.name, path_or_field(call, "name"));
  ASSIGN_OR_RETURN(change.mount_accessor, path_or_field(call, "mount_accessor"));
  ASSIGN_OR_RETURN(change.canonical_id, path_or_field(call, "canonical_id"));
  ASSIGN_OR_RETURN(change.custom_metadata, Fields(call.request.data).text_map("custom_metadata"));
  if (change.mount_accessor && !viewer_.find_mount(*change.mount_accessor))
    return invalid_identity(fmt::format("invalid mount accessor \"{}\"", *change.mount_accessor));
  change.may_move =
      call.caller->token.is_root() || call.caller->rights->has_sudo(call.request.path);
  return change;
}

namespace {

Response alias_answer(const std::optional<WrittenAlias>& written, const char* owner) {
  if (!written) return {};
  Response response{.data = {{"id", written->id}, {"canonical_id", written->canonical_id}}};
  if (written->moved)
    response.warnings.push_back(
        fmt::format("the alias belonged to another {}; it is moved", owner));
  return response;
}

}  // namespace

Result<Response> IdentityBackend::write_alias(const BackendCall& call) {
  ASSIGN_OR_RETURN(AliasChange change, alias_change(call));
  if (!change.canonical_id) {
    ASSIGN_OR_RETURN(change.canonical_id, path_or_field(call, "entity_id"));
  }
  ASSIGN_OR_RETURN(const auto written, identities_.put_alias(change));
  return alias_answer(written, "entity");
}

Result<Response> IdentityBackend::read_alias(const BackendCall& call) const {
  const std::string& id = call.param("id");
  ASSIGN_OR_RETURN(const auto view, identities_.find_entity({IdentityKey::By::kAliasId, id}));
  if (!view) return Error{Errc::kNotFound, ""};
  for (const EntityAlias& alias : view->entity.aliases) {
    if (alias.id != id) continue;
    Json data = viewer_.alias(alias, view->entity.id);
    data["namespace_id"] = viewer_.namespace_id;
    return Response{.data = std::move(data)};
  }
  return Error{Errc::kNotFound, ""};
}

Result<Response> IdentityBackend::delete_alias(const BackendCall& call) {
  RETURN_IF_ERROR(identities_.remove_alias(call.param("id")));
  return Response{};
}

Result<Response> IdentityBackend::list_aliases(const BackendCall&) const {
  std::vector<std::string> keys;
  Json info = Json::object();
  RETURN_IF_ERROR(identities_.each_entity([&](const Entity& entity) {
    for (const EntityAlias& alias : entity.aliases) {
      keys.push_back(alias.id);
      info[alias.id] = viewer_.alias_info(alias, entity.id);
    }
  }));
  if (keys.empty()) return Error{Errc::kNotFound, ""};
  std::sort(keys.begin(), keys.end());
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::list_retired(const BackendCall&) const {
  ASSIGN_OR_RETURN(const auto retired, identities_.retired_aliases());
  std::vector<std::string> keys;
  Json info = Json::object();
  for (const RetiredAlias& one : retired) {
    keys.push_back(one.id);
    info[one.id] = viewer_.retired_alias(one);
  }
  if (keys.empty()) return Error{Errc::kNotFound, ""};
  return Response{.data = {{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
}

Result<Response> IdentityBackend::free_retired(const BackendCall& call) {
  RETURN_IF_ERROR(identities_.free_alias(call.param("id")));
  return Response{};
}

// As in Vault, what is not there is no error here.
Result<Response> IdentityBackend::look_up_entity(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const IdentityKey key, lookup_key(call.request.data));
  ASSIGN_OR_RETURN(const auto view, identities_.find_entity(key));
  return view ? Response{.data = viewer_.entity(*view)} : Response{};
}

}  // namespace curfew::broker
