#include "base/duration.h"
#include "engines/static_key/key_store.h"
#include "engines/static_key/static_key_engine.h"

namespace curfew::engines::static_key {
namespace {

const std::string& name_of(const Call& call) {
  static const std::string kNone;
  const auto it = call.params.find("name");
  return it == call.params.end() ? kNone : it->second;
}

// A read miss: no message, because clients expect an empty list of errors.
Error not_found() {
  return {Errc::kNotFound, ""};
}

Error unknown_key(const std::string& name) {
  return {Errc::kNotFound, "unknown key \"" + name + "\": list keys/ for the names there are"};
}

std::vector<FieldSpec> key_fields() {
  return {{"value", FieldType::kAny, "The secret: a string, or an object of strings."},
          {"type", FieldType::kText, "What it is, for people and programs: \"api_key\"."},
          {"description", FieldType::kText, "What it is for."},
          {"metadata", FieldType::kMap, "Members of your own, all strings; handed out too."},
          {"default_ttl", FieldType::kDuration, "How long a lease lives; 0: the mount's default."},
          {"max_ttl", FieldType::kDuration, "The longest a lease may live; 0: the mount's."},
          {"keep_versions", FieldType::kInteger,
           "How many of the newest versions are kept when no lease needs them; 1."}};
}

}  // namespace

std::vector<CallRoutes::Route> StaticKeyEngine::make_routes() {
  const std::vector<FieldSpec> rotate_fields{
      {"value", FieldType::kAny, "The new secret: a string, or an object of strings.", true},
      {"end_leases", FieldType::kBoolean, "Whether the leases of older versions end now."}};
  return {
      {{.pattern = "keys", .summary = "The names of the keys."},
       {{Operation::kList, [this](const Call& call) { return list_keys(call); }}}},
      {{.pattern = "keys/{name}",
        .summary = "A key. Reading it tells everything but the secret.",
        .fields = key_fields()},
       {{Operation::kRead, [this](const Call& call) { return read_key(call); }},
        {Operation::kUpdate, [this](const Call& call) { return write_key(call); }},
        {Operation::kDelete, [this](const Call& call) { return delete_key(call); }}}},
      {{.pattern = "keys/{name}/rotate",
        .summary = "Stores a new version of the secret, which was changed at its issuer.",
        .fields = rotate_fields},
       {{Operation::kUpdate, [this](const Call& call) { return rotate_key(call); }}}},
      {{.pattern = "creds/{name}",
        .summary = "The secret, on lease.",
        .fields = {{"ttl", FieldType::kDuration, "How long the lease shall live."}},
        .issues_lease = true},
       {}},
      {{.pattern = "leases/{id...}", .summary = "The secret again, through a lease that lives."},
       {{Operation::kRead, [this](const Call& call) { return read_lease(call); }}}},
  };
}

Result<std::optional<bool>> StaticKeyEngine::exists(const Call& call) const {
  if (!call.path.starts_with("keys/") || call.path.ends_with("/rotate"))
    return std::optional<bool>{};
  bool found = false;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto record, load_record(reader, name_of(call)));
    found = record.has_value();
    return ok();
  }));
  return std::optional<bool>{found};
}

Result<Reply> StaticKeyEngine::read_key(const Call& call) const {
  Reply reply;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto record, load_record(reader, name_of(call)));
    if (!record) return not_found();
    Json versions = Json::object();
    for (const auto& [number, version] : record->versions) {
      ASSIGN_OR_RETURN(const auto live, live_grants(reader, name_of(call), number));
      versions[std::to_string(number)] = {
          {"created_time", format_rfc3339(version.created)},
          {"superseded_time", version.superseded ? format_rfc3339(*version.superseded) : ""},
          {"leases", live}};
    }
    reply.data = {{"name", name_of(call)},
                  {"type", record->type},
                  {"description", record->description},
                  {"metadata", record->metadata},
                  {"default_ttl", record->default_ttl / Seconds{1}},
                  {"max_ttl", record->max_ttl / Seconds{1}},
                  {"keep_versions", record->keep_versions},
                  {"current_version", record->current_version},
                  {"versions", std::move(versions)}};
    return ok();
  }));
  return reply;
}

Result<Reply> StaticKeyEngine::write_key(const Call& call) {
  const std::string& name = name_of(call);
  ASSIGN_OR_RETURN(const auto changes, read_changes(call.data));
  const WallTime now = services_.clock.wall();
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(auto record, load_record(writer, name));
    if (!record && !changes.secret)
      return Error{Errc::kInvalidArgument,
                   "key \"" + name + "\" does not exist yet: give its secret as \"value\""};
    if (!record) record.emplace();
    RETURN_IF_ERROR(apply_settings(changes, *record));
    if (changes.secret) {
      RETURN_IF_ERROR(add_version(writer, name, *record, *changes.secret, now));
    } else {
      RETURN_IF_ERROR(drop_unneeded(writer, name, *record));
    }
    reply.data = {{"current_version", record->current_version}};
    return store_record(writer, name, *record);
  }));
  return reply;
}

