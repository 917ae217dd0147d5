#include "engines/static_key/key_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace curfew::engines::static_key {
namespace {

constexpr std::size_t kTypeBytesMax = 64;
constexpr std::size_t kDescriptionBytesMax = 1024;
constexpr std::size_t kFieldNameBytesMax = 128;
constexpr std::size_t kMetadataValueBytesMax = 512;

Error bad_field(std::string_view name, std::string_view what) {
  return {Errc::kInvalidArgument, fmt::format("field \"{}\": {}", name, what)};
}

Error corrupt() {
  return {Errc::kCorrupt,
          "the stored record of a key cannot be read: restore the store from a backup"};
}

bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Status check_label(std::string_view name, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    return bad_field(name, fmt::format("at most {} bytes are allowed", bytes_max));
  if (!printable(text)) return bad_field(name, "control characters are not allowed");
  return ok();
}

Status check_names(std::string_view member, const Json& object) {
  if (object.size() > kFieldsMax)
    return bad_field(member, fmt::format("at most {} members are allowed", kFieldsMax));
  for (const auto& [name, value] : object.items()) {
    if (name.empty() || name.size() > kFieldNameBytesMax || !printable(name))
      return bad_field(member, fmt::format("the name of a member has 1 to {} printable bytes",
                                           kFieldNameBytesMax));
  }
  return ok();
}

// A secret is one text, or several by name.
Result<Json> read_secret(const Json& request) {
  const Fields fields(request);
  Json secret;
  if (request["value"].is_object()) {
    ASSIGN_OR_RETURN(auto map, fields.text_map("value"));
    Json named(std::move(*map));
    RETURN_IF_ERROR(check_names("value", named));
    if (named.empty()) return bad_field("value", "an empty object is no secret");
    secret["fields"] = std::move(named);
  } else {
    auto text = fields.text("value");
    if (!text) return bad_field("value", "expected a string, or an object of strings");
    if ((*text)->empty()) return bad_field("value", "an empty string is no secret");
    secret["value"] = std::move(**text);
  }
  if (dump_json(secret).size() > kSecretBytesMax)
    return bad_field("value", fmt::format("at most {} bytes are allowed", kSecretBytesMax));
  return secret;
}

Result<Json> read_metadata(const Fields& fields) {
  ASSIGN_OR_RETURN(auto map, fields.text_map("metadata"));
  Json metadata(std::move(*map));
  if (metadata.is_null()) metadata = Json::object();
  RETURN_IF_ERROR(check_names("metadata", metadata));
  for (const auto& [name, value] : metadata.items())
    RETURN_IF_ERROR(
        check_label("metadata", value.get_ref<const std::string&>(), kMetadataValueBytesMax));
  return metadata;
}

}  // namespace

Json KeyRecord::to_json() const {
  Json list = Json::object();
  for (const auto& [number, version] : versions) {
    Json item{{"created", to_unix_millis(version.created)}};
    if (version.superseded) item["superseded"] = to_unix_millis(*version.superseded);
    list[std::to_string(number)] = std::move(item);
  }
  return {{"type", type},
          {"description", description},
          {"metadata", metadata},
          {"default_ttl_ms", default_ttl.count()},
          {"max_ttl_ms", max_ttl.count()},
          {"keep_versions", keep_versions},
          {"current_version", current_version},
          {"versions", std::move(list)}};
}

Result<KeyRecord> KeyRecord::from_json(const Json& stored) {
  const Fields fields(stored);
  KeyRecord record;
  ASSIGN_OR_RETURN(record.type, fields.text_or("type", "generic"));
  ASSIGN_OR_RETURN(record.description, fields.text_or("description", ""));
  ASSIGN_OR_RETURN(auto metadata, fields.object("metadata"));
  if (metadata) record.metadata = std::move(*metadata);
  ASSIGN_OR_RETURN(const auto default_ttl, fields.integer_or("default_ttl_ms", 0));
  ASSIGN_OR_RETURN(const auto max_ttl, fields.integer_or("max_ttl_ms", 0));
  record.default_ttl = Millis{default_ttl};
  record.max_ttl = Millis{max_ttl};
  ASSIGN_OR_RETURN(record.keep_versions, fields.integer_or("keep_versions", 1));
  ASSIGN_OR_RETURN(record.current_version, fields.integer_or("current_version", 0));
  ASSIGN_OR_RETURN(const auto list, fields.object("versions"));
  if (!list) return corrupt();
  for (const auto& [name, item] : list->items()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size()) return corrupt();
    const Fields version(item);
    ASSIGN_OR_RETURN(const auto created, version.integer("created"));
    ASSIGN_OR_RETURN(const auto superseded, version.integer("superseded"));
    if (!created) return corrupt();
    record.versions[number].created = from_unix_millis(*created);
    if (superseded) record.versions[number].superseded = from_unix_millis(*superseded);
  }
  return record;
}

Result<KeyChanges> read_changes(const Json& request) {
  const Fields fields(request);
  KeyChanges changes;
  if (fields.has("value")) {
    ASSIGN_OR_RETURN(changes.secret, read_secret(request));
  }
  ASSIGN_OR_RETURN(changes.type, fields.text("type"));
  if (changes.type) {
    RETURN_IF_ERROR(check_label("type", *changes.type, kTypeBytesMax));
    if (changes.type->empty()) changes.type = "generic";
  }
  ASSIGN_OR_RETURN(changes.description, fields.text("description"));
  if (changes.description)
    RETURN_IF_ERROR(check_label("description", *changes.description, kDescriptionBytesMax));
  if (fields.has("metadata")) {
    ASSIGN_OR_RETURN(changes.metadata, read_metadata(fields));
  }
  ASSIGN_OR_RETURN(changes.default_ttl, fields.duration("default_ttl"));
  ASSIGN_OR_RETURN(changes.max_ttl, fields.duration("max_ttl"));
  ASSIGN_OR_RETURN(changes.keep_versions, fields.integer("keep_versions"));
  if (changes.keep_versions &&
      (*changes.keep_versions < 1 || *changes.keep_versions > kKeepVersionsMax))
    return bad_field("keep_versions",
                     fmt::format("expected a number from 1 to {}", kKeepVersionsMax));
  return changes;
}

Status apply_settings(const KeyChanges& changes, KeyRecord& record) {
  record.type = changes.type.value_or(record.type);
  record.description = changes.description.value_or(record.description);
  record.metadata = changes.metadata.value_or(record.metadata);
  record.default_ttl = changes.default_ttl.value_or(record.default_ttl);
  record.max_ttl = changes.max_ttl.value_or(record.max_ttl);
  record.keep_versions = changes.keep_versions.value_or(record.keep_versions);
  if (record.max_ttl > Millis{0} && record.default_ttl > record.max_ttl)
    return bad_field("default_ttl", fmt::format("{} is longer than max_ttl, which is {}",
                                                format_duration(record.default_ttl),
                                                format_duration(record.max_ttl)));
  return ok();
}

}  // namespace curfew::engines::static_key
