#include <algorithm>
#include <charconv>

#include "engines/kv/kv_v2.h"
#include "engines/kv/secret_path.h"

namespace curfew::engines::kv {
namespace {

// Clients read the body of this 404: it tells a deleted version from one that never was.
Reply gone(Json data) {
  return Reply{.data = std::move(data), .status = 404};
}

Error missing_value() {
  return {Errc::kCorrupt,
          "the value of this version is missing from the store: read another version, and restore "
          "the store from a backup"};
}

// The version that a read asks for: "version", or the current one for none, zero and negatives.
Result<std::int64_t> asked_version(const Call& call, const KeyMetadata& meta) {
  ASSIGN_OR_RETURN(const auto version, Fields(call.data).integer_or("version", 0));
  return version > 0 ? version : meta.current_version;
}

Status check_cas(const Json& request, const MountConfig& config, const KeyMetadata& meta) {
  ASSIGN_OR_RETURN(const auto options, Fields(request).object("options"));
  if (options && Fields(*options).has("cas")) {
    const auto cas = Fields(*options).integer("cas");
    if (!cas || !*cas)
      return Error{Errc::kInvalidArgument, "error parsing check-and-set parameter"};
    if (**cas != meta.current_version)
      return Error{Errc::kInvalidArgument,
                   "check-and-set parameter did not match the current version"};
    return ok();
  }
  if (config.cas_required || meta.cas_required)
    return Error{Errc::kInvalidArgument, "check-and-set parameter required for this call"};
  return ok();
}

Result<Json> data_member(const Json& request) {
  ASSIGN_OR_RETURN(auto data, Fields(request).object("data"));
  if (!data) return Error{Errc::kInvalidArgument, "no data provided"};
  return std::move(*data);
}

// "versions" of a request: numbers, or numbers written as strings.
Result<std::vector<std::int64_t>> read_versions(const Json& request) {
  ASSIGN_OR_RETURN(const auto texts, Fields(request).comma_list("versions"));
  if (!texts || texts->empty()) return Error{Errc::kInvalidArgument, "No version number provided"};
  std::vector<std::int64_t> versions;
  for (const std::string& text : *texts) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
      return Error{Errc::kInvalidArgument,
                   "field \"versions\": expected a list of version numbers"};
    versions.push_back(number);
  }
  return versions;
}

Status append_version(StorageWriter& writer, const std::string& path, KeyMetadata& meta,
                      const MountConfig& config, const Json& data, WallTime now) {
  for (const std::int64_t dropped : meta.add_version(now, config))
    RETURN_IF_ERROR(writer.remove(value_key(path, dropped)));
  RETURN_IF_ERROR(writer.put(value_key(path, meta.current_version), data));
  return store_metadata(writer, path, meta);
}

// What is left of a value when only its names may be seen. `depth` counts the levels still to be
// shown; 0 at the top means all.
Json names_of(const Json& value, std::int64_t level, std::int64_t depth) {
  if (!value.is_object() || value.empty()) return nullptr;
  if (depth > 0 && level > depth) return nullptr;
  Json out = Json::object();
  for (const auto& [name, item] : value.items()) out[name] = names_of(item, level + 1, depth);
  return out;
}

// Runs `change` on each of the versions that exist and are not destroyed, in one transaction.
// Absent secrets and versions are success, as clients expect.
using VersionChange =
    std::function<Status(StorageWriter& writer, const MountConfig& config, KeyMetadata& meta,
                         std::int64_t number, VersionMetadata& version)>;

Status change_versions(MountStorage& storage, const std::string& path,
                       const std::vector<std::int64_t>* numbers, const VersionChange& change) {
  return storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(auto meta, load_metadata(writer, path));
    if (!meta) return ok();
    ASSIGN_OR_RETURN(const auto config, load_config(writer));
    const std::vector<std::int64_t> latest{meta->current_version};
    for (const std::int64_t number : numbers == nullptr ? latest : *numbers) {
      VersionMetadata* version = meta->find(number);
      if (version == nullptr || version->destroyed) continue;
      RETURN_IF_ERROR(change(writer, config, *meta, number, *version));
    }
    return store_metadata(writer, path, *meta);
  });
}

VersionChange deleting(WallTime now) {
  return [now](StorageWriter&, const MountConfig&, KeyMetadata&, std::int64_t,
               VersionMetadata& version) -> Status {
    // An earlier deletion keeps its time.
    if (version.readable(now)) version.deletion = now;
    return ok();
  };
}

}  // namespace

