#include "engines/postgres/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/glob.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::string_view kPlugin = "postgresql-database-plugin";
constexpr std::size_t kAllowedRolesMax = 10'000;
constexpr std::size_t kDetailsMax = 100;

Error bad(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

// Fields of a write that are no part of connection_details. `force` belongs to a delete.
bool is_own_field(std::string_view key) {
  constexpr std::array<std::string_view, 12> own{"name",
                                                 "plugin_name",
                                                 "plugin_version",
                                                 "allowed_roles",
                                                 "password_policy",
                                                 "verify_connection",
                                                 "force",
                                                 "root_rotation_statements",
                                                 "connection_details",
                                                 "rotation_period",
                                                 "rotation_schedule",
                                                 "rotation_window"};
  return std::find(own.begin(), own.end(), key) != own.end();
}

Status check_unsupported(const Json& details) {
  for (const char* key : {"tls_ca", "tls_certificate", "private_key"}) {
    const auto it = details.find(key);
    if (it == details.end() || it->is_null() || *it == "") continue;
    return bad(
        fmt::format("{0}: not taken; put the file on the broker's host and name it in "
                    "connection_url (sslrootcert, sslcert, sslkey)",
                    key));
  }
  const Fields fields(details);
  ASSIGN_OR_RETURN(const auto authentication, fields.text_or("password_authentication", ""));
  if (!authentication.empty() && authentication != "password" && authentication != "scram-sha-256")
    return bad("password_authentication: scram-sha-256 (what is always used), or password");
  ASSIGN_OR_RETURN(const auto auth_type, fields.text_or("auth_type", ""));
  if (!auth_type.empty()) return bad("auth_type: not taken; leave it out");
  return ok();
}

Status merge_detail(const std::string& key, const Json& value, Json& details) {
  if (value.is_object() || value.is_array())
    return bad(fmt::format("{}: expected text, a number or a boolean", key.substr(0, 64)));
  if (value.is_null()) {
    details.erase(key);
  } else {
    details[key] = value;
  }
  return ok();
}

Status merge_details(const Json& data, Json& details) {
  const auto nested = data.find("connection_details");
  if (nested != data.end() && !nested->is_null()) {
    if (!nested->is_object()) return bad("connection_details: expected an object");
    for (const auto& [key, value] : nested->items())
      RETURN_IF_ERROR(merge_detail(key, value, details));
  }
  for (const auto& [key, value] : data.items()) {
    if (!is_own_field(key)) RETURN_IF_ERROR(merge_detail(key, value, details));
  }
  if (details.size() > kDetailsMax) return bad("too many connection details");
  return ok();
}

Status merge_own(const Json& data, TargetConfig& config) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(config.plugin_name, fields.text_or("plugin_name", config.plugin_name));
  ASSIGN_OR_RETURN(config.plugin_version, fields.text_or("plugin_version", config.plugin_version));
  ASSIGN_OR_RETURN(config.password_policy,
                   fields.text_or("password_policy", config.password_policy));
  ASSIGN_OR_RETURN(config.verify_connection,
                   fields.boolean_or("verify_connection", config.verify_connection));
  ASSIGN_OR_RETURN(auto allowed, fields.comma_list("allowed_roles"));
  if (allowed) config.allowed_roles = std::move(*allowed);
  if (config.allowed_roles.size() > kAllowedRolesMax) return bad("allowed_roles: too many");
  ASSIGN_OR_RETURN(auto rotation, fields.string_list("root_rotation_statements"));
  if (rotation) config.root_rotation_statements = std::move(*rotation);
  if (config.plugin_name.empty()) return bad("empty plugin name");
  if (config.plugin_name != kPlugin)
    return bad(fmt::format("plugin_name: \"{}\" is not here; {} is",
                           config.plugin_name.substr(0, 64), kPlugin));
  RETURN_IF_ERROR(examine_statements("root_rotation_statements", config.root_rotation_statements));
  bool given = false;
  RETURN_IF_ERROR(merge_rotation_plan(data, config.rotation, given));
  return ok();
}

Status check_details(const TargetConfig& config, WallTime now, Random& random) {
  RETURN_IF_ERROR(check_unsupported(config.details));
  const Fields fields(config.details);
  ASSIGN_OR_RETURN(const auto iterations,
                   fields.integer_or("scram_iterations", kScramIterationsDefault));
  if (iterations < 1 || iterations > kScramIterationsMax)
    return bad(fmt::format("scram_iterations: a number from 1 to {}", kScramIterationsMax));
  ASSIGN_OR_RETURN(const auto text, fields.text_or("username_template", ""));
  if (!text.empty()) RETURN_IF_ERROR(check_username_template(text, now, random));
  return ok();
}

}  // namespace

bool TargetConfig::allows(std::string_view role) const {
  return std::any_of(allowed_roles.begin(), allowed_roles.end(),
                     [&](const std::string& pattern) { return glob_match(pattern, role); });
}

std::string TargetConfig::username_template() const {
  return Fields(details).text_or("username_template", "").value();
}

int TargetConfig::scram_iterations() const {
  const auto value = Fields(details).integer_or("scram_iterations", kScramIterationsDefault);
  return value ? static_cast<int>(*value) : kScramIterationsDefault;
}

