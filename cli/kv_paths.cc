#include "cli/kv_paths.h"

#include <algorithm>

namespace curfew::cli {

namespace {

std::string join(const std::string& a, const std::string& b) {
  return a.empty() ? b : b.empty() ? a : a + "/" + b;
}

bool is_version_2(const Json& mount) {
  const auto options = mount.find("options");
  if (options == mount.end() || !options->is_object()) return false;
  const auto version = options->find("version");
  return version != options->end() && value_text(*version) == "2";
}

}  // namespace

std::string KvPath::api(std::string_view operation) const {
  return versioned ? join(join(mount, std::string(operation)), key) : join(mount, key);
}

Flag mount_flag() {
  return {{"mount"},
          FlagKind::kText,
          "Where the engine is mounted; the key is then the path below it.",
          "PATH"};
}

Result<KvPath> find_kv_path(Call& call) {
  const std::string key = call.word_count() == 0 ? "" : trim_path(call.word(0));
  const std::string mount_given = trim_path(call.arguments.text("mount"));
  const std::string asked = mount_given.empty() ? key : mount_given;
  if (asked.empty()) return local_error("Name the path of a key, such as secret/app");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "GET",
                                    .path = "sys/internal/ui/mounts/" + asked,
                                    .doing = "looking up the engine at " + asked,
                                    .accept = {404},
                                    .preliminary = true}));
  KvPath path{.versioned = false, .mount = mount_given, .key = key};
  const Json& data = reply.data();
  if (reply.status == 404 || !data.is_object()) return path;
  path.versioned = is_version_2(data);
  const std::string mount = trim_path(member_text(data, "path"));
  if (!mount_given.empty()) {
    if (!mount.empty()) path.mount = mount;
    return path;
  }
  if (key == mount) {
    path.mount = mount;
    path.key.clear();
  } else if (key.starts_with(mount + "/")) {
    path.mount = mount;
    path.key = trim_path(key.substr(mount.size()));
  }
  return path;
}

Result<KvPath> find_versioned_path(Call& call, std::string_view what) {
  ASSIGN_OR_RETURN(KvPath path, find_kv_path(call));
  if (path.versioned) return path;
  return Error{Errc::kRefused, std::string(what) +
                                   " needs a kv engine of version 2, and the one at " +
                                   (path.mount.empty() ? path.key : path.mount) + " is not"};
}

std::string section_title(std::string_view title, const Json& object) {
  constexpr std::size_t kGapAndValue = 4 + 5;
  std::size_t width = 0;
  if (object.is_object()) {
    for (const auto& [name, value] : object.items()) width = std::max(width, name.size());
  }
  width += kGapAndValue;
  const std::size_t used = title.size() + 2;
  const std::size_t side = std::max<std::size_t>(2, width > used ? (width - used + 1) / 2 : 0);
  return std::string(side, '=') + " " + std::string(title) + " " + std::string(side, '=') + "\n";
}

std::string section_text(std::string_view title, const Json& object) {
  std::vector<Row> rows = {{"Key", "Value"}};
  if (object.is_object()) {
    for (const auto& [name, value] : object.items()) rows.push_back({name, value_text(value)});
  }
  return section_title(title, object) + table_text(rows);
}

}  // namespace curfew::cli
