#include <algorithm>
#include <cstdlib>
#include <ostream>

#include "base/duration.h"
#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/kv_paths.h"

namespace curfew::cli {

namespace {

Result<int> get(Call& call) {
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, "kv metadata"));
  const std::string api_path = path.api("metadata");
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "GET", .path = api_path, .doing = "reading " + api_path, .none_ok = true}));
  if (reply.is_miss()) return missing_error("No value found at " + api_path);
  if (!call.print.is_table() || !call.print.field().empty()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  Json data = reply.data();
  const Json versions = member(data, "versions");
  if (data.is_object()) data.erase("versions");
  call.around.out << "== Metadata Path ==\n"
                  << printable(api_path) << "\n\n"
                  << section_text("Metadata", data);
  std::vector<std::pair<std::int64_t, Json>> ordered;
  for (const auto& [number, version] : versions.items()) {
    if (!versions.is_object()) break;
    ordered.emplace_back(std::strtoll(number.c_str(), nullptr, 10), version);
  }
  std::ranges::sort(ordered, {}, [](const auto& entry) { return entry.first; });
  for (const auto& [number, version] : ordered) {
    call.around.out << "\n" << section_text("Version " + std::to_string(number), version);
  }
  return kExitOk;
}

// What put and patch say in the same way; only what was given.
Result<Json> metadata_body(Call& call) {
  const Arguments& given = call.arguments;
  Json body = Json::object();
  if (const auto max = given.integer("max-versions")) {
    if (*max < 0) return local_error("-max-versions: expected 0 or more");
    body["max_versions"] = *max;
  }
  if (given.has("cas-required")) body["cas_required"] = given.on("cas-required");
  if (const auto after = given.duration("delete-version-after")) {
    body["delete_version_after"] = format_duration(*after);
  }
  ASSIGN_OR_RETURN(Json custom, pairs_object(given.list("custom-metadata"), "-custom-metadata"));
  for (const std::string& name : given.list("remove-custom-metadata")) custom[name] = nullptr;
  if (!custom.empty()) body["custom_metadata"] = std::move(custom);
  return body;
}

Result<int> write(Call& call, const char* method, const char* content_type) {
  ASSIGN_OR_RETURN(Json body, metadata_body(call));
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, "kv metadata"));
  const std::string api_path = path.api("metadata");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = method,
                                                          .path = api_path,
                                                          .body = std::move(body),
                                                          .doing = "writing data to " + api_path,
                                                          .content_type = content_type}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Data written to: " + api_path);
}

Result<int> remove(Call& call) {
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, "kv metadata"));
  const std::string api_path = path.api("metadata");
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "DELETE", .path = api_path, .doing = "deleting " + api_path}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Data deleted (if it existed) at: " + api_path);
}

std::vector<Flag> setting_flags() {
  return {
      {{"max-versions"}, FlagKind::kInteger, "How many versions to keep.", "COUNT"},
      {{"cas-required"}, FlagKind::kSwitch, "Every write has to name the current version."},
      {{"delete-version-after"},
       FlagKind::kDuration,
       "Versions are deleted when they are this old.",
       "DURATION"},
      {{"custom-metadata"}, FlagKind::kList, "What goes with the key; repeatable.", "KEY=VALUE"},
      mount_flag()};
}

}  // namespace

void add_kv_metadata_commands(CommandTable& table) {
  table.groups.push_back({"kv metadata", "What is known of a key beside its values"});
  table.commands.push_back({.path = "kv metadata get",
                            .summary = "Shows a key's settings and versions",
                            .synopsis = "[flags] KEY",
                            .words = {1, 1},
                            .flags = {mount_flag(), field_flag()},
                            .run = get});
  table.commands.push_back(
      {.path = "kv metadata put",
       .summary = "Sets a key's settings; custom metadata as a whole",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = setting_flags(),
       .run = [](Call& call) { return write(call, "PUT", "application/json"); }});
  std::vector<Flag> patch_flags = setting_flags();
  patch_flags.push_back({{"remove-custom-metadata"},
                         FlagKind::kList,
                         "A key of the custom metadata to remove; repeatable.",
                         "KEY"});
  table.commands.push_back(
      {.path = "kv metadata patch",
       .summary = "Changes some of a key's settings",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = std::move(patch_flags),
       .run = [](Call& call) { return write(call, "PATCH", "application/merge-patch+json"); }});
  table.commands.push_back({.path = "kv metadata delete",
                            .summary = "Removes a key with all its versions, for good",
                            .synopsis = "[flags] KEY",
                            .words = {1, 1},
                            .flags = {mount_flag()},
                            .run = remove});
}

}  // namespace curfew::cli