Json TargetConfig::to_json() const {
  return Json{
      {"plugin_name", plugin_name},         {"plugin_version", plugin_version},
      {"allowed_roles", allowed_roles},     {"root_rotation_statements", root_rotation_statements},
      {"password_policy", password_policy}, {"verify_connection", verify_connection},
      {"rotation", rotation.to_json()},     {"details", details}};
}

Result<TargetConfig> TargetConfig::from_json(std::string name, const Json& stored) {
  const Fields fields(stored);
  TargetConfig config;
  config.name = std::move(name);
  ASSIGN_OR_RETURN(config.plugin_name, fields.text_or("plugin_name", ""));
  ASSIGN_OR_RETURN(config.plugin_version, fields.text_or("plugin_version", ""));
  ASSIGN_OR_RETURN(auto allowed, fields.comma_list("allowed_roles"));
  config.allowed_roles = std::move(allowed).value_or(std::vector<std::string>{});
  ASSIGN_OR_RETURN(auto rotation, fields.string_list("root_rotation_statements"));
  config.root_rotation_statements = std::move(rotation).value_or(std::vector<std::string>{});
  ASSIGN_OR_RETURN(config.password_policy, fields.text_or("password_policy", ""));
  ASSIGN_OR_RETURN(config.verify_connection, fields.boolean_or("verify_connection", true));
  ASSIGN_OR_RETURN(const auto plan, fields.object("rotation"));
  ASSIGN_OR_RETURN(config.rotation, RotationPlan::from_json(plan.value_or(Json::object())));
  ASSIGN_OR_RETURN(auto details, fields.object("details"));
  config.details = std::move(details).value_or(Json::object());
  return config;
}

Json TargetConfig::shown() const {
  Json visible = Json::object();
  for (const auto& [key, value] : details.items()) {
    if (key == "password" || key == "private_key") continue;
    visible[key] = key == "connection_url" && value.is_string()
                       ? Json(masked_url(value.get<std::string>()))
                       : value;
  }
  return Json{{"plugin_name", plugin_name},
              {"plugin_version", plugin_version},
              {"allowed_roles", allowed_roles},
              {"connection_details", std::move(visible)},
              {"password_policy", password_policy},
              {"verify_connection", verify_connection},
              {"root_credentials_rotate_statements", root_rotation_statements}};
}

Result<TargetConfig> merge_config(std::string name, const std::optional<TargetConfig>& stored,
                                  const Json& data, WallTime now, Random& random,
                                  std::vector<std::string>& warnings) {
  TargetConfig config = stored.value_or(TargetConfig{});
  config.name = std::move(name);
  RETURN_IF_ERROR(merge_own(data, config));
  RETURN_IF_ERROR(merge_details(data, config.details));
  RETURN_IF_ERROR(check_details(config, now, random));
  RETURN_IF_ERROR(parse_target(config.name, config.details));
  if (url_has_password(Fields(config.details).text_or("connection_url", "").value()))
    warnings.push_back(
        "Password found in connection_url, use a templated url to enable root rotation and prevent "
        "read access to password information.");
  return config;
}

std::string config_key(std::string_view name) {
  return "config/" + std::string(name);
}

Result<std::optional<TargetConfig>> load_config(const MountStorage& storage,
                                                std::string_view name) {
  ASSIGN_OR_RETURN(const auto stored, storage.get(config_key(name)));
  if (!stored) return std::optional<TargetConfig>{};
  ASSIGN_OR_RETURN(auto config, TargetConfig::from_json(std::string(name), *stored));
  return std::optional{std::move(config)};
}

std::vector<FieldSpec> config_fields() {
  std::vector<FieldSpec> fields{
      {"plugin_name", FieldType::kText, "postgresql-database-plugin", true},
      {"connection_url", FieldType::kText,
       "postgresql://{{username}}:{{password}}@host:port/database?sslmode=verify-full", true},
      {"username", FieldType::kText, "the login that makes and removes roles"},
      {"password", FieldType::kText, "its password; never shown again"},
      {"allowed_roles", FieldType::kList,
       "roles that may use this target; * for all, none if empty"},
      {"verify_connection", FieldType::kBoolean, "whether to connect before this is stored (true)"},
      {"password_policy", FieldType::kText, "the policy that passwords are made by"},
      {"username_template", FieldType::kText, "how database roles are named"},
      {"scram_iterations", FieldType::kInteger, "rounds of the password verifier (4096)"},
      {"max_open_connections", FieldType::kInteger, "connections to this target (4)"},
      {"max_idle_connections", FieldType::kInteger, "of which are kept open"},
      {"max_connection_lifetime", FieldType::kDuration, "after which one is replaced (never)"},
      {"disable_escaping", FieldType::kBoolean,
       "username and password are put into the URL as they are"},
      {"password_authentication", FieldType::kText, "scram-sha-256, always"},
      {"root_rotation_statements", FieldType::kList, "how the login's own password is changed"},
  };
  for (FieldSpec& field : rotation_plan_fields()) {
    field.description = "root: " + field.description;
    fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace curfew::engines::postgres
