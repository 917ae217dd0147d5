#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/mount_tables.h"

namespace curfew::cli {

namespace {

// Where the namespaces below another one are kept: those of "a/b" at "a/b/sys/namespaces".
std::string folder_path(const std::string& above) {
  return above.empty() ? "sys/namespaces" : above + "/sys/namespaces";
}

// A namespace is kept by the one above it.
std::string api_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return folder_path("") + "/" + path;
  return folder_path(path.substr(0, slash)) + path.substr(slash);
}

Result<std::string> path_word(Call& call) {
  std::string path = trim_path(call.word(0));
  if (path.empty()) return local_error("The namespace's path is empty");
  return path;
}

Result<int> list(Call& call) {
  const std::string above = call.word_count() > 0 ? trim_path(call.word(0)) : "";
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = folder_path(above),
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing the namespaces",
                                                          .none_ok = true}));
  if (reply.is_miss() && call.print.is_table()) return missing_error("No namespaces found.");
  if (!call.arguments.on("detailed") || !call.print.is_table())
    return show_keys(call, reply, "the namespaces");
  std::vector<Row> rows = {{"Path", "ID", "Custom metadata", "Being deleted"}};
  const Json& known = member(reply.data(), "key_info");
  for (const auto& [path, entry] : known.items())
    rows.push_back({path, value_text(member(entry, "id")),
                    value_text(member(entry, "custom_metadata")),
                    value_text(member(entry, "tainted"))});
  return call.print.rows(rows, OrderedJson(known));
}

Result<int> lookup(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_word(call));
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "GET", .path = api_path(path), .doing = "looking up the namespace " + path}));
  return call.print.answer(reply);
}

Result<int> create(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_word(call));
  ASSIGN_OR_RETURN(Json metadata,
                   pairs_object(call.arguments.list("custom-metadata"), "-custom-metadata"));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = api_path(path),
                                    .body = Json{{"custom_metadata", std::move(metadata)}},
                                    .doing = "creating the namespace " + path}));
  return call.print.answer(reply);
}

Result<int> patch(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_word(call));
  ASSIGN_OR_RETURN(Json metadata,
                   pairs_object(call.arguments.list("custom-metadata"), "-custom-metadata"));
  for (const std::string& name : call.arguments.list("remove-custom-metadata"))
    metadata[name] = nullptr;
  if (metadata.empty())
    return local_error("Nothing to change: give -custom-metadata or -remove-custom-metadata");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PATCH",
                                    .path = api_path(path),
                                    .body = Json{{"custom_metadata", std::move(metadata)}},
                                    .doing = "changing the namespace " + path,
                                    .content_type = "application/merge-patch+json"}));
  return call.print.answer(reply);
}

Result<int> remove(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, path_word(call));
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "DELETE", .path = api_path(path), .doing = "deleting the namespace " + path}));
  call.print.warnings(reply.body);
  if (value_text(member(reply.data(), "status")) == "in-progress")
    return call.print.success("The namespace " + path +
                              "/ is closed. It goes with the last of its leases; see: curfew "
                              "namespace lookup " +
                              path);
  return call.print.success("Success! Deleted the namespace (if it existed) at: " + path + "/");
}

}  // namespace

void add_namespace_commands(CommandTable& table) {
  const Flag metadata = {
      {"custom-metadata"}, FlagKind::kList, "What is known of it; repeatable.", "KEY=VALUE"};
  table.groups.push_back({"namespace", "Tenants: each with its own mounts, policies and keys"});
  table.commands.push_back({.path = "namespace list",
                            .summary = "Lists the namespaces below this one, or below PATH",
                            .synopsis = "[flags] [PATH]",
                            .words = {0, 1},
                            .flags = {detailed_flag()},
                            .run = list});
  table.commands.push_back({.path = "namespace lookup",
                            .summary = "Shows a namespace",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .flags = {field_flag()},
                            .run = lookup});
  table.commands.push_back({.path = "namespace create",
                            .summary = "Makes a namespace, with keys of its own",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .flags = {metadata, field_flag()},
                            .details = "      curfew namespace create team-a\n"
                                       "      curfew namespace create team-a/ci\n",
                            .run = create});
  table.commands.push_back(
      {.path = "namespace patch",
       .summary = "Changes the custom metadata of a namespace",
       .synopsis = "[flags] PATH",
       .words = {1, 1},
       .flags =
           {metadata,
            {{"remove-custom-metadata"}, FlagKind::kList, "A key to remove; repeatable.", "KEY"},
            field_flag()},
       .run = patch});
  table.commands.push_back(
      {.path = "namespace delete",
       .summary = "Ends everything in a namespace and destroys its keys",
       .synopsis = "[flags] PATH",
       .words = {1, 1},
       .details = "  Its tokens end at once. It goes when all its leases are proven gone.\n",
       .run = remove});
}

}  // namespace curfew::cli
