#include "engines/postgres/quarantine_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/duration.h"

namespace curfew::engines::postgres {
namespace {

std::string prefix_of(std::string_view target) {
  return "quarantine/" + std::string(target) + "/";
}

// A role may leave any number of objects behind: each record holds a part of them, so that none
// grows with their number. The last part of a lease's id is unique by itself; the first object
// tells the parts of a lease apart, and is the same when one is written again.
constexpr std::size_t kObjectsPerRecord = 500;

std::string key_of(std::string_view target, const std::string& lease_id, const KeptObject& first) {
  return fmt::format("{}{}.{}-{}", prefix_of(target), lease_id.substr(lease_id.rfind('/') + 1),
                     first.catalog, first.oid);
}

QuarantineLog::Key object_key(const Json& object) {
  const Fields fields(object);
  const auto number = [&](std::string_view name) {
    const auto found = fields.integer_or(name, 0);
    return static_cast<std::uint32_t>(found ? *found : 0);
  };
  const auto database = fields.text_or("database", "");
  return {database ? *database : "", number("catalog"), number("oid")};
}

// The objects of a record but for one; nullopt where that one is not in it.
std::optional<Json> objects_without(const Json& entry, const QuarantineLog::Key& key) {
  if (!entry.is_object()) return std::nullopt;
  const Json objects = entry.value("objects", Json::array());
  Json left = Json::array();
  for (const Json& object : objects)
    if (!object.is_object() || object_key(object) != key) left.push_back(object);
  if (left.size() == objects.size()) return std::nullopt;
  return left;
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
  for (std::size_t at = 0; at < objects.size(); at += kObjectsPerRecord) {
    const std::size_t count = std::min(kObjectsPerRecord, objects.size() - at);
    RETURN_IF_ERROR(
        add_record(lease_id, handle, database, std::span(objects).subspan(at, count), now));
  }
  return ok();
}

Status QuarantineLog::add_record(const std::string& lease_id, const LeaseHandle& handle,
                                 const std::string& database, std::span<const KeptObject> objects,
                                 WallTime now) {
  std::map<Key, Json> lines;
  for (const KeptObject& object : objects)
    lines.insert_or_assign(Key{database, object.catalog, object.oid},
                           Json{{"database", database},
                                {"catalog", object.catalog},
                                {"oid", object.oid},
                                {"kind", object.kind},
                                {"name", object.name}});
  return storage_.write([&](StorageWriter& writer) -> Status {
    const std::string key = key_of(handle.target, lease_id, objects.front());
    ASSIGN_OR_RETURN(auto stored, writer.get(key));
    Json entry = stored ? std::move(*stored) : new_entry(lease_id, handle, now);
    // An object of another database may have the same numbers.
    for (const Json& line : entry["objects"]) lines.emplace(object_key(line), line);
    entry["objects"] = Json::array();
    for (const auto& [object, line] : lines) entry["objects"].push_back(line);
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

// Many records may have to be looked through; that holds up nobody who writes.
Status QuarantineLog::forget(std::string_view target, const Key& key) {
  std::vector<std::string> holding;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, reader.list(prefix_of(target)));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(const auto entry, reader.get(prefix_of(target) + name));
      if (entry && objects_without(*entry, key)) holding.push_back(prefix_of(target) + name);
    }
    return ok();
  }));
  if (holding.empty()) return ok();
  return storage_.write([&](StorageWriter& writer) -> Status {
    for (const std::string& record : holding) {
      ASSIGN_OR_RETURN(auto entry, writer.get(record));
      auto left = entry ? objects_without(*entry, key) : std::nullopt;
      if (!left) continue;
      if (left->empty()) {
        RETURN_IF_ERROR(writer.remove(record));
      } else {
        (*entry)["objects"] = std::move(*left);
        RETURN_IF_ERROR(writer.put(record, *entry));
      }
    }
    return ok();
  });
}

}  // namespace curfew::engines::postgres
