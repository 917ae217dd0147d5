#include "engines/kv/key_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace curfew::engines::kv {
namespace {

constexpr std::size_t kCustomKeysMax = 64;
constexpr std::size_t kCustomKeyBytesMax = 128;
constexpr std::size_t kCustomValueBytesMax = 512;

Error bad_custom(std::string what) {
  return {Errc::kInvalidArgument, "custom_metadata validation failed: " + std::move(what)};
}

// Control characters of ASCII; everything else that is UTF-8 may be shown.
bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// Quoted for a message, on one line and bounded.
std::string shown(std::string_view text) {
  return dump_json(Json(std::string(text.substr(0, kCustomKeyBytesMax))));
}

Error corrupt(std::string_view what) {
  return {Errc::kCorrupt, fmt::format("the stored {} of a kv mount cannot be read: restore the "
                                      "store from a backup",
                                      what)};
}

Result<VersionMetadata> version_from_json(const Json& stored) {
  const Fields fields(stored);
  ASSIGN_OR_RETURN(const auto created, fields.integer("created"));
  ASSIGN_OR_RETURN(const auto deletion, fields.integer("deletion"));
  ASSIGN_OR_RETURN(const auto destroyed, fields.boolean_or("destroyed", false));
  if (!created) return corrupt("version");
  VersionMetadata version{from_unix_millis(*created), std::nullopt, destroyed};
  if (deletion) version.deletion = from_unix_millis(*deletion);
  return version;
}

std::string time_or_empty(const std::optional<WallTime>& time) {
  return time ? format_rfc3339(*time) : std::string();
}

}  // namespace

Json MountConfig::to_json() const {
  return {{"max_versions", max_versions},
          {"cas_required", cas_required},
          {"delete_version_after_ms", delete_version_after.count()}};
}

Result<MountConfig> MountConfig::from_json(const Json& stored) {
  const Fields fields(stored);
  MountConfig config;
  ASSIGN_OR_RETURN(config.max_versions, fields.integer_or("max_versions", 0));
  ASSIGN_OR_RETURN(config.cas_required, fields.boolean_or("cas_required", false));
  ASSIGN_OR_RETURN(const auto after, fields.integer_or("delete_version_after_ms", 0));
  config.delete_version_after = Millis{after};
  return config;
}

Json KeyMetadata::to_json() const {
  Json list = Json::object();
  for (const auto& [number, version] : versions) {
    Json item{{"created", to_unix_millis(version.created)}};
    if (version.deletion) item["deletion"] = to_unix_millis(*version.deletion);
    if (version.destroyed) item["destroyed"] = true;
    list[std::to_string(number)] = std::move(item);
  }
  return {{"current_version", current_version},
          {"oldest_version", oldest_version},
          {"created", to_unix_millis(created)},
          {"updated", to_unix_millis(updated)},
          {"max_versions", max_versions},
          {"cas_required", cas_required},
          {"delete_version_after_ms", delete_version_after.count()},
          {"custom", custom},
          {"versions", std::move(list)}};
}

Result<KeyMetadata> KeyMetadata::from_json(const Json& stored) {
  const Fields fields(stored);
  KeyMetadata meta;
  ASSIGN_OR_RETURN(meta.current_version, fields.integer_or("current_version", 0));
  ASSIGN_OR_RETURN(meta.oldest_version, fields.integer_or("oldest_version", 0));
  ASSIGN_OR_RETURN(const auto created, fields.integer_or("created", 0));
  ASSIGN_OR_RETURN(const auto updated, fields.integer_or("updated", 0));
  meta.created = from_unix_millis(created);
  meta.updated = from_unix_millis(updated);
  ASSIGN_OR_RETURN(meta.max_versions, fields.integer_or("max_versions", 0));
  ASSIGN_OR_RETURN(meta.cas_required, fields.boolean_or("cas_required", false));
  ASSIGN_OR_RETURN(const auto after, fields.integer_or("delete_version_after_ms", 0));
  meta.delete_version_after = Millis{after};
  ASSIGN_OR_RETURN(auto custom, fields.object("custom"));
  if (custom) meta.custom = std::move(*custom);
  ASSIGN_OR_RETURN(const auto list, fields.object("versions"));
  if (!list) return corrupt("metadata");
  for (const auto& [name, item] : list->items()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size()) return corrupt("metadata");
    ASSIGN_OR_RETURN(meta.versions[number], version_from_json(item));
  }
  return meta;
}