Result<Reply> KvV2::read_data(const Call& call) const {
  const std::string path = path_of(call);
  const WallTime now = services_.clock.wall();
  Reply reply;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto meta, load_metadata(reader, path));
    if (!meta) return not_found();
    ASSIGN_OR_RETURN(const auto number, asked_version(call, *meta));
    const VersionMetadata* version = meta->find(number);
    if (version == nullptr) return not_found();
    Json data{{"data", nullptr}, {"metadata", meta->describe_version(number)}};
    if (!version->readable(now)) {
      reply = gone(std::move(data));
      return ok();
    }
    ASSIGN_OR_RETURN(auto value, reader.get(value_key(path, number)));
    if (!value) return missing_value();
    data["data"] = std::move(*value);
    reply = Reply{.data = std::move(data)};
    return ok();
  }));
  return reply;
}

Result<Reply> KvV2::read_subkeys(const Call& call) const {
  ASSIGN_OR_RETURN(const auto depth, Fields(call.data).integer_or("depth", 0));
  if (depth < 0)
    return Error{Errc::kInvalidArgument,
                 "field \"depth\": expected a number of levels, or 0 for all"};
  ASSIGN_OR_RETURN(Reply reply, read_data(call));
  Json& value = reply.data["data"];
  Json names = value.is_object() ? Json::object() : Json(nullptr);
  if (value.is_object()) {
    for (const auto& [name, item] : value.items()) names[name] = names_of(item, 2, depth);
  }
  reply.data["subkeys"] = std::move(names);
  reply.data.erase("data");
  return reply;
}

Result<Reply> KvV2::write_data(const Call& call) {
  const std::string path = path_of(call);
  RETURN_IF_ERROR(check_secret_path(path));
  ASSIGN_OR_RETURN(const Json data, data_member(call.data));
  RETURN_IF_ERROR(check_secret_size(data));
  const WallTime now = services_.clock.wall();
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto config, load_config(writer));
    ASSIGN_OR_RETURN(auto meta, load_metadata(writer, path));
    if (!meta) meta.emplace();
    RETURN_IF_ERROR(check_cas(call.data, config, *meta));
    RETURN_IF_ERROR(append_version(writer, path, *meta, config, data, now));
    reply.data = meta->describe_version(meta->current_version);
    return ok();
  }));
  return reply;
}

Result<Reply> KvV2::patch_data(const Call& call) {
  const std::string path = path_of(call);
  ASSIGN_OR_RETURN(const Json patch, data_member(call.data));
  const WallTime now = services_.clock.wall();
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto config, load_config(writer));
    ASSIGN_OR_RETURN(auto meta, load_metadata(writer, path));
    if (!meta) return not_found();
    RETURN_IF_ERROR(check_cas(call.data, config, *meta));
    const std::int64_t current = meta->current_version;
    const VersionMetadata* version = meta->find(current);
    if (version == nullptr) return not_found();
    if (!version->readable(now)) {
      reply = gone(meta->describe_version(current));
      return ok();
    }
    ASSIGN_OR_RETURN(auto value, writer.get(value_key(path, current)));
    if (!value) return missing_value();
    value->merge_patch(patch);
    RETURN_IF_ERROR(check_secret_size(*value));
    RETURN_IF_ERROR(append_version(writer, path, *meta, config, *value, now));
    reply.data = meta->describe_version(meta->current_version);
    return ok();
  }));
  return reply;
}

Result<Reply> KvV2::delete_latest(const Call& call) {
  RETURN_IF_ERROR(
      change_versions(services_.storage, path_of(call), nullptr, deleting(services_.clock.wall())));
  return Reply{};
}

Result<Reply> KvV2::delete_versions(const Call& call) {
  ASSIGN_OR_RETURN(const auto versions, read_versions(call.data));
  RETURN_IF_ERROR(change_versions(services_.storage, path_of(call), &versions,
                                  deleting(services_.clock.wall())));
  return Reply{};
}

Result<Reply> KvV2::undelete_versions(const Call& call) {
  ASSIGN_OR_RETURN(const auto versions, read_versions(call.data));
  const WallTime now = services_.clock.wall();
  RETURN_IF_ERROR(
      change_versions(services_.storage, path_of(call), &versions,
                      [now](StorageWriter&, const MountConfig& config, KeyMetadata& meta,
                            std::int64_t, VersionMetadata& version) -> Status {
                        // Counted from now: from its creation it would be deleted again at once.
                        version.deletion = meta.deletion_from(now, config);
                        return ok();
                      }));
  return Reply{};
}

Result<Reply> KvV2::destroy_versions(const Call& call) {
  ASSIGN_OR_RETURN(const auto versions, read_versions(call.data));
  const std::string path = path_of(call);
  RETURN_IF_ERROR(change_versions(services_.storage, path, &versions,
                                  [&path](StorageWriter& writer, const MountConfig&, KeyMetadata&,
                                          std::int64_t number, VersionMetadata& version) -> Status {
                                    version.destroyed = true;
                                    return writer.remove(value_key(path, number));
                                  }));
  return Reply{};
}

}  // namespace curfew::engines::kv
