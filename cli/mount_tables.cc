#include "cli/mount_tables.h"

#include <array>

#include "base/duration.h"
#include "cli/key_values.h"

namespace curfew::cli {

namespace {

struct ListSetting {
  const char* flag;
  const char* member;
};
constexpr std::array kListSettings = {
    ListSetting{"audit-non-hmac-request-keys", "audit_non_hmac_request_keys"},
    ListSetting{"audit-non-hmac-response-keys", "audit_non_hmac_response_keys"},
    ListSetting{"passthrough-request-headers", "passthrough_request_headers"},
    ListSetting{"allowed-response-headers", "allowed_response_headers"},
};

std::string ttl_text(const Json& config, const char* name) {
  const Json ttl = member(config, name);
  return ttl.is_null() || ttl == 0 ? "system" : duration_text(ttl);
}

Row detailed_row(const std::string& path, const Json& mount) {
  const Json config = member(mount, "config");
  const bool local = member(mount, "local") == true;
  return {path,
          value_text(member(mount, "type")),
          value_text(member(mount, "accessor")),
          ttl_text(config, "default_lease_ttl"),
          ttl_text(config, "max_lease_ttl"),
          local ? "local" : "replicated",
          value_text(member(mount, "seal_wrap")),
          member(mount, "options").is_null() ? "map[]" : value_text(member(mount, "options")),
          value_text(member(mount, "description")),
          value_text(member(mount, "uuid"))};
}

}  // namespace

std::vector<Flag> mount_config_flags() {
  std::vector<Flag> flags = {
      {{"default-lease-ttl"}, FlagKind::kDuration, "How long leases live by default.", "DURATION"},
      {{"max-lease-ttl"}, FlagKind::kDuration, "How long leases live at most.", "DURATION"},
      {{"description"}, FlagKind::kText, "A text for people.", "TEXT"},
      {{"listing-visibility"},
       FlagKind::kText,
       "Whether it is listed for everybody.",
       "KIND",
       {"unauth", "hidden"}},
      {{"options"}, FlagKind::kList, "An option of the engine; repeatable.", "KEY=VALUE"},
  };
  for (const ListSetting& setting : kListSettings) {
    flags.push_back({{setting.flag}, FlagKind::kList, "A name; repeatable.", "NAME"});
  }
  return flags;
}

Json mount_config(const Arguments& arguments) {
  Json config = Json::object();
  for (const ListSetting& setting : kListSettings) {
    if (arguments.has(setting.flag)) config[setting.member] = arguments.list(setting.flag);
  }
  if (arguments.has("listing-visibility")) {
    config["listing_visibility"] = arguments.text("listing-visibility");
  }
  return config;
}

Result<Json> mount_options(const Arguments& arguments) {
  ASSIGN_OR_RETURN(Json options, pairs_object(arguments.list("options"), "-options"));
  if (const auto version = arguments.integer("version")) {
    options["version"] = std::to_string(*version);
  }
  if (options.empty()) return Json(nullptr);
  return options;
}

Result<Json> enable_body(const Arguments& arguments, const std::string& type) {
  const auto ttl = [&](const char* flag) {
    return format_duration(arguments.duration(flag).value_or(Millis{0}));
  };
  Json config = mount_config(arguments);
  config["default_lease_ttl"] = ttl("default-lease-ttl");
  config["max_lease_ttl"] = ttl("max-lease-ttl");
  config["force_no_cache"] = false;
  config["options"] = nullptr;
  ASSIGN_OR_RETURN(Json options, mount_options(arguments));
  return Json{{"type", type},
              {"description", arguments.text("description")},
              {"config", std::move(config)},
              {"local", arguments.on("local")},
              {"seal_wrap", arguments.on("seal-wrap")},
              {"options", std::move(options)}};
}

Result<Json> tune_body(const Arguments& arguments) {
  const auto ttl = [&](const char* flag) {
    const Millis given = arguments.duration(flag).value_or(Millis{0});
    return given.count() == 0 ? std::string() : format_duration(given);
  };
  Json body = mount_config(arguments);
  body["default_lease_ttl"] = ttl("default-lease-ttl");
  body["max_lease_ttl"] = ttl("max-lease-ttl");
  if (arguments.has("description")) body["description"] = arguments.text("description");
  ASSIGN_OR_RETURN(Json options, mount_options(arguments));
  if (!options.is_null()) body["options"] = std::move(options);
  return body;
}

Result<int> show_mounts(Call& call, const ApiReply& reply, const std::string& type_title) {
  const bool detailed = call.arguments.on("detailed");
  std::vector<Row> rows;
  if (detailed) {
    rows.push_back({"Path", type_title, "Accessor", "Default TTL", "Max TTL", "Replication",
                    "Seal Wrap", "Options", "Description", "UUID"});
  } else {
    rows.push_back({"Path", "Type", "Accessor", "Description"});
  }
  const Json& data = reply.data();
  if (data.is_object()) {
    for (const auto& [path, mount] : data.items()) {
      if (!mount.is_object()) continue;
      if (detailed) {
        rows.push_back(detailed_row(path, mount));
      } else {
        rows.push_back({path, value_text(member(mount, "type")),
                        value_text(member(mount, "accessor")),
                        value_text(member(mount, "description"))});
      }
    }
  }
  call.print.warnings(reply.body);
  return call.print.rows(rows, OrderedJson(data));
}

Flag detailed_flag() {
  return {{"detailed"}, FlagKind::kSwitch, "Show everything that is known of each."};
}

}  // namespace curfew::cli
