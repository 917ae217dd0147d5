#include <ostream>

#include "cli/commands_reconcile.h"

namespace curfew::cli {

namespace {

void print_targets(const Json& targets, std::ostream& out) {
  std::vector<Row> rows = {{"Mount", "Target", "Since", "Due leases", "Differences", "Reason"}};
  for (const Json& target : targets)
    rows.push_back({member_text(target, "mount"), member_text(target, "target"),
                    member_text(target, "since"), value_text(member(target, "due_leases")),
                    value_text(member(member(target, "differences"), "total")),
                    member_text(target, "reason")});
  out << printable(table_text(rows));
  out << "\nNothing is issued, renewed or revoked there. -format=json names the leases that would "
         "be revoked.\n";
}

Result<int> status(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/observe",
                                                          .doing = "reading what is observed"}));
  const Json& targets = member_list(reply.data(), "targets");
  const auto for_people = [&](std::ostream& out) {
    if (targets.empty()) {
      out << "No target is observed: this server is in charge of all.\n";
    } else {
      print_targets(targets, out);
    }
  };
  RETURN_IF_ERROR(call.print.either(OrderedJson::parse(reply.data().dump()), for_people));
  return targets.empty() ? kExitOk : kExitServer;
}

Result<int> accept(Call& call) {
  Json body = Json::object();
  for (const char* name : {"mount", "target", "reason"}) {
    if (!call.arguments.has(name))
      return local_error(std::string("-") + name + " is missing: see curfew observe accept -help");
    body[name] = call.arguments.text(name);
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "POST",
                                                          .path = "sys/observe/accept",
                                                          .body = std::move(body),
                                                          .doing = "taking charge"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! This server is in charge of target " +
                            call.arguments.text("target") + " of " + call.arguments.text("mount"));
}

}  // namespace

void add_observe_commands(CommandTable& table) {
  table.groups.push_back({"observe", "Targets that are only observed after a restore or a copy"});
  table.commands.push_back({.path = "observe status",
                            .summary = "Shows which targets are only observed, and why",
                            .synopsis = "[flags]",
                            .details = "  Ends with 0 where there is none, with 2 otherwise.\n",
                            .run = status});
  table.commands.push_back(
      {.path = "observe accept",
       .summary = "Takes charge of an observed target; what is due there is revoked",
       .synopsis = "-mount=PATH -target=NAME -reason=TEXT",
       .flags = {{{"mount"}, FlagKind::kText, "The path of the mount.", "PATH"},
                 {{"target"}, FlagKind::kText, "The name of the target.", "NAME"},
                 {{"reason"}, FlagKind::kText, "Why, for the log.", "TEXT"}},
       .details = "      curfew observe accept -mount=database -target=app -reason=\"restored "
                  "after the disk failed\"\n",
       .run = accept});
}

}  // namespace curfew::cli
