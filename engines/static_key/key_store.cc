#include "engines/static_key/key_store.h"

#include "base/encoding.h"

namespace curfew::engines::static_key {
namespace {

constexpr std::string_view kGrants = "grant/";
constexpr std::string_view kEnds = "ended/";
constexpr std::chrono::hours kEndsKept{24};
constexpr int kEndsForgottenMax = 1000;

std::string record_key(const std::string& name) {
  return "key/" + name;
}
std::string secret_key(const std::string& name, std::int64_t version) {
  return "value/" + name + "/" + std::to_string(version);
}
std::string live_key(const std::string& name, std::int64_t version) {
  return "live/" + name + "/" + std::to_string(version);
}
std::string last_key(const std::string& name) {
  return "last/" + name;
}
// One name, whatever slashes the lease's id has: grants are listed flat.
std::string grant_key(const std::string& lease_id) {
  return std::string(kGrants) + percent_encode(lease_id);
}
std::string end_key(const std::string& lease_id) {
  return std::string(kEnds) + percent_encode(lease_id);
}

Status change_live(StorageWriter& writer, const Grant& grant, std::int64_t by) {
  ASSIGN_OR_RETURN(const auto live, live_grants(writer, grant.name, grant.version));
  const std::string key = live_key(grant.name, grant.version);
  if (live + by <= 0) return writer.remove(key);
  return writer.put(key, Json{{"count", live + by}});
}

Result<Grant> grant_from_json(const Json& stored) {
  const Fields fields(stored);
  ASSIGN_OR_RETURN(auto lease_id, fields.text("lease_id"));
  ASSIGN_OR_RETURN(auto name, fields.text("name"));
  ASSIGN_OR_RETURN(const auto version, fields.integer("version"));
  if (!lease_id || !name || !version)
    return Error{Errc::kCorrupt,
                 "the lease's handle names no version of a key: it was not made by this engine"};
  return Grant{std::move(*lease_id), std::move(*name), *version};
}

Json grant_to_json(const Grant& grant) {
  return {{"lease_id", grant.lease_id}, {"name", grant.name}, {"version", grant.version}};
}

}  // namespace

std::string resource_of(std::string_view name, std::int64_t version) {
  return std::string(name) + "@" + std::to_string(version);
}

Handle handle_of(const Grant& grant) {
  return {resource_of(grant.name, grant.version), grant_to_json(grant)};
}

Result<Grant> grant_of(const Handle& handle) {
  return grant_from_json(handle.fields);
}

Result<std::optional<KeyRecord>> load_record(const StorageReader& reader, const std::string& name) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(record_key(name)));
  if (!stored) return std::optional<KeyRecord>{};
  ASSIGN_OR_RETURN(auto record, KeyRecord::from_json(*stored));
  return std::optional{std::move(record)};
}

Status store_record(StorageWriter& writer, const std::string& name, const KeyRecord& record) {
  return writer.put(record_key(name), record.to_json());
}

Result<std::optional<Json>> load_secret(const StorageReader& reader, const std::string& name,
                                        std::int64_t version) {
  return reader.get(secret_key(name, version));
}

Json describe_secret(const Grant& grant, const KeyRecord& record, Json secret) {
  secret["name"] = grant.name;
  secret["type"] = record.type;
  secret["version"] = grant.version;
  secret["metadata"] = record.metadata;
  return secret;
}

Result<bool> add_version(StorageWriter& writer, const std::string& name, KeyRecord& record,
                         const Json& secret, WallTime now) {
  if (record.current_version == 0) {
    ASSIGN_OR_RETURN(const auto last, writer.get(last_key(name)));
    if (last) {
      ASSIGN_OR_RETURN(record.current_version, Fields(*last).integer_or("version", 0));
    }
  } else {
    ASSIGN_OR_RETURN(const auto current, load_secret(writer, name, record.current_version));
    if (current == secret) return false;
    record.versions[record.current_version].superseded = now;
  }
  ++record.current_version;
  record.versions[record.current_version] = KeyVersion{now, std::nullopt};
  RETURN_IF_ERROR(drop_unneeded(writer, name, record));
  if (record.versions.size() > kVersionsMax)
    return Error{Errc::kOverloaded,
                 "live leases hold on to " + std::to_string(kVersionsMax) +
                     " old versions of this key: rotate with end_leases=true, or wait until "
                     "leases have ended"};
  RETURN_IF_ERROR(writer.put(secret_key(name, record.current_version), secret));
  return true;
}