VersionMetadata* KeyMetadata::find(std::int64_t version) {
  const auto it = versions.find(version);
  return it == versions.end() ? nullptr : &it->second;
}

const VersionMetadata* KeyMetadata::find(std::int64_t version) const {
  const auto it = versions.find(version);
  return it == versions.end() ? nullptr : &it->second;
}

std::vector<std::int64_t> KeyMetadata::add_version(WallTime now, const MountConfig& config) {
  if (current_version == 0 && created == WallTime{}) created = now;
  updated = now;
  ++current_version;
  versions[current_version] = VersionMetadata{now, deletion_from(now, config), false};
  std::int64_t keep = max_versions > 0 ? max_versions : config.max_versions;
  if (keep <= 0) keep = kVersionsDefault;
  std::vector<std::int64_t> dropped;
  while (versions.begin()->first <= current_version - keep) {
    dropped.push_back(versions.begin()->first);
    versions.erase(versions.begin());
  }
  if (!dropped.empty()) oldest_version = versions.begin()->first;
  return dropped;
}

std::optional<WallTime> KeyMetadata::deletion_from(WallTime now, const MountConfig& config) const {
  const Millis mount = config.delete_version_after;
  if (mount < Millis{0}) return std::nullopt;
  Millis after = delete_version_after;
  if (after == Millis{0} || (mount > Millis{0} && mount < after)) after = mount;
  if (after == Millis{0}) return std::nullopt;
  return now + after;
}

Json KeyMetadata::describe_version(std::int64_t version) const {
  const VersionMetadata& found = *find(version);
  return {{"version", version},
          {"created_time", format_rfc3339(found.created)},
          {"deletion_time", time_or_empty(found.deletion)},
          {"destroyed", found.destroyed},
          {"custom_metadata", custom}};
}

Json KeyMetadata::describe() const {
  Json list = Json::object();
  for (const auto& [number, version] : versions) {
    list[std::to_string(number)] = {{"created_time", format_rfc3339(version.created)},
                                    {"deletion_time", time_or_empty(version.deletion)},
                                    {"destroyed", version.destroyed}};
  }
  return {{"current_version", current_version},
          {"oldest_version", oldest_version},
          {"created_time", format_rfc3339(created)},
          {"updated_time", format_rfc3339(updated)},
          {"max_versions", max_versions},
          {"cas_required", cas_required},
          {"delete_version_after", format_duration(delete_version_after)},
          {"custom_metadata", custom},
          {"versions", std::move(list)}};
}

Result<Json> check_custom_metadata(const Json& value, bool patch) {
  if (!value.is_object()) return bad_custom("expected an object whose values are strings");
  if (value.size() > kCustomKeysMax)
    return bad_custom(fmt::format("payload must contain at most {} keys, provided {}",
                                  kCustomKeysMax, value.size()));
  Json out = Json::object();
  const Fields fields(value);
  for (const auto& [name, item] : value.items()) {
    if (name.empty() || name.size() > kCustomKeyBytesMax)
      return bad_custom(fmt::format("length of key {} is {} but must be 0 < len(key) <= {}",
                                    shown(name), name.size(), kCustomKeyBytesMax));
    if (!printable(name))
      return bad_custom(fmt::format("key {} contains unprintable characters", shown(name)));
    if (item.is_null() && patch) {
      out[name] = nullptr;
      continue;
    }
    const auto text = fields.text(name);
    if (!text) return bad_custom(fmt::format("value for key {} is not a string", shown(name)));
    const std::string found = text->value_or("");
    if (found.empty() || found.size() > kCustomValueBytesMax)
      return bad_custom(
          fmt::format("length of value for key {} is {} but must be 0 < len(value) <= {}",
                      shown(name), found.size(), kCustomValueBytesMax));
    if (!printable(found))
      return bad_custom(
          fmt::format("value for key {} contains unprintable characters", shown(name)));
    out[name] = found;
  }
  return out;
}

}  // namespace curfew::engines::kv
