#include <algorithm>
#include <cctype>
#include <fstream>
#include <ostream>

#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/policy_format.h"

namespace curfew::cli {

namespace {

Result<std::string> policy_name(const std::string& word) {
  std::string name = trim_path(word);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.empty()) return local_error("The policy's name is empty");
  return name;
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/policies/acl",
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing policies",
                                                          .none_ok = true}));
  const Json& data = reply.data();
  const Json& names = member_list(data, "keys");
  return call.print.either(OrderedJson(names), [&](std::ostream& out) {
    for (const Json& name : names) out << printable(value_text(name)) << "\n";
  });
}

Result<int> read(Call& call) {
  ASSIGN_OR_RETURN(const std::string name, policy_name(call.word(0)));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/policies/acl/" + name,
                                                          .doing = "reading the policy " + name,
                                                          .none_ok = true}));
  if (reply.is_miss()) return missing_error("No policy named: " + name);
  const Json& data = reply.data();
  const std::string text = member_text(data, "policy");
  return call.print.either(OrderedJson{{"policy", text}}, [&](std::ostream& out) {
    const std::string shown = printable(text);
    out << shown << (shown.ends_with('\n') ? "" : "\n");
  });
}

Result<int> write(Call& call) {
  ASSIGN_OR_RETURN(const std::string name, policy_name(call.word(0)));
  ASSIGN_OR_RETURN(const std::string text, read_source(call.word(1), call.around.in));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = "sys/policies/acl/" + name,
                                    .body = Json{{"policy", text}},
                                    .doing = "uploading the policy " + name}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Uploaded policy: " + name);
}

Result<int> remove(Call& call) {
  ASSIGN_OR_RETURN(const std::string name, policy_name(call.word(0)));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "DELETE",
                                                          .path = "sys/policies/acl/" + name,
                                                          .doing = "deleting the policy " + name}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Deleted policy: " + name);
}

Result<int> format(Call& call) {
  const std::string& path = call.word(0);
  ASSIGN_OR_RETURN(const std::string text, read_source(path, call.around.in));
  const std::string formatted = format_policy(text);
  if (path == "-") {
    call.around.out << formatted;
    return kExitOk;
  }
  if (formatted != text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << formatted;
    file.flush();
    if (!file) return local_error("cannot write the file \"" + path + "\"");
  }
  return call.print.success("Success! Formatted policy: " + path);
}

}  // namespace

void add_policy_commands(CommandTable& table) {
  table.groups.push_back({"policy", "Policies: what paths a token may use, and how"});
  table.commands.push_back({.path = "policy list",
                            .summary = "Lists the policies",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = list});
  table.commands.push_back({.path = "policy read",
                            .summary = "Shows a policy",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .run = read});
  table.commands.push_back({.path = "policy write",
                            .summary = "Sets a policy from a file, or from standard input (-)",
                            .synopsis = "[flags] NAME FILE",
                            .words = {2, 2},
                            .run = write});
  table.commands.push_back({.path = "policy delete",
                            .summary = "Deletes a policy",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .run = remove});
  table.commands.push_back({.path = "policy fmt",
                            .summary = "Tidies a policy's file, or standard input (-)",
                            .synopsis = "[flags] FILE",
                            .words = {1, 1},
                            .local = true,
                            .run = format});
}

}  // namespace curfew::cli
