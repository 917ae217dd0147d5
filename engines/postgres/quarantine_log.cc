#include "engines/postgres/quarantine_log.h"

#include <algorithm>

#include "base/duration.h"

namespace curfew::engines::postgres {
namespace {

std::string prefix_of(std::string_view target) {
  return "quarantine/" + std::string(target) + "/";
}

// The last part of a lease's id is unique by itself.
std::string key_of(std::string_view target, const std::string& lease_id) {
  return prefix_of(target) + lease_id.substr(lease_id.rfind('/') + 1);
}

QuarantineLog::Key object_key(const Json& object) {
  return {object.value("database", ""), object.value("catalog", 0u), object.value("oid", 0u)};
}

Json new_entry(const std::string& lease_id, const LeaseHandle& handle, WallTime now) {
  Json entry{{"lease", lease_id},
             {"database_role", handle.database_role},
             {"since", format_rfc3339(now)},
             {"objects", Json::array()}};
  if (!handle.requested_by.empty()) entry["requested_by"] = handle.requested_by;
  if (!handle.entity.empty()) entry["entity"] = handle.entity;
  if (!handle.trace.empty()) entry["trace"] = handle.trace;
  return entry;
}

}  // namespace

Status QuarantineLog::add(const std::string& lease_id, const LeaseHandle& handle,
                          const std::string& database, const std::vector<KeptObject>& objects,
                          WallTime now) {
  if (objects.empty()) return ok();
  return storage_.write([&](StorageWriter& writer) -> Status {
    const std::string key = key_of(handle.target, lease_id);
    ASSIGN_OR_RETURN(auto stored, writer.get(key));
    Json entry = stored ? std::move(*stored) : new_entry(lease_id, handle, now);
    Json& list = entry["objects"];
    for (const KeptObject& object : objects) {
      const Json line{{"database", database},
                      {"catalog", object.catalog},
                      {"oid", object.oid},
                      {"kind", object.kind},
                      {"name", object.name}};
      if (std::find(list.begin(), list.end(), line) == list.end()) list.push_back(line);
    }
    return writer.put(key, entry);
  });
}

Result<std::map<QuarantineLog::Key, Json>> QuarantineLog::origins(std::string_view target) const {
  std::map<Key, Json> out;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, reader.list(prefix_of(target)));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(auto entry, reader.get(prefix_of(target) + name));
      if (!entry || !entry->is_object()) continue;
      const Json objects = entry->value("objects", Json::array());
      entry->erase("objects");
      for (const Json& object : objects)
        if (object.is_object()) out.insert_or_assign(object_key(object), *entry);
    }
    return ok();
  }));
  return out;
}

Status QuarantineLog::forget(std::string_view target, const Key& key) {
  return storage_.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto names, writer.list(prefix_of(target)));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(auto entry, writer.get(prefix_of(target) + name));
      if (!entry || !entry->is_object()) continue;
      Json left = Json::array();
      const Json objects = entry->value("objects", Json::array());
      for (const Json& object : objects)
        if (!object.is_object() || object_key(object) != key) left.push_back(object);
      if (left.size() == objects.size()) continue;
      if (left.empty()) {
        RETURN_IF_ERROR(writer.remove(prefix_of(target) + name));
      } else {
        (*entry)["objects"] = std::move(left);
        RETURN_IF_ERROR(writer.put(prefix_of(target) + name, *entry));
      }
    }
    return ok();
  });
}

}  // namespace curfew::engines::postgres
