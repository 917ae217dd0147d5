#include <ostream>

#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/mount_tables.h"

namespace curfew::cli {

namespace {

Result<int> enable(Call& call) {
  const std::string type = trim_path(call.word(0));
  const std::string path = trim_path(call.arguments.text("path", type));
  if (type.empty() || path.empty()) return local_error("The device's type or path is empty");
  ASSIGN_OR_RETURN(Json options,
                   parse_key_values(std::span(call.arguments.words()).subspan(1), call.around.in));
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "PUT",
                       .path = "sys/audit/" + path,
                       .body = Json{{"type", type},
                                    {"description", call.arguments.text("description")},
                                    {"options", std::move(options)},
                                    {"local", call.arguments.on("local")}},
                       .doing = "enabling the " + type + " audit device"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Enabled the " + type + " audit device at: " + path + "/");
}

Result<int> disable(Call& call) {
  const std::string path = trim_path(call.word(0));
  if (path.empty()) return local_error("The device's path is empty");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "DELETE",
                                    .path = "sys/audit/" + path,
                                    .doing = "disabling the audit device at " + path + "/"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Disabled audit device (if it was enabled) at: " + path + "/");
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "GET", .path = "sys/audit", .doing = "listing audit devices"}));
  const Json& data = reply.data();
  const bool is_empty = !data.is_object() || data.empty();
  if (is_empty && call.print.is_table()) return missing_error("No audit devices are enabled.");
  const bool detailed = call.arguments.on("detailed");
  std::vector<Row> rows = {{"Path", "Type", "Description"}};
  if (detailed) rows.front().insert(rows.front().end(), {"Replication", "Options"});
  if (data.is_object()) {
    for (const auto& [path, device] : data.items()) {
      if (!device.is_object()) continue;
      Row row = {path, value_text(member(device, "type")),
                 value_text(member(device, "description"))};
      if (detailed) {
        row.push_back(member(device, "local") == true ? "local" : "replicated");
        row.push_back(value_text(member(device, "options")));
      }
      rows.push_back(std::move(row));
    }
  }
  call.print.warnings(reply.body);
  return call.print.rows(rows, data.is_null() ? OrderedJson::object() : OrderedJson(data));
}

}  // namespace

void add_audit_commands(CommandTable& table) {
  table.groups.push_back({"audit", "Where every request and answer is written down"});
  table.commands.push_back(
      {.path = "audit enable",
       .summary = "Adds an audit device",
       .synopsis = "[flags] TYPE [KEY=VALUE...]",
       .words = {1, kManyWords},
       .flags = {{{"path"}, FlagKind::kText, "Its path: its type if unset.", "PATH"},
                 {{"description"}, FlagKind::kText, "A text for people.", "TEXT"},
                 {{"local"}, FlagKind::kSwitch, "Accepted for Vault's sake."}},
       .details = "      curfew audit enable file file_path=/var/log/curfew/audit.log\n",
       .run = enable});
  table.commands.push_back({.path = "audit disable",
                            .summary = "Removes an audit device",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .run = disable});
  table.commands.push_back({.path = "audit list",
                            .summary = "Lists the audit devices",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .flags = {detailed_flag()},
                            .run = list});
}

}  // namespace curfew::cli
