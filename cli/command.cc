#include "cli/command.h"

namespace curfew::cli {

const Command* CommandTable::find(std::string_view path) const {
  for (const Command& command : commands) {
    if (command.path == path) return &command;
  }
  return nullptr;
}

const CommandGroup* CommandTable::find_group(std::string_view name) const {
  for (const CommandGroup& group : groups) {
    if (group.name == name) return &group;
  }
  return nullptr;
}

std::vector<Flag> common_flags(bool local) {
  std::vector<Flag> flags = {{{"format"},
                              FlagKind::kText,
                              "How to print results (CURFEW_FORMAT).",
                              "FORMAT",
                              {"table", "json", "yaml", "pretty"}}};
  if (!local) {
    flags.insert(flags.end(), connection_flags().begin(), connection_flags().end());
  }
  return flags;
}

Flag field_flag() {
  return {{"field"}, FlagKind::kText, "Print this field of the answer and nothing else.", "NAME"};
}

Error local_error(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Error missing_error(std::string message) {
  return {Errc::kNotFound, std::move(message)};
}

Result<int> show_keys(Call& call, const ApiReply& reply, const std::string& path) {
  if (reply.status == 404 && reply.is_miss()) {
    return missing_error("No value found at " + path);
  }
  const Json& data = reply.data();
  const Json& keys = member_list(data, "keys");
  if (call.print.is_table() && keys.empty()) return missing_error("No entries found at " + path);
  call.print.warnings(reply.body);
  std::vector<Row> rows = {{"Keys"}};
  for (const Json& key : keys) rows.push_back({value_text(key)});
  return call.print.rows(rows, OrderedJson(keys));
}

}  // namespace curfew::cli