Result<bool> drop_unneeded(StorageWriter& writer, const std::string& name, KeyRecord& record) {
  bool dropped = false;
  const auto keep = static_cast<std::size_t>(record.keep_versions);
  std::size_t newer = record.versions.size();
  for (auto it = record.versions.begin(); newer > keep; --newer) {
    const std::int64_t version = it->first;
    ASSIGN_OR_RETURN(const auto live, live_grants(writer, name, version));
    if (live > 0) {
      ++it;
      continue;
    }
    RETURN_IF_ERROR(writer.remove(secret_key(name, version)));
    it = record.versions.erase(it);
    dropped = true;
  }
  return dropped;
}

Status erase_key(StorageWriter& writer, const std::string& name, const KeyRecord& record) {
  for (const auto& [version, ignored] : record.versions)
    RETURN_IF_ERROR(writer.remove(secret_key(name, version)));
  RETURN_IF_ERROR(writer.put(last_key(name), Json{{"version", record.current_version}}));
  return writer.remove(record_key(name));
}

Result<std::int64_t> live_grants(const StorageReader& reader, const std::string& name,
                                 std::int64_t version) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(live_key(name, version)));
  if (!stored) return 0;
  return Fields(*stored).integer_or("count", 0);
}

Result<bool> has_grant(const StorageReader& reader, const std::string& lease_id) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(grant_key(lease_id)));
  return stored.has_value();
}

Result<bool> add_grant(StorageWriter& writer, const Grant& grant) {
  ASSIGN_OR_RETURN(const auto ended, writer.get(end_key(grant.lease_id)));
  if (ended) return false;
  ASSIGN_OR_RETURN(const bool present, has_grant(writer, grant.lease_id));
  if (present) return true;
  RETURN_IF_ERROR(writer.put(grant_key(grant.lease_id), grant_to_json(grant)));
  RETURN_IF_ERROR(change_live(writer, grant, 1));
  return true;
}

Status end_grant(StorageWriter& writer, const Grant& grant, WallTime now) {
  ASSIGN_OR_RETURN(const bool present, has_grant(writer, grant.lease_id));
  if (!present) return writer.put(end_key(grant.lease_id), Json{{"at", to_unix_millis(now)}});
  RETURN_IF_ERROR(writer.remove(grant_key(grant.lease_id)));
  return change_live(writer, grant, -1);
}

Result<std::vector<Grant>> all_grants(const StorageReader& reader) {
  std::vector<Grant> grants;
  ASSIGN_OR_RETURN(const auto names, reader.list(kGrants));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto stored, reader.get(std::string(kGrants) + name));
    if (!stored) continue;
    ASSIGN_OR_RETURN(auto grant, grant_from_json(*stored));
    grants.push_back(std::move(grant));
  }
  return grants;
}

Status forget_old_ends(StorageWriter& writer, WallTime now) {
  ASSIGN_OR_RETURN(const auto names, writer.list(kEnds));
  int forgotten = 0;
  for (const std::string& name : names) {
    const std::string key = std::string(kEnds) + name;
    ASSIGN_OR_RETURN(const auto stored, writer.get(key));
    if (!stored) continue;
    ASSIGN_OR_RETURN(const auto at, Fields(*stored).integer_or("at", 0));
    if (now - from_unix_millis(at) < kEndsKept) continue;
    RETURN_IF_ERROR(writer.remove(key));
    if (++forgotten == kEndsForgottenMax) break;
  }
  return ok();
}

}  // namespace curfew::engines::static_key
