#include "engines/postgres/config_paths.h"

#include <fmt/format.h>

#include <iterator>
#include <set>

#include "engines/postgres/connection.h"
#include "engines/postgres/login_rights.h"
#include "engines/postgres/roles.h"

namespace curfew::engines::postgres {
namespace {

const std::string& name_of(const Call& call) {
  return call.params.find("name")->second;
}

Error no_config(std::string_view name) {
  return {Errc::kInvalidArgument,
          fmt::format("failed to find entry for connection with name: \"{}\"", name)};
}

}  // namespace

Result<Reply> list_names(const MountStorage& storage, std::string_view prefix) {
  ASSIGN_OR_RETURN(auto names, storage.list(prefix));
  if (names.empty()) return Error{Errc::kNotFound, ""};
  return Reply{Json{{"keys", std::move(names)}}};
}

std::vector<CallRoutes::Route> ConfigPaths::routes() {
  const std::vector<FieldSpec> delete_fields{
      {"force", FieldType::kBoolean, "delete it although leases need it to end"}};
  auto fields = config_fields();
  fields.insert(fields.end(), delete_fields.begin(), delete_fields.end());
  return {
      {{.pattern = "config", .summary = "The targets of this mount"},
       {{Operation::kList, [this](const Call& call) { return list(call); }}}},
      {{.pattern = "config/{name}", .summary = "How a target is reached", .fields = fields},
       {{Operation::kRead, [this](const Call& call) { return read(call); }},
        {Operation::kUpdate, [this](const Call& call) { return write(call); }},
        {Operation::kDelete, [this](const Call& call) { return remove(call); }}}},
      {{.pattern = "reset/{name}", .summary = "Close a target's connections and open new ones"},
       {{Operation::kUpdate, [this](const Call& call) { return reset(call); }}}},
      {{.pattern = "rotate-root/{name}",
        .summary = "Change the password of a target's login to one that only the broker knows"},
       {{Operation::kUpdate, [this](const Call& call) { return rotate_root(call); }}}},
  };
}

Result<Reply> ConfigPaths::list(const Call&) const {
  return list_names(services_.storage, "config/");
}

Result<Reply> ConfigPaths::read(const Call& call) const {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, name_of(call)));
  if (!config) return Error{Errc::kNotFound, ""};
  Reply reply{config->shown()};
  RETURN_IF_ERROR(root_.show(*config, reply));
  return reply;
}

Result<Reply> ConfigPaths::write(const Call& call) {
  const std::string& name = name_of(call);
  const std::string key = config_key(name);
  ASSIGN_OR_RETURN(const auto held, root_.turn(name));
  const Status settled = root_.settle(name);
  ASSIGN_OR_RETURN(const bool undecided, root_.is_undecided(name));
  if (!settled && undecided) return settled.error();
  ASSIGN_OR_RETURN(const auto before, services_.storage.get(key));
  std::optional<TargetConfig> stored;
  if (before) {
    ASSIGN_OR_RETURN(stored, TargetConfig::from_json(name, *before));
  }
  Reply reply;
  ASSIGN_OR_RETURN(TargetConfig config,
                   merge_config(name, stored, call.data, services_.clock.wall(), services_.random,
                                reply.warnings));
  bool was_replaced = false;
  RETURN_IF_ERROR(try_config(stored, config, was_replaced, reply.warnings));
  const bool is_proven = config.verify_connection && (was_replaced || !stored ||
                                                      stored->details.value("password", Json()) !=
                                                          config.details.value("password", Json()));
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto now, writer.get(key));
    if (now != before)
      return Error{Errc::kConflict, fmt::format("config/{} was changed by somebody else in the "
                                                "meantime; read it and write again",
                                                name)};
    if (is_proven) RETURN_IF_ERROR(root_.written(writer, config));
    return writer.put(key, config.to_json());
  }));
  services_.wake_caretaker();
  return reply;
}

