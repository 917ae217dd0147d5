#include "engines/postgres/static_role_paths.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "engines/postgres/config.h"
#include "engines/postgres/config_paths.h"
#include "engines/postgres/roles.h"

namespace curfew::engines::postgres {
namespace {

const std::string& name_of(const Call& call) {
  return call.params.find("name")->second;
}

Json shown_time(const std::optional<WallTime>& time) {
  return time ? Json(format_rfc3339(*time)) : Json(nullptr);
}

Error unknown(const std::string& name) {
  return {Errc::kInvalidArgument, fmt::format("unknown role: {}", name)};
}

Error not_usable(const std::string& name, const std::string& why) {
  return {Errc::kRefused, fmt::format("static role \"{}\": {}", name, why)};
}

const char* state_of(const StaticPassword& password) {
  if (password.next) return "rotating";
  if (!password.problem.empty()) return "broken";
  return password.password.empty() ? "no_password" : "good";
}

void warn_about(const StaticRole& role, const StaticPassword& password,
                std::vector<std::string>& warnings) {
  if (!password.problem.empty())
    warnings.push_back(fmt::format("the password does not work: {}; rotate-role/{} sets a new one",
                                   password.problem, role.name));
  if (!password.error.empty() && password.error != password.problem)
    warnings.push_back("the last rotation failed: " + password.error);
  if (password.next)
    warnings.push_back("a rotation is under way, or was interrupted and is being decided");
  if (!password.note.empty()) warnings.push_back(password.note);
}

}  // namespace

std::vector<CallRoutes::Route> StaticRolePaths::routes() {
  return {
      {{.pattern = "static-roles", .summary = "The static roles of this mount"},
       {{Operation::kList,
         [this](const Call&) { return list_names(services_.storage, "static-role/"); }}}},
      {{.pattern = "static-roles/{name}",
        .summary = "A database user whose password is changed by a plan",
        .fields = static_role_fields()},
       {{Operation::kRead, [this](const Call& call) { return read(call); }},
        {Operation::kUpdate, [this](const Call& call) { return write(call); }},
        {Operation::kDelete, [this](const Call& call) { return remove(call); }}}},
      {{.pattern = "static-creds/{name}",
        .summary = "The name and present password of a static role's user"},
       {{Operation::kRead, [this](const Call& call) { return credentials(call); }}}},
      {{.pattern = "rotate-role/{name}", .summary = "Change a static role's password now"},
       {{Operation::kUpdate, [this](const Call& call) { return rotate(call); }}}},
  };
}

Result<Reply> StaticRolePaths::read(const Call& call) const {
  ASSIGN_OR_RETURN(const auto role, load_static_role(services_.storage, name_of(call)));
  if (!role) return Error{Errc::kNotFound, ""};
  ASSIGN_OR_RETURN(const auto password, load_static_password(services_.storage, role->name));
  Reply reply{role->shown()};
  reply.data["state"] = state_of(password);
  reply.data["last_vault_rotation"] = shown_time(password.rotated_at);
  reply.data["next_rotation"] = shown_time(rotation_.next_rotation(*role, password));
  reply.data["last_login_test"] = shown_time(password.tried_at);
  reply.data["problem"] = password.problem;
  reply.data["problem_since"] = shown_time(password.problem_since);
  reply.data["rotation_error"] = password.error;
  reply.data["rotation_failures"] = password.failures;
  warn_about(*role, password, reply.warnings);
  return reply;
}

Status StaticRolePaths::check_target(const StaticRole& role) const {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, role.db_name));
  if (!config)
    return Error{
        Errc::kInvalidArgument,
        fmt::format("failed to find entry for connection with name: \"{}\"", role.db_name)};
  if (!config->allows(role.name))
    return Error{Errc::kInvalidArgument, fmt::format("\"{}\" is not an allowed role", role.name)};
  return ok();
}

Result<Reply> StaticRolePaths::write(const Call& call) {
  ASSIGN_OR_RETURN(const auto held, rotation_.turn(name_of(call)));
  ASSIGN_OR_RETURN(const auto stored, load_static_role(services_.storage, name_of(call)));
  Reply reply;
  ASSIGN_OR_RETURN(const StaticRole role,
                   merge_static_role(name_of(call), stored, call.data, reply.warnings));
  RETURN_IF_ERROR(check_target(role));
  if (stored) {
    RETURN_IF_ERROR(services_.storage.put(static_role_key(role.name), role.to_json()));
  } else {
    RETURN_IF_ERROR(create(role, call.data, reply.warnings));
  }
  services_.wake_caretaker();
  return reply;
}

