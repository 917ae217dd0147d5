#include "engines/kv/kv_v1.h"

#include "engines/kv/secret_path.h"

namespace curfew::engines::kv {
namespace {

std::string key_of(const Call& call) {
  const auto it = call.params.find("path");
  return std::string(kV1Prefix) + (it == call.params.end() ? "" : it->second);
}

std::string_view path_of(const std::string& key) {
  return std::string_view(key).substr(kV1Prefix.size());
}

// 0: the mount's default. A member that is no duration is a value like any other.
Millis advisory_ttl(const Json& data) {
  const Fields fields(data);
  for (const char* member : {"ttl", "lease"}) {
    if (!fields.has(member)) continue;
    const auto ttl = fields.duration(member);
    return ttl && *ttl ? **ttl : Millis{0};
  }
  return Millis{0};
}

}  // namespace

KvV1::KvV1(Services services)
    : services_(std::move(services)),
      routes_({CallRoutes::Route{
          RouteSpec{.pattern = "{path...}",
                    .summary = "The secret at a path: a map of members, stored as it is written.",
                    .fields = {{"after", FieldType::kText, "List only names behind this one."},
                               {"limit", FieldType::kInteger, "List at most so many names."}}},
          {{Operation::kRead, [this](const Call& call) { return read(call); }},
           {Operation::kUpdate, [this](const Call& call) { return write(call); }},
           {Operation::kDelete, [this](const Call& call) { return remove(call); }},
           {Operation::kList, [this](const Call& call) { return list(call); }}}}}) {}

Result<std::optional<bool>> KvV1::exists(const Call& call) const {
  ASSIGN_OR_RETURN(const auto value, services_.storage.get(key_of(call)));
  return std::optional<bool>{value.has_value()};
}

Result<Reply> KvV1::read(const Call& call) const {
  ASSIGN_OR_RETURN(auto value, services_.storage.get(key_of(call)));
  if (!value) return not_found();
  const Millis ttl = advisory_ttl(*value);
  return Reply{.data = std::move(*value), .advisory_ttl = ttl};
}

Result<Reply> KvV1::write(const Call& call) {
  const std::string key = key_of(call);
  RETURN_IF_ERROR(check_secret_path(path_of(key)));
  if (call.data.empty()) return Error{Errc::kInvalidArgument, "missing data fields"};
  RETURN_IF_ERROR(check_secret_size(call.data));
  RETURN_IF_ERROR(services_.storage.put(key, call.data));
  return Reply{};
}

Result<Reply> KvV1::remove(const Call& call) {
  RETURN_IF_ERROR(services_.storage.remove(key_of(call)));
  return Reply{};
}

Result<Reply> KvV1::list(const Call& call) const {
  ASSIGN_OR_RETURN(auto names, services_.storage.list(list_prefix(key_of(call))));
  ASSIGN_OR_RETURN(auto page, list_page(std::move(names), call.data));
  return Reply{.data = std::move(page)};
}

}  // namespace curfew::engines::kv
