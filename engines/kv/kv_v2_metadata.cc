#include "engines/kv/kv_v2.h"
#include "engines/kv/secret_path.h"

namespace curfew::engines::kv {
namespace {

// The settings that a request names; the others stay.
struct Changes {
  std::optional<std::int64_t> max_versions;
  std::optional<bool> cas_required;
  std::optional<Millis> delete_version_after;
  std::optional<Json> custom;  // with `patch`: members to set, or to remove where null

  bool empty() const { return !max_versions && !cas_required && !delete_version_after && !custom; }
};

bool is_null_member(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_null();
}

// A null member is as good as none in a write; in a patch it puts the setting back to its default.
Result<Changes> read_changes(const Json& request, bool patch) {
  const Fields fields(request);
  Changes changes;
  ASSIGN_OR_RETURN(changes.max_versions, read_max_versions(fields));
  ASSIGN_OR_RETURN(changes.cas_required, fields.boolean("cas_required"));
  ASSIGN_OR_RETURN(changes.delete_version_after, fields.duration("delete_version_after"));
  if (fields.has("custom_metadata")) {
    ASSIGN_OR_RETURN(changes.custom, check_custom_metadata(request["custom_metadata"], patch));
  }
  if (!patch) return changes;
  if (is_null_member(request, "max_versions")) changes.max_versions = 0;
  if (is_null_member(request, "cas_required")) changes.cas_required = false;
  if (is_null_member(request, "delete_version_after")) changes.delete_version_after = Millis{0};
  if (is_null_member(request, "custom_metadata")) changes.custom = Json(nullptr);
  return changes;
}

Status apply_changes(const Changes& changes, bool patch, KeyMetadata& meta) {
  meta.max_versions = changes.max_versions.value_or(meta.max_versions);
  meta.cas_required = changes.cas_required.value_or(meta.cas_required);
  meta.delete_version_after = changes.delete_version_after.value_or(meta.delete_version_after);
  if (!changes.custom) return ok();
  if (patch && changes.custom->is_object()) {
    if (meta.custom.is_null()) meta.custom = Json::object();
    meta.custom.merge_patch(*changes.custom);
    // The members that were there count too.
    RETURN_IF_ERROR(check_custom_metadata(meta.custom, false));
    return ok();
  }
  meta.custom = *changes.custom;
  return ok();
}

void warn_of_mandate(const Changes& changes, const MountConfig& config, Reply& reply) {
  if (config.cas_required && changes.cas_required == false)
    reply.warnings = {
        "\"cas_required\" set to false, but is mandated by backend config. This "
        "value will be ignored."};
}

}  // namespace

Result<Reply> KvV2::read_metadata(const Call& call) const {
  Reply reply;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto meta, load_metadata(reader, path_of(call)));
    if (!meta) return not_found();
    reply.data = meta->describe();
    return ok();
  }));
  return reply;
}

Result<Reply> KvV2::write_metadata(const Call& call) {
  const std::string path = path_of(call);
  RETURN_IF_ERROR(check_secret_path(path));
  ASSIGN_OR_RETURN(const auto changes, read_changes(call.data, false));
  if (changes.empty()) return Reply{};
  const WallTime now = services_.clock.wall();
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto config, load_config(writer));
    ASSIGN_OR_RETURN(auto meta, load_metadata(writer, path));
    if (!meta) meta = KeyMetadata{.created = now, .updated = now};
    warn_of_mandate(changes, config, reply);
    RETURN_IF_ERROR(apply_changes(changes, false, *meta));
    return store_metadata(writer, path, *meta);
  }));
  return reply;
}

Result<Reply> KvV2::patch_metadata(const Call& call) {
  const std::string path = path_of(call);
  RETURN_IF_ERROR(check_secret_path(path));
  ASSIGN_OR_RETURN(const auto changes, read_changes(call.data, true));
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto config, load_config(writer));
    ASSIGN_OR_RETURN(auto meta, load_metadata(writer, path));
    if (!meta) return not_found();
    warn_of_mandate(changes, config, reply);
    RETURN_IF_ERROR(apply_changes(changes, true, *meta));
    return store_metadata(writer, path, *meta);
  }));
  return reply;
}

Result<Reply> KvV2::delete_metadata(const Call& call) {
  const std::string path = path_of(call);
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto meta, load_metadata(writer, path));
    if (!meta) return ok();
    for (const auto& [number, version] : meta->versions) {
      if (!version.destroyed) RETURN_IF_ERROR(writer.remove(value_key(path, number)));
    }
    return writer.remove(metadata_key(path));
  }));
  return Reply{};
}

Result<Reply> KvV2::list_metadata(const Call& call) const {
  ASSIGN_OR_RETURN(auto names, services_.storage.list(list_prefix(metadata_key(path_of(call)))));
  ASSIGN_OR_RETURN(auto page, list_page(std::move(names), call.data));
  return Reply{.data = std::move(page)};
}

}  // namespace curfew::engines::kv