Status StaticRolePaths::create(const StaticRole& role, const Json& data,
                               std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(auto given, Fields(data).text_or("password", ""));
  StaticPassword password;
  password.password = Secret(std::move(given));
  password.since = services_.clock.wall();
  password.importing = !role.skip_import_rotation;
  if (password.importing && !password.password.empty())
    return Error{Errc::kInvalidArgument,
                 "password: taken only with skip_import_rotation=true; without it the broker makes "
                 "a new one at once"};
  RETURN_IF_ERROR(rotation_.check_user(role));
  if (!password.password.empty()) RETURN_IF_ERROR(rotation_.try_password(role, password));
  RETURN_IF_ERROR(store_new(role, password));
  if (password.importing) return first_rotation(role);
  if (password.password.empty())
    warnings.push_back(
        fmt::format("the password is not known before the first rotation; until then "
                    "static-creds/{} answers with an error",
                    role.name));
  if (!password.note.empty()) warnings.push_back(password.note);
  return ok();
}

// From here on a crash leaves a static role whose first rotation goes on by itself: the password
// that the user had may be lost already.
Status StaticRolePaths::first_rotation(const StaticRole& role) {
  const Status rotated = rotation_.rotate_in_turn(role.name);
  if (rotated) return ok();
  ASSIGN_OR_RETURN(const auto password, load_static_password(services_.storage, role.name));
  if (!password.importing || password.next) {
    services_.wake_caretaker();
    return Error{rotated.error().code,
                 rotated.error().message + "; the static role is there and goes on by itself"};
  }
  RETURN_IF_ERROR(forget(role));
  return Error{rotated.error().code, rotated.error().message + "; no static role was made"};
}

Status StaticRolePaths::store_new(const StaticRole& role, const StaticPassword& password) {
  return services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto same_name, writer.get(role_key(role.name)));
    if (same_name)
      return Error{Errc::kInvalidArgument, "Role and Static Role names must be unique"};
    const std::string user_key = static_user_key(role.db_name, role.username);
    ASSIGN_OR_RETURN(const auto same_user, writer.get(user_key));
    if (same_user)
      return Error{
          Errc::kInvalidArgument,
          fmt::format("database user \"{}\" belongs to static role \"{}\" already", role.username,
                      same_user->is_string() ? same_user->get<std::string>() : "?")};
    RETURN_IF_ERROR(writer.put(user_key, role.name));
    RETURN_IF_ERROR(writer.put(static_password_key(role.name), password.to_json()));
    return writer.put(static_role_key(role.name), role.to_json());
  });
}

Status StaticRolePaths::forget(const StaticRole& role) {
  return services_.storage.write([&](StorageWriter& writer) -> Status {
    RETURN_IF_ERROR(writer.remove(static_user_key(role.db_name, role.username)));
    RETURN_IF_ERROR(writer.remove(static_password_key(role.name)));
    return writer.remove(static_role_key(role.name));
  });
}

Result<Reply> StaticRolePaths::remove(const Call& call) {
  ASSIGN_OR_RETURN(const auto held, rotation_.turn(name_of(call)));
  ASSIGN_OR_RETURN(const auto role, load_static_role(services_.storage, name_of(call)));
  if (role) RETURN_IF_ERROR(forget(*role));
  services_.wake_caretaker();
  return Reply{};
}

Result<Reply> StaticRolePaths::credentials(const Call& call) {
  ASSIGN_OR_RETURN(const auto role, load_static_role(services_.storage, name_of(call)));
  if (!role) return unknown(name_of(call));
  RETURN_IF_ERROR(check_target(*role));
  ASSIGN_OR_RETURN(const auto password, rotation_.settled(role->name));
  if (!password.problem.empty())
    return not_usable(role->name,
                      fmt::format("its password does not work: {}; rotate-role/{} sets a new one",
                                  password.problem, role->name));
  if (password.password.empty())
    return not_usable(role->name,
                      fmt::format("its password is not known before the first rotation; "
                                  "rotate-role/{} sets one",
                                  role->name));
  const WallTime now = services_.clock.wall();
  const auto next = role->rotation.due(password.since, now);
  const Millis ttl = next && *next > now ? Millis{*next - now} : Millis{0};
  Reply reply{Json{{"username", role->username},
                   {"password", password.password.reveal()},
                   {"ttl", std::chrono::floor<Seconds>(ttl).count()},
                   {"last_vault_rotation", shown_time(password.rotated_at)}}};
  role->rotation.show(reply.data);
  warn_about(*role, password, reply.warnings);
  return reply;
}

Result<Reply> StaticRolePaths::rotate(const Call& call) {
  const Status rotated = rotation_.rotate(name_of(call));
  services_.wake_caretaker();
  if (!rotated) return rotated.error();
  return Reply{};
}

}  // namespace curfew::engines::postgres