// Configuration managers write the password again that they once gave: it does not take the place
// of the one that the broker has set since, unless that does not log in and theirs does.
Status ConfigPaths::try_config(const std::optional<TargetConfig>& stored, TargetConfig& config,
                               bool& was_replaced, std::vector<std::string>& warnings) const {
  ASSIGN_OR_RETURN(const auto rotated, root_.rotated_password(stored, config));
  if (!rotated) return config.verify_connection ? verify(config, warnings) : ok();
  TargetConfig kept = config;
  kept.details["password"] = rotated->reveal();
  const Status works = config.verify_connection ? verify(kept, warnings) : ok();
  if (!works) return verify(config, warnings) ? ok() : works;
  config = std::move(kept);
  was_replaced = true;
  warnings.push_back(fmt::format(
      "password: this one is from before a rotation by the broker; the rotated password stays "
      "(leave the password out of writes of config/{} from now on)",
      config.name));
  return ok();
}

Status ConfigPaths::verify(const TargetConfig& config, std::vector<std::string>& warnings) const {
  ASSIGN_OR_RETURN(const TargetSettings settings, parse_target(config.name, config.details));
  const SteadyTime deadline = services_.clock.steady() + verify_time_;
  const auto failed = [](const Error& error) {
    return Error{Errc::kInvalidArgument,
                 "error creating database object: error verifying connection: " + error.message +
                     "; nothing was stored (verify_connection=false stores it untried)"};
  };
  auto connection = Connection::open(settings, services_.clock, deadline);
  if (!connection) return failed(connection.error());
  ASSIGN_OR_RETURN(const auto groups, groups_of(config.name));
  const auto rows = (*connection)->run(login_rights_sql(groups), deadline);
  if (!rows) return failed(rows.error());
  ASSIGN_OR_RETURN(auto lacks, read_login_rights(*rows, (*connection)->server_version()));
  std::move(lacks.begin(), lacks.end(), std::back_inserter(warnings));
  return ok();
}

// What the roles that use this target make their leases members of.
Result<std::vector<std::string>> ConfigPaths::groups_of(const std::string& target) const {
  std::set<std::string> groups;
  ASSIGN_OR_RETURN(const auto names, services_.storage.list("role/"));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto role, load_role(services_.storage, name));
    if (!role || role->db_name != target) continue;
    for (std::string& group : granted_groups(*role)) groups.insert(std::move(group));
  }
  return std::vector<std::string>(groups.begin(), groups.end());
}

// What depends on a configuration.
Status ConfigPaths::check_unused(const std::string& name, bool force,
                                 std::vector<std::string>& warnings) const {
  ASSIGN_OR_RETURN(const auto leases, services_.leases.count(name));
  if (leases > 0 && !force)
    return Error{Errc::kInvalidArgument,
                 fmt::format("{} leases on target \"{}\" are not revoked yet, and without this "
                             "configuration their database roles cannot be removed; revoke them "
                             "first, or delete with force=true and remove the roles by hand",
                             leases, name)};
  if (leases > 0)
    warnings.push_back(
        fmt::format("{} leases cannot end before target \"{}\" is configured again", leases, name));
  ASSIGN_OR_RETURN(const auto users, services_.storage.list(static_users_prefix(name)));
  if (!users.empty() && !force)
    return Error{Errc::kInvalidArgument,
                 fmt::format("{} static roles use target \"{}\"; delete them first, or delete with "
                             "force=true",
                             users.size(), name)};
  if (!users.empty())
    warnings.push_back(
        fmt::format("{} static roles cannot be used before target \"{}\" is "
                    "configured again",
                    users.size(), name));
  return ok();
}

Result<Reply> ConfigPaths::remove(const Call& call) {
  const std::string& name = name_of(call);
  ASSIGN_OR_RETURN(const bool force, Fields(call.data).boolean_or("force", false));
  Reply reply;
  RETURN_IF_ERROR(check_unused(name, force, reply.warnings));
  ASSIGN_OR_RETURN(const auto held, root_.turn(name));
  const Status settled = root_.settle(name);
  if (!settled && !force) return settled.error();
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, name));
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    if (config) RETURN_IF_ERROR(root_.deleted(writer, *config));
    return writer.remove(config_key(name));
  }));
  pools_.reset(name);
  services_.wake_caretaker();
  return reply;
}

Result<Reply> ConfigPaths::rotate_root(const Call& call) {
  const Status rotated = root_.rotate(name_of(call));
  services_.wake_caretaker();
  if (!rotated) return rotated.error();
  return Reply{};
}

Result<Reply> ConfigPaths::reset(const Call& call) {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, name_of(call)));
  if (!config) return no_config(name_of(call));
  pools_.reset(config->name);
  return Reply{};
}

}  // namespace curfew::engines::postgres
