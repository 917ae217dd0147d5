#include "engines/postgres/static_role.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "engines/postgres/password_change.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

Error bad(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Status merge_credential(const Fields& fields, StaticRole& role) {
  ASSIGN_OR_RETURN(const auto type, fields.text_or("credential_type", "password"));
  if (!type.empty() && type != "password")
    return bad("credential_type: \"password\" is what this engine makes");
  ASSIGN_OR_RETURN(const auto config, fields.text_map("credential_config"));
  if (!config) return ok();
  role.credential_config = Json::object();
  for (const auto& [key, value] : *config) {
    if (key != "password_policy")
      return bad(fmt::format("credential_config: \"{}\" is not known; password_policy is",
                             key.substr(0, 64)));
    role.credential_config[key] = value;
  }
  return ok();
}

Status merge_user(const Fields& fields, bool is_new, StaticRole& role) {
  ASSIGN_OR_RETURN(const auto target, fields.text_or("db_name", role.db_name));
  if (target.empty()) return bad("db_name is a required field");
  if (!is_new && target != role.db_name)
    return bad("db_name cannot be changed; delete the static role and write it again");
  role.db_name = target;
  ASSIGN_OR_RETURN(const auto user, fields.text_or("username", role.username));
  if (is_new && user.empty()) return bad("username is a required field to create a static account");
  if (!is_new && user != role.username) return bad("cannot update static account username");
  role.username = user;
  return check_user_name(role.username);
}

void put_time(Json& out, const char* key, const std::optional<WallTime>& time) {
  if (time) out[key] = to_unix_millis(*time);
}

Result<std::optional<WallTime>> time_at(const Fields& fields, const char* key) {
  ASSIGN_OR_RETURN(const auto millis, fields.integer(key));
  if (!millis) return std::optional<WallTime>{};
  return std::optional{from_unix_millis(*millis)};
}

}  // namespace

std::string StaticRole::password_policy() const {
  return Fields(credential_config).text_or("password_policy", "").value();
}

Json StaticRole::to_json() const {
  return Json{{"db_name", db_name},
              {"username", username},
              {"rotation", rotation.to_json()},
              {"rotation_statements", rotation_statements},
              {"skip_import_rotation", skip_import_rotation},
              {"credential_config", credential_config}};
}

Result<StaticRole> StaticRole::from_json(std::string name, const Json& stored) {
  const Fields fields(stored);
  StaticRole role;
  role.name = std::move(name);
  ASSIGN_OR_RETURN(role.db_name, fields.text_or("db_name", ""));
  ASSIGN_OR_RETURN(role.username, fields.text_or("username", ""));
  ASSIGN_OR_RETURN(const auto rotation, fields.object("rotation"));
  ASSIGN_OR_RETURN(role.rotation, RotationPlan::from_json(rotation.value_or(Json::object())));
  ASSIGN_OR_RETURN(auto statements, fields.string_list("rotation_statements"));
  role.rotation_statements = std::move(statements).value_or(std::vector<std::string>{});
  ASSIGN_OR_RETURN(role.skip_import_rotation, fields.boolean_or("skip_import_rotation", false));
  ASSIGN_OR_RETURN(auto credential, fields.object("credential_config"));
  role.credential_config = std::move(credential).value_or(Json::object());
  return role;
}

Json StaticRole::shown() const {
  Json out{{"db_name", db_name},
           {"username", username},
           {"rotation_statements", rotation_statements},
           {"skip_import_rotation", skip_import_rotation},
           {"credential_type", "password"}};
  rotation.show(out);
  if (!credential_config.empty()) out["credential_config"] = credential_config;
  return out;
}

Result<StaticRole> merge_static_role(std::string name, const std::optional<StaticRole>& stored,
                                     const Json& data, std::vector<std::string>& warnings) {
  StaticRole role = stored.value_or(StaticRole{});
  role.name = std::move(name);
  const Fields fields(data);
  RETURN_IF_ERROR(merge_user(fields, !stored, role));
  bool plan_given = false;
  RETURN_IF_ERROR(merge_rotation_plan(data, role.rotation, plan_given));
  if (!stored && !plan_given)
    return bad(
        "one of rotation_schedule or rotation_period must be provided to create a static account; "
        "rotation_period=0 rotates only on demand");
  ASSIGN_OR_RETURN(auto statements, fields.string_list("rotation_statements"));
  if (statements) role.rotation_statements = std::move(*statements);
  RETURN_IF_ERROR(examine_statements("rotation_statements", role.rotation_statements));
  for (const std::string& placeholder :
       placeholders_in(join_statements(role.rotation_statements))) {
    if (!is_placeholder(placeholder))
      warnings.push_back(
          fmt::format("rotation_statements: {{{{{}}}}} is no placeholder and is sent as it stands",
                      placeholder));
  }
  ASSIGN_OR_RETURN(role.skip_import_rotation,
                   fields.boolean_or("skip_import_rotation", role.skip_import_rotation));
  RETURN_IF_ERROR(merge_credential(fields, role));
  return role;
}

