#include <ostream>

#include "cli/commands.h"
#include "cli/login_methods.h"
#include "cli/mount_tables.h"

namespace curfew::cli {

namespace {

// "userpass" and "auth/userpass/" are the same place.
std::string method_path(const std::string& word) {
  std::string path = trim_path(word);
  if (path.starts_with("auth/")) path.erase(0, 5);
  return path;
}

Result<int> enable(Call& call) {
  const std::string type = trim_path(call.word(0));
  const std::string path = method_path(call.arguments.text("path", type));
  if (type.empty() || path.empty()) return local_error("The method's type or path is empty");
  ASSIGN_OR_RETURN(Json body, enable_body(call.arguments, type));
  if (call.arguments.has("token-type")) {
    body["config"]["token_type"] = call.arguments.text("token-type");
  }
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "sys/auth/" + path,
                                    .body = std::move(body),
                                    .doing = "enabling the " + type + " auth method"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Enabled " + type + " auth method at: " + path + "/");
}

Result<int> disable(Call& call) {
  const std::string path = method_path(call.word(0));
  if (path.empty()) return local_error("The method's path is empty");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "DELETE",
                                    .path = "sys/auth/" + path,
                                    .doing = "disabling the auth method at " + path + "/"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Disabled the auth method (if it existed) at: " + path + "/");
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "GET", .path = "sys/auth", .doing = "listing auth methods"}));
  return show_mounts(call, reply, "Plugin");
}

Result<int> tune(Call& call) {
  const std::string path = method_path(call.word(0));
  if (path.empty()) return local_error("The method's path is empty");
  ASSIGN_OR_RETURN(Json body, tune_body(call.arguments));
  if (call.arguments.has("token-type")) body["token_type"] = call.arguments.text("token-type");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "sys/mounts/auth/" + path + "/tune",
                                    .body = std::move(body),
                                    .doing = "tuning the auth method at " + path + "/"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Tuned the auth method at: " + path + "/");
}

Result<int> help(Call& call) {
  const std::string name = method_path(call.word(0));
  if (const LoginMethod* method = find_login_method(name)) {
    call.around.out << method->usage;
    return kExitOk;
  }
  std::string known = "token";
  for (const LoginMethod& method : login_methods()) known += ", " + method.name;
  return local_error("There is no help for the method \"" + name + "\"; known are: " + known);
}

}  // namespace

void add_auth_commands(CommandTable& table) {
  const Flag token_type = {{"token-type"}, FlagKind::kText, "The type of its tokens.", "TYPE"};
  std::vector<Flag> enable_flags = mount_config_flags();
  enable_flags.push_back(
      {{"path"}, FlagKind::kText, "Where to mount it: its type if unset.", "PATH"});
  enable_flags.push_back({{"local"}, FlagKind::kSwitch, "Accepted for Vault's sake."});
  enable_flags.push_back({{"seal-wrap"}, FlagKind::kSwitch, "Accepted for Vault's sake."});
  enable_flags.push_back(token_type);
  std::vector<Flag> tune_flags = mount_config_flags();
  tune_flags.push_back(token_type);

  table.groups.push_back({"auth", "Methods of logging in"});
  table.commands.push_back({.path = "auth list",
                            .summary = "Lists the auth methods",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .flags = {detailed_flag()},
                            .run = list});
  table.commands.push_back({.path = "auth enable",
                            .summary = "Mounts an auth method",
                            .synopsis = "[flags] TYPE",
                            .words = {1, 1},
                            .flags = std::move(enable_flags),
                            .details = "      curfew auth enable approle\n",
                            .run = enable});
  table.commands.push_back({.path = "auth disable",
                            .summary = "Unmounts an auth method; its tokens end",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .run = disable});
  table.commands.push_back({.path = "auth help",
                            .summary = "Tells how to log in with a method",
                            .synopsis = "METHOD",
                            .words = {1, 1},
                            .local = true,
                            .run = help});
  table.commands.push_back({.path = "auth tune",
                            .summary = "Changes an auth method's settings",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .flags = std::move(tune_flags),
                            .run = tune});
}

}  // namespace curfew::cli
