#include <ostream>

#include "cli/commands.h"
#include "cli/mount_tables.h"

namespace curfew::cli {

namespace {

Result<int> enable(Call& call) {
  const std::string type = trim_path(call.word(0));
  const std::string path = trim_path(call.arguments.text("path", type));
  if (type.empty() || path.empty()) return local_error("The engine's type or path is empty");
  const bool names_version = type == "kv-v1" || type == "kv-v2";
  ASSIGN_OR_RETURN(Json body, enable_body(call.arguments, names_version ? "kv" : type));
  if (names_version) {
    if (!body["options"].is_object()) body["options"] = Json::object();
    body["options"]["version"] = type.substr(4);
  }
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "sys/mounts/" + path,
                                    .body = std::move(body),
                                    .doing = "enabling the " + type + " secrets engine"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Enabled the " + type + " secrets engine at: " + path + "/");
}

Result<int> disable(Call& call) {
  const std::string path = trim_path(call.word(0));
  if (path.empty()) return local_error("The engine's path is empty");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "DELETE",
                                    .path = "sys/mounts/" + path,
                                    .doing = "disabling the secrets engine at " + path + "/"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Disabled the secrets engine (if it existed) at: " + path +
                            "/");
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "GET", .path = "sys/mounts", .doing = "listing secrets engines"}));
  return show_mounts(call, reply, "Plugin");
}

Result<int> tune(Call& call) {
  const std::string path = trim_path(call.word(0));
  if (path.empty()) return local_error("The engine's path is empty");
  ASSIGN_OR_RETURN(Json body, tune_body(call.arguments));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "sys/mounts/" + path + "/tune",
                                    .body = std::move(body),
                                    .doing = "tuning the secrets engine at " + path + "/"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Tuned the secrets engine at: " + path + "/");
}

Result<int> move(Call& call) {
  const std::string from = trim_path(call.word(0));
  const std::string to = trim_path(call.word(1));
  if (from.empty() || to.empty()) return local_error("The engine's old or new path is empty");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "POST",
                                                          .path = "sys/remount",
                                                          .body = Json{{"from", from}, {"to", to}},
                                                          .doing = "moving the secrets engine at " +
                                                                   from + "/ to " + to + "/"}));
  call.print.warnings(reply.body);
  const Json& data = reply.data();
  if (data.is_object() && data.contains("migration_id")) {
    return call.print.success("Started moving " + from + "/ to " + to +
                              "/. How far it is: curfew read sys/remount/status/" +
                              value_text(data.at("migration_id")));
  }
  return call.print.success("Success! Moved secrets engine " + from + "/ to: " + to + "/");
}

}  // namespace

void add_secrets_commands(CommandTable& table) {
  const Flag version = {{"version"}, FlagKind::kInteger, "The version of a kv engine.", "NUMBER"};
  std::vector<Flag> enable_flags = mount_config_flags();
  enable_flags.push_back(
      {{"path"}, FlagKind::kText, "Where to mount it: its type if unset.", "PATH"});
  enable_flags.push_back({{"local"}, FlagKind::kSwitch, "Accepted for Vault's sake."});
  enable_flags.push_back({{"seal-wrap"}, FlagKind::kSwitch, "Accepted for Vault's sake."});
  enable_flags.push_back(version);
  std::vector<Flag> tune_flags = mount_config_flags();
  tune_flags.push_back(version);

  table.groups.push_back({"secrets", "Engines that keep or make secrets"});
  table.commands.push_back({.path = "secrets enable",
                            .summary = "Mounts an engine",
                            .synopsis = "[flags] TYPE",
                            .words = {1, 1},
                            .flags = std::move(enable_flags),
                            .details = "      curfew secrets enable database\n"
                                       "      curfew secrets enable -path=secret -version=2 kv\n",
                            .run = enable});
  table.commands.push_back({.path = "secrets disable",
                            .summary = "Unmounts an engine; its leases end",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .run = disable});
  table.commands.push_back({.path = "secrets list",
                            .summary = "Lists the engines",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .flags = {detailed_flag()},
                            .run = list});
  table.commands.push_back({.path = "secrets tune",
                            .summary = "Changes an engine's settings",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .flags = std::move(tune_flags),
                            .run = tune});
  table.commands.push_back({.path = "secrets move",
                            .summary = "Moves an engine to another path",
                            .synopsis = "[flags] FROM TO",
                            .words = {2, 2},
                            .run = move});
}

}  // namespace curfew::cli