Json NextPassword::to_json() const {
  return Json{{"password", password.reveal()}, {"until_ms", to_unix_millis(until)}};
}

Result<NextPassword> NextPassword::from_json(const Json& stored) {
  const Fields fields(stored);
  ASSIGN_OR_RETURN(auto password, fields.text_or("password", ""));
  ASSIGN_OR_RETURN(const auto until, fields.integer_or("until_ms", 0));
  return NextPassword{Secret(std::move(password)), from_unix_millis(until)};
}

Json StaticPassword::to_json() const {
  Json out{{"password", password.reveal()},
           {"since_ms", to_unix_millis(since)},
           {"problem", problem},
           {"error", error},
           {"failures", failures},
           {"importing", importing},
           {"note", note}};
  if (next) out["next"] = next->to_json();
  put_time(out, "rotated_ms", rotated_at);
  put_time(out, "tried_ms", tried_at);
  put_time(out, "problem_since_ms", problem_since);
  put_time(out, "retry_ms", retry_at);
  return out;
}

Result<StaticPassword> StaticPassword::from_json(const Json& stored) {
  const Fields fields(stored);
  StaticPassword out;
  ASSIGN_OR_RETURN(auto password, fields.text_or("password", ""));
  out.password = Secret(std::move(password));
  ASSIGN_OR_RETURN(const auto next, fields.object("next"));
  if (next) {
    ASSIGN_OR_RETURN(out.next, NextPassword::from_json(*next));
  }
  ASSIGN_OR_RETURN(const auto since, fields.integer_or("since_ms", 0));
  out.since = from_unix_millis(since);
  ASSIGN_OR_RETURN(out.problem, fields.text_or("problem", ""));
  ASSIGN_OR_RETURN(out.error, fields.text_or("error", ""));
  ASSIGN_OR_RETURN(out.failures, fields.integer_or("failures", 0));
  ASSIGN_OR_RETURN(out.importing, fields.boolean_or("importing", false));
  ASSIGN_OR_RETURN(out.note, fields.text_or("note", ""));
  ASSIGN_OR_RETURN(out.rotated_at, time_at(fields, "rotated_ms"));
  ASSIGN_OR_RETURN(out.tried_at, time_at(fields, "tried_ms"));
  ASSIGN_OR_RETURN(out.problem_since, time_at(fields, "problem_since_ms"));
  ASSIGN_OR_RETURN(out.retry_at, time_at(fields, "retry_ms"));
  return out;
}

std::string static_role_key(std::string_view name) {
  return "static-role/" + std::string(name);
}

std::string static_password_key(std::string_view name) {
  return "static-password/" + std::string(name);
}

std::string static_users_prefix(std::string_view target) {
  return "static-user/" + std::string(target) + "/";
}

std::string static_user_key(std::string_view target, std::string_view user) {
  return static_users_prefix(target) + hex_encode(user);
}

Result<std::optional<StaticRole>> load_static_role(const MountStorage& storage,
                                                   std::string_view name) {
  ASSIGN_OR_RETURN(const auto stored, storage.get(static_role_key(name)));
  if (!stored) return std::optional<StaticRole>{};
  ASSIGN_OR_RETURN(auto role, StaticRole::from_json(std::string(name), *stored));
  return std::optional{std::move(role)};
}

Result<StaticPassword> load_static_password(const MountStorage& storage, std::string_view name) {
  ASSIGN_OR_RETURN(const auto stored, storage.get(static_password_key(name)));
  if (!stored)
    return Error{Errc::kCorrupt, fmt::format("static role \"{}\" has no record of its password; "
                                             "delete it and write it again",
                                             name)};
  return StaticPassword::from_json(*stored);
}

std::vector<FieldSpec> static_role_fields() {
  std::vector<FieldSpec> fields{
      {"db_name", FieldType::kText, "the target, by the name of its configuration", true},
      {"username", FieldType::kText, "the database user; it exists already", true},
      {"rotation_statements", FieldType::kList,
       "SQL that changes the password; {{username}} and {{password}} are filled in"},
      {"skip_import_rotation", FieldType::kBoolean,
       "leave the password as it is when the static role is made"},
      {"password", FieldType::kText,
       "with skip_import_rotation: the password that the user has now; tried, and never shown in "
       "the role"},
      {"credential_type", FieldType::kText, "password"},
      {"credential_config", FieldType::kMap, "password_policy: a policy for this role alone"},
  };
  for (FieldSpec& field : rotation_plan_fields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace curfew::engines::postgres