Result<Reply> StaticKeyEngine::rotate_key(const Call& call) {
  const std::string& name = name_of(call);
  ASSIGN_OR_RETURN(const auto changes, read_changes(call.data));
  ASSIGN_OR_RETURN(const bool end_leases, Fields(call.data).boolean_or("end_leases", false));
  if (!changes.secret) return Error{Errc::kInvalidArgument, "missing \"value\": the new secret"};
  const WallTime now = services_.clock.wall();
  Reply reply;
  std::vector<std::int64_t> older;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(auto record, load_record(writer, name));
    if (!record) return unknown_key(name);
    older.clear();
    for (const auto& [version, ignored] : record->versions) older.push_back(version);
    ASSIGN_OR_RETURN(const bool added, add_version(writer, name, *record, *changes.secret, now));
    if (!added) {
      std::erase(older, record->current_version);
      reply.warnings = {"the value is the one that the key has already: no version was added"};
    }
    reply.data = {{"current_version", record->current_version}};
    return store_record(writer, name, *record);
  }));
  if (!end_leases) return reply;
  // After the new version is in place, so that who asks again is given that.
  std::int64_t ended = 0;
  for (const std::int64_t version : older) {
    auto count = services_.leases.end_all(resource_of(name, version));
    if (!count) {
      Error error = std::move(count).error();
      error.message =
          "the new version is stored, but not all leases of the old ones could be "
          "ended; the same request again ends the rest: " +
          error.message;
      return error;
    }
    ended += *count;
  }
  reply.data["ended_leases"] = ended;
  return reply;
}

Result<Reply> StaticKeyEngine::delete_key(const Call& call) {
  const std::string& name = name_of(call);
  ASSIGN_OR_RETURN(const bool force, Fields(call.data).boolean_or("force", false));
  std::optional<KeyRecord> record;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(record, load_record(reader, name));
    return ok();
  }));
  if (!record) return Reply{};
  const Error in_use{Errc::kInvalidArgument,
                     "key \"" + name +
                         "\" has live leases: end them first, or delete it with force=true, which "
                         "ends them"};
  for (const auto& [version, ignored] : record->versions) {
    const std::string resource = resource_of(name, version);
    if (force) {
      RETURN_IF_ERROR(services_.leases.end_all(resource));
    } else {
      ASSIGN_OR_RETURN(const auto live, services_.leases.count(resource));
      if (live > 0) return in_use;
    }
  }
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    // Again, as it is now: a lease may have come since.
    ASSIGN_OR_RETURN(record, load_record(writer, name));
    if (!record) return ok();
    for (const auto& [version, ignored] : record->versions) {
      ASSIGN_OR_RETURN(const auto live, live_grants(writer, name, version));
      if (live > 0 && !force) return in_use;
    }
    return erase_key(writer, name, *record);
  }));
  return Reply{};
}

Result<Reply> StaticKeyEngine::list_keys(const Call&) const {
  ASSIGN_OR_RETURN(auto names, services_.storage.list("key/"));
  if (names.empty()) return not_found();
  return Reply{.data = {{"keys", std::move(names)}}};
}

Result<Reply> StaticKeyEngine::read_lease(const Call& call) const {
  const auto id = call.params.find("id");
  if (id == call.params.end() || id->second.empty())
    return Error{Errc::kInvalidArgument, "missing lease: read leases/<lease id>"};
  ASSIGN_OR_RETURN(const auto lease, services_.leases.active(id->second));
  const Error ended{Errc::kNotFound,
                    "no live lease of this mount has that id: it has ended or never was; read "
                    "creds/<name> for a new one"};
  if (!lease) return ended;
  ASSIGN_OR_RETURN(const Grant grant, grant_of(lease->handle));
  const WallTime now = services_.clock.wall();
  if (lease->expires_at <= now) return ended;
  Reply reply;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const bool granted, has_grant(reader, grant.lease_id));
    if (!granted) return ended;
    ASSIGN_OR_RETURN(const auto record, load_record(reader, grant.name));
    ASSIGN_OR_RETURN(const auto secret, load_secret(reader, grant.name, grant.version));
    if (!record || !secret) return ended;
    reply.data = describe_secret(grant, *record, *secret);
    reply.advisory_ttl = lease->expires_at - now;
    return ok();
  }));
  return reply;
}

}  // namespace curfew::engines::static_key
