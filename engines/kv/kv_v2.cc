#include "engines/kv/kv_v2.h"

#include "base/duration.h"
#include "engines/kv/secret_path.h"

namespace curfew::engines::kv {
namespace {

constexpr std::string_view kConfigKey = "v2/config";
constexpr std::string_view kMetadataPrefix = "v2/metadata/";
constexpr std::string_view kValuePrefix = "v2/value/";

std::vector<FieldSpec> settings_fields() {
  return {{"max_versions", FieldType::kInteger, "Versions to keep; 0 for the default of 10."},
          {"cas_required", FieldType::kBoolean,
           "Whether every write must name the version it "
           "replaces (options.cas)."},
          {"delete_version_after", FieldType::kDuration,
           "How long after it was written a version is deleted; 0 for never."}};
}

std::vector<FieldSpec> metadata_fields() {
  auto fields = settings_fields();
  fields.push_back({"custom_metadata", FieldType::kMap, "Members of your own, all strings."});
  fields.push_back({"after", FieldType::kText, "List only names behind this one."});
  fields.push_back({"limit", FieldType::kInteger, "List at most so many names."});
  return fields;
}

const FieldSpec kVersionField{"version", FieldType::kInteger,
                              "The version to read; 0 for the latest."};
const FieldSpec kVersionsField{"versions", FieldType::kList, "The numbers of the versions.", true};

}  // namespace

KvV2::KvV2(Services services) : services_(std::move(services)), routes_(make_routes()) {}

std::vector<CallRoutes::Route> KvV2::make_routes() {
  using Method = Result<Reply> (KvV2::*)(const Call&);
  using ConstMethod = Result<Reply> (KvV2::*)(const Call&) const;
  const auto bind = [this](Method method) -> CallHandler {
    return [this, method](const Call& call) { return (this->*method)(call); };
  };
  const auto look = [this](ConstMethod method) -> CallHandler {
    return [this, method](const Call& call) { return (this->*method)(call); };
  };
  return {
      {{.pattern = "config",
        .summary = "Settings for all secrets of this mount.",
        .fields = settings_fields()},
       {{Operation::kRead, look(&KvV2::read_config)},
        {Operation::kUpdate, bind(&KvV2::write_config)}}},
      {{.pattern = "data/{path...}",
        .summary = "A secret: write a version, read one, change members, delete the latest.",
        .fields = {{"data", FieldType::kMap, "The members of the secret.", true},
                   {"options", FieldType::kMap,
                    "\"cas\": the version that this write replaces; 0 if there must be none."},
                   kVersionField}},
       {{Operation::kRead, look(&KvV2::read_data)},
        {Operation::kUpdate, bind(&KvV2::write_data)},
        {Operation::kPatch, bind(&KvV2::patch_data)},
        {Operation::kDelete, bind(&KvV2::delete_latest)}}},
      {{.pattern = "metadata/{path...}",
        .summary = "What is known of a secret beside its values; deleting it deletes all versions.",
        .fields = metadata_fields()},
       {{Operation::kRead, look(&KvV2::read_metadata)},
        {Operation::kUpdate, bind(&KvV2::write_metadata)},
        {Operation::kPatch, bind(&KvV2::patch_metadata)},
        {Operation::kDelete, bind(&KvV2::delete_metadata)},
        {Operation::kList, look(&KvV2::list_metadata)}}},
      {{.pattern = "delete/{path...}",
        .summary = "Deletes versions; undelete brings them back.",
        .fields = {kVersionsField}},
       {{Operation::kUpdate, bind(&KvV2::delete_versions)}}},
      {{.pattern = "undelete/{path...}",
        .summary = "Brings deleted versions back.",
        .fields = {kVersionsField}},
       {{Operation::kUpdate, bind(&KvV2::undelete_versions)}}},
      {{.pattern = "destroy/{path...}",
        .summary = "Removes the values of versions for good.",
        .fields = {kVersionsField}},
       {{Operation::kUpdate, bind(&KvV2::destroy_versions)}}},
      {{.pattern = "subkeys/{path...}",
        .summary = "The names of a secret's members, no values.",
        .fields = {{"depth", FieldType::kInteger, "Levels to show; 0 for all."}, kVersionField}},
       {{Operation::kRead, look(&KvV2::read_subkeys)}}},
  };
}

Result<std::optional<bool>> KvV2::exists(const Call& call) const {
  const bool has_existence = call.path.starts_with("data/") || call.path.starts_with("metadata/");
  if (!has_existence) return std::optional<bool>{};
  ASSIGN_OR_RETURN(const auto meta, services_.storage.get(metadata_key(path_of(call))));
  return std::optional<bool>{meta.has_value()};
}

Result<Reply> KvV2::read_config(const Call&) const {
  MountConfig config;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(config, load_config(reader));
    return ok();
  }));
  return Reply{.data = {{"max_versions", config.max_versions},
                        {"cas_required", config.cas_required},
                        {"delete_version_after", format_duration(config.delete_version_after)}}};
}

Result<Reply> KvV2::write_config(const Call& call) {
  const Fields fields(call.data);
  ASSIGN_OR_RETURN(const auto max_versions, read_max_versions(fields));
  ASSIGN_OR_RETURN(const auto cas_required, fields.boolean("cas_required"));
  // Not Fields::duration: here a negative one has a meaning.
  ASSIGN_OR_RETURN(const auto after_text, fields.text("delete_version_after"));
  std::optional<Millis> after;
  if (after_text) {
    ASSIGN_OR_RETURN(after, parse_duration(*after_text));
    if (*after < Millis{0}) after = Seconds{-1};
  }
  if (!max_versions && !cas_required && !after) return Reply{};
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(auto config, load_config(writer));
    config.max_versions = max_versions.value_or(config.max_versions);
    config.cas_required = cas_required.value_or(config.cas_required);
    config.delete_version_after = after.value_or(config.delete_version_after);
    return store_config(writer, config);
  }));
  return Reply{};
}

Result<MountConfig> load_config(const StorageReader& reader) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(kConfigKey));
  if (!stored) return MountConfig{};
  return MountConfig::from_json(*stored);
}

Status store_config(StorageWriter& writer, const MountConfig& config) {
  return writer.put(kConfigKey, config.to_json());
}

Result<std::optional<KeyMetadata>> load_metadata(const StorageReader& reader,
                                                 const std::string& path) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(metadata_key(path)));
  if (!stored) return std::optional<KeyMetadata>{};
  ASSIGN_OR_RETURN(auto meta, KeyMetadata::from_json(*stored));
  return std::optional{std::move(meta)};
}

Status store_metadata(StorageWriter& writer, const std::string& path, const KeyMetadata& meta) {
  return writer.put(metadata_key(path), meta.to_json());
}

std::string metadata_key(const std::string& path) {
  return std::string(kMetadataPrefix) + path;
}

std::string value_key(const std::string& path, std::int64_t version) {
  return std::string(kValuePrefix) + path + "/" + std::to_string(version);
}

std::string path_of(const Call& call) {
  const auto it = call.params.find("path");
  return it == call.params.end() ? std::string() : it->second;
}

Result<std::optional<std::int64_t>> read_max_versions(const Fields& fields) {
  ASSIGN_OR_RETURN(const auto count, fields.integer("max_versions"));
  if (count && (*count < 0 || *count > kVersionsMax))
    return Error{Errc::kInvalidArgument,
                 "field \"max_versions\": expected a number from 0 (the default) to " +
                     std::to_string(kVersionsMax)};
  return count;
}

}  // namespace curfew::engines::kv
