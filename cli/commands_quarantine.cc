#include "cli/commands.h"

namespace curfew::cli {

namespace {

// "database/quarantine/app", with the object where one is named.
Result<std::string> path_of(Call& call) {
  const std::string mount = trim_path(call.arguments.text("mount", "database"));
  const std::string target = trim_path(call.arguments.text("target"));
  if (mount.empty()) return local_error("-mount is empty; it is where the engine is mounted");
  if (target.empty())
    return local_error(
        "-target is missing: the name of the configuration (database/config/NAME) whose "
        "quarantine you mean");
  std::string path = mount + "/quarantine/" + target;
  if (call.word_count() > 0) path += "/" + trim_path(call.word(0));
  return path;
}

std::string text_or(const Json& object, const char* key, const char* fallback) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? fallback : value_text(*it);
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_of(call));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = path,
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing " + path,
                                                          .none_ok = true}));
  if (reply.is_miss()) return missing_error("Nothing is in quarantine at " + path);
  call.print.warnings(reply.body);
  const Json& info = reply.data().at("key_info");
  std::vector<Row> rows{{"Id", "Database", "Object", "Rows", "Bytes", "Since", "Lease"}};
  for (const auto& [id, object] : info.items()) {
    const Json from = object.value("from", Json());
    const Json origin = from.is_object() ? from : Json::object();
    rows.push_back({id, text_or(object, "database", ""),
                    text_or(object, "kind", "") + " " + text_or(object, "name", ""),
                    text_or(object, "rows_estimate", "-"), text_or(object, "size_bytes", "-"),
                    text_or(origin, "since", "-"), text_or(origin, "lease", "-")});
  }
  return call.print.rows(rows, OrderedJson(info));
}

Result<int> show(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_of(call));
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "GET", .path = path, .doing = "reading " + path, .none_ok = true}));
  if (reply.is_miss())
    return missing_error("There is no object " + call.word(0) + " in quarantine");
  return call.print.answer(reply);
}

Result<int> release(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_of(call));
  const std::string owner = call.arguments.text("owner");
  if (owner.empty()) return local_error("-owner is missing: the role that it is to belong to");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "POST",
                                                          .path = path + "/release",
                                                          .body = Json{{"owner", owner}},
                                                          .doing = "releasing " + path}));
  call.print.warnings(reply.body);
  return call.print.success("Success! " + text_or(reply.data(), "name", "It") +
                            " belongs to: " + owner);
}

Result<int> drop(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_of(call));
  const std::string confirm = call.arguments.text("confirm");
  if (confirm.empty())
    return local_error(
        "-confirm is missing: the name of the object as the list has it, to say that you mean it");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = path + "/drop",
                                    .body = Json{{"confirm", confirm},
                                                 {"cascade", call.arguments.on("cascade")}},
                                    .doing = "dropping " + path}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Dropped: " + text_or(reply.data(), "name", "it"));
}

}  // namespace

void add_quarantine_commands(CommandTable& table) {
  const Flag mount{{"mount"}, FlagKind::kText, "Where the engine is mounted (database).", "PATH"};
  const Flag target{{"target"}, FlagKind::kText, "The target: a configuration's name.", "NAME"};
  table.groups.push_back({"quarantine", "What leased roles left behind with data in it"});
  table.commands.push_back({.path = "quarantine list",
                            .summary = "Lists what is in quarantine at a target",
                            .synopsis = "[flags] -target=NAME",
                            .words = {0, 0},
                            .flags = {mount, target},
                            .details = "      curfew quarantine list -target=app\n",
                            .run = list});
  table.commands.push_back({.path = "quarantine show",
                            .summary = "Shows an object: its columns, its size, whose it was",
                            .synopsis = "[flags] -target=NAME ID",
                            .words = {1, 1},
                            .flags = {mount, target, field_flag()},
                            .run = show});
  table.commands.push_back(
      {.path = "quarantine release",
       .summary = "Gives an object to a role",
       .synopsis = "[flags] -target=NAME -owner=ROLE ID",
       .words = {1, 1},
       .flags = {mount,
                 target,
                 {{"owner"}, FlagKind::kText, "The role that it is to belong to.", "ROLE"}},
       .details = "      curfew quarantine release -target=app -owner=app_owner 16401-1259-16430\n",
       .run = release});
  table.commands.push_back(
      {.path = "quarantine drop",
       .summary = "Drops an object with all that is in it",
       .synopsis = "[flags] -target=NAME -confirm=OBJECT ID",
       .words = {1, 1},
       .flags = {mount,
                 target,
                 {{"confirm"}, FlagKind::kText, "The object's name, as the list has it.", "OBJECT"},
                 {{"cascade"}, FlagKind::kSwitch, "Also what depends on it, whosever it is."}},
       .details = "      curfew quarantine drop -target=app -confirm=public.scratch "
                  "16401-1259-16430\n",
       .run = drop});
}

}  // namespace curfew::cli
