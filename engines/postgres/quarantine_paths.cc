#include "engines/postgres/quarantine_paths.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {
namespace {

const std::string& target_of(const Call& call) {
  return call.params.find("target")->second;
}

Result<QuarantineId> id_of(const Call& call) {
  return QuarantineId::parse(call.params.find("id")->second);
}

QuarantineLog::Key log_key(const QuarantinedObject& object) {
  return {object.database, object.id.catalog, object.id.oid};
}

Json described(const QuarantinedObject& object, const std::map<QuarantineLog::Key, Json>& origins) {
  Json out{{"database", object.database}, {"kind", object.kind},   {"name", object.name},
           {"rows_estimate", nullptr},    {"size_bytes", nullptr}, {"from", nullptr}};
  if (object.rows_estimate) out["rows_estimate"] = *object.rows_estimate;
  if (object.size_bytes) out["size_bytes"] = *object.size_bytes;
  if (const auto it = origins.find(log_key(object)); it != origins.end()) out["from"] = it->second;
  return out;
}

}  // namespace

std::vector<CallRoutes::Route> QuarantinePaths::routes() {
  return {
      {{.pattern = "quarantine/{target}",
        .summary = "What leased roles left behind at a target, kept out of everybody's reach"},
       {{Operation::kList, [this](const Call& call) { return list(call); }}}},
      {{.pattern = "quarantine/{target}/{id}",
        .summary = "One object in quarantine: its columns, its size, and whose it was"},
       {{Operation::kRead, [this](const Call& call) { return show(call); }}}},
      {{.pattern = "quarantine/{target}/{id}/release",
        .summary = "Give an object in quarantine to a role",
        .fields = {{"owner", FieldType::kText, "the role; not a leased one", true}}},
       {{Operation::kUpdate, [this](const Call& call) { return release(call); }}}},
      {{.pattern = "quarantine/{target}/{id}/drop",
        .summary = "Drop an object in quarantine with all that is in it",
        .fields = {{"confirm", FieldType::kText, "its name, as the list has it", true},
                   {"cascade", FieldType::kBoolean, "also what depends on it, whosever it is"}}},
       {{Operation::kUpdate, [this](const Call& call) { return drop(call); }}}},
  };
}

Result<Reply> QuarantinePaths::list(const Call& call) {
  ASSIGN_OR_RETURN(const auto pool, pool_of_(target_of(call)));
  ASSIGN_OR_RETURN(const auto origins, log_.origins(target_of(call)));
  ASSIGN_OR_RETURN(QuarantineList found, list_quarantine(*pool, deadline()));
  if (found.objects.empty() && found.warnings.empty()) return Error{Errc::kNotFound, ""};
  Json keys = Json::array(), info = Json::object();
  for (const QuarantinedObject& object : found.objects) {
    keys.push_back(object.id.text());
    info[object.id.text()] = described(object, origins);
  }
  Reply reply{Json{{"keys", std::move(keys)}, {"key_info", std::move(info)}}};
  reply.warnings = std::move(found.warnings);
  return reply;
}

Result<Reply> QuarantinePaths::show(const Call& call) {
  ASSIGN_OR_RETURN(const QuarantineId id, id_of(call));
  ASSIGN_OR_RETURN(const auto pool, pool_of_(target_of(call)));
  ASSIGN_OR_RETURN(const auto origins, log_.origins(target_of(call)));
  ASSIGN_OR_RETURN(const QuarantineDetails found, show_quarantined(*pool, id, deadline()));
  Json data = described(found.object, origins);
  data["id"] = id.text();
  data["columns"] = found.columns;
  return Reply{std::move(data)};
}

Result<Reply> QuarantinePaths::release(const Call& call) {
  ASSIGN_OR_RETURN(const QuarantineId id, id_of(call));
  ASSIGN_OR_RETURN(const std::string owner, Fields(call.data).text_or("owner", ""));
  if (owner.empty())
    return Error{Errc::kInvalidArgument, "owner: the role that it is to belong to is missing"};
  ASSIGN_OR_RETURN(const auto pool, pool_in_charge_(target_of(call), deadline()));
  ASSIGN_OR_RETURN(const QuarantinedObject object,
                   release_quarantined(*pool, id, owner, deadline()));
  RETURN_IF_ERROR(forget(call, object));
  return Reply{Json{{"kind", object.kind}, {"name", object.name}, {"owner", owner}}};
}

Result<Reply> QuarantinePaths::drop(const Call& call) {
  ASSIGN_OR_RETURN(const QuarantineId id, id_of(call));
  const Fields fields(call.data);
  ASSIGN_OR_RETURN(const std::string confirm, fields.text_or("confirm", ""));
  ASSIGN_OR_RETURN(const bool cascade, fields.boolean_or("cascade", false));
  ASSIGN_OR_RETURN(const auto pool, pool_in_charge_(target_of(call), deadline()));
  ASSIGN_OR_RETURN(const QuarantineDropped dropped,
                   drop_quarantined(*pool, id, confirm, cascade, deadline()));
  RETURN_IF_ERROR(forget(call, dropped.object));
  Reply reply{Json{{"kind", dropped.object.kind}, {"name", dropped.object.name}}};
  if (!dropped.with_it.empty()) reply.data["dropped_with_it"] = dropped.with_it;
  return reply;
}

Status QuarantinePaths::forget(const Call& call, const QuarantinedObject& object) {
  return log_.forget(target_of(call), log_key(object));
}

}  // namespace curfew::engines::postgres
