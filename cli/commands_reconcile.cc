#include "cli/commands_reconcile.h"

#include <ostream>

namespace curfew::cli {

namespace {

constexpr Millis kPollPause{1000};

// The report of a comparison that outlasted its request.
Result<ApiReply> wait_for_report(Call& call) {
  for (;;) {
    ASSIGN_OR_RETURN(
        ApiReply reply,
        call.api().send({.method = "GET", .path = "sys/reconcile", .doing = "reading the report"}));
    if (member(reply.data(), "running") != true) return reply;
    call.around.sleep(kPollPause);
  }
}

std::string what_was_compared(const Json& target) {
  const std::string name = member_text(target, "mount") + " " + member_text(target, "target");
  const std::string error = member_text(target, "error");
  if (!error.empty()) return name + ": NOT COMPARED: " + error;
  std::string line = name + ": " + value_text(member(target, "roles")) + " roles, " +
                     value_text(member(target, "leases")) + " leases";
  const std::string observed = member_text(target, "observed");
  if (!observed.empty()) line += "; OBSERVED, nothing is changed there: " + observed;
  return line;
}

void print_report(const Json& report, std::ostream& out) {
  for (const Json& target : member_list(report, "targets"))
    out << printable(what_was_compared(target)) << "\n";
  const Json& findings = member_list(report, "findings");
  if (findings.empty()) {
    out << "No differences.\n";
    return;
  }
  std::vector<Row> rows = {{"Kind", "Target", "Database role", "Lease", "Detail", "Action"}};
  for (const Json& finding : findings)
    rows.push_back({member_text(finding, "kind"), member_text(finding, "target"),
                    member_text(finding, "database_role"), member_text(finding, "lease_id"),
                    member_text(finding, "detail"), member_text(finding, "action")});
  out << "\n" << printable(table_text(rows));
  if (member(report, "truncated") == true)
    out << "There are " << value_text(member(report, "total")) << " in all.\n";
}

bool is_clean(const Json& report) {
  for (const Json& target : member_list(report, "targets"))
    if (!member_text(target, "error").empty()) return false;
  return member_list(report, "findings").empty();
}

Result<int> reconcile(Call& call) {
  Json body{{"repair", call.arguments.on("repair")}, {"foreign", call.arguments.on("foreign")}};
  for (const char* name : {"mount", "target"})
    if (call.arguments.has(name)) body[name] = call.arguments.text(name);
  ASSIGN_OR_RETURN(ApiReply reply, call.api().send({.method = "POST",
                                                    .path = "sys/reconcile",
                                                    .body = std::move(body),
                                                    .doing = "comparing targets and leases"}));
  if (reply.status == 202) {
    ASSIGN_OR_RETURN(reply, wait_for_report(call));
  }
  call.print.warnings(reply.body);
  const Json& report = reply.data();
  RETURN_IF_ERROR(call.print.either(OrderedJson::parse(report.dump()),
                                    [&](std::ostream& out) { print_report(report, out); }));
  return is_clean(report) ? kExitOk : kExitServer;
}

}  // namespace

void add_reconcile_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "reconcile",
       .summary = "Compares the roles in the targets with the leases, both ways",
       .synopsis = "[flags]",
       .flags = {{{"mount"}, FlagKind::kText, "The path of one mount; all by default.", "PATH"},
                 {{"target"}, FlagKind::kText, "The name of one target; all by default.", "NAME"},
                 {{"repair"},
                  FlagKind::kSwitch,
                  "Put right what can be: revoke roles without a lease, and leases whose role was "
                  "changed."},
                 {{"foreign"},
                  FlagKind::kSwitch,
                  "Also report roles that bear the mark of another broker."}},
       .details = "      curfew reconcile\n"
                  "      curfew reconcile -mount=database -target=app -repair\n"
                  "\n"
                  "  Ends with 0 where there is no difference, with 2 where there is one or a "
                  "target could\n  not be looked at.\n",
       .run = reconcile});
}

}  // namespace curfew::cli
