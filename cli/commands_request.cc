#include <fmt/format.h>

#include <ostream>

#include "base/duration.h"
#include "cli/approval_calls.h"
#include "cli/approval_card.h"
#include "cli/commands.h"
#include "cli/key_values.h"

// What those do who need an approval: ask for it, wait, and take what was approved.
namespace curfew::cli {

namespace {

Result<Json> task_body(const Arguments& given) {
  Json task = Json::object();
  if (given.has("task-leases")) task["leases"] = *given.integer("task-leases");
  if (given.has("task-statements")) task["statements"] = *given.integer("task-statements");
  if (given.has("task-duration"))
    task["duration"] = format_duration_short(*given.duration("task-duration"));
  return task;
}

Result<Json> request_body(Call& call) {
  const Arguments& given = call.arguments;
  const Settings& settings = call.api().settings();
  Json body = {{"path", trim_path(call.word(0))}};
  const std::span<const std::string> words = std::span(given.words()).subspan(1);
  if (!words.empty()) {
    ASSIGN_OR_RETURN(body["parameters"], parse_key_values(words, call.around.in));
  }
  if (given.has("operation")) body["operation"] = given.text("operation");
  if (given.has("ttl")) body["ttl"] = format_duration_short(*given.duration("ttl"));
  for (const char* flag : {"reason", "idempotency-key"})
    if (given.has(flag))
      body[flag == std::string_view("reason") ? "reason" : "idempotency_key"] = given.text(flag);
  for (const auto& [name, value] :
       {std::pair("ticket", settings.ticket), std::pair("purpose", settings.purpose),
        std::pair("session", settings.session)})
    if (!value.empty()) body[name] = value;
  if (given.has("statement-file")) {
    ASSIGN_OR_RETURN(body["statement"], read_source(given.text("statement-file"), call.around.in));
  }
  if (given.has("statement-parameter")) {
    if (!given.has("statement-file"))
      return local_error("-statement-parameter goes with -statement-file");
    body["statement_parameters"] = given.list("statement-parameter");
  }
  ASSIGN_OR_RETURN(Json task, task_body(given));
  if (!task.empty()) body["task"] = std::move(task);
  if (given.on("break-glass")) body["break_glass"] = true;
  return body;
}

// What of it was not given is told apart from what cannot be had.
Error not_approved(const Json& view, const std::string& id) {
  if (member_text(view, "state") != "pending")
    return {Errc::kRefused, "Nothing is issued: the request is " + approval_standing(view)};
  return {Errc::kRefused,
          fmt::format("Nobody has decided yet: the request is {}. Go on with `curfew approval wait "
                      "{}` and `curfew approval claim {}`, or take it back with `curfew approval "
                      "cancel {}`",
                      approval_standing(view), id, id, id)};
}

bool is_claimable(const Json& view) {
  return member_text(view, "state") == "approved";
}

std::optional<Millis> wait_time(const Call& call, std::string_view flag) {
  return call.arguments.duration(flag);
}

Result<int> take(Call& call, const std::string& id) {
  ASSIGN_OR_RETURN(const ApiReply reply, claim_approval(call, id));
  return call.print.answer(reply);
}

Result<int> print_asked(Call& call, const ApiReply& reply) {
  if (!call.print.field().empty() || !call.print.is_table()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  const Json& view = reply.data();
  const std::string id = member_text(view, "id");
  std::vector<Row> rows = {{"Key", "Value"}, {"id", id}, {"state", approval_standing(view)}};
  for (const Json& factor : member_list(view, "factors"))
    rows.push_back({"must approve", fmt::format("{} of {}", value_text(member(factor, "approvals")),
                                                people_text(member(factor, "groups")))});
  rows.push_back({"digest", member_text(view, "digest")});
  call.around.out << table_text(rows);
  call.around.out << fmt::format(
      "\nWait for it: curfew approval wait {}\nTake it:     curfew "
      "approval claim {}\n",
      one_line(id), one_line(id));
  return kExitOk;
}

Result<int> request(Call& call) {
  ASSIGN_OR_RETURN(Json body, request_body(call));
  ASSIGN_OR_RETURN(const ApiReply asked,
                   call.api().send({.method = "POST",
                                    .path = "sys/approvals",
                                    .body = std::move(body),
                                    .doing = "asking for " + trim_path(call.word(0))}));
  if (!call.arguments.has("wait")) return print_asked(call, asked);
  const std::string id = member_text(asked.data(), "id");
  call.print.warnings(asked.body);
  Json view = asked.data();
  if (member_text(view, "state") == "pending") {
    call.around.err << "Approval request " << one_line(id) << " waits for approval.\n"
                    << std::flush;
    ASSIGN_OR_RETURN(const ApiReply reply,
                     wait_for_approval(call, id, wait_time(call, "wait"), std::nullopt));
    view = reply.data();
  }
  if (!is_claimable(view)) return not_approved(view, id);
  return take(call, id);
}

// 0: it may be claimed, or was; with -revision, it has changed. 2: anything else.
Result<int> wait(Call& call) {
  const std::string& id = call.word(0);
  const auto revision = call.arguments.integer("revision");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   wait_for_approval(call, id, wait_time(call, "timeout"), revision));
  const Json& view = reply.data();
  const std::string state = member_text(view, "state");
  const bool good = revision ? member(view, "revision") > Json(*revision)
                             : state == "approved" || state == "claimed";
  if (!call.print.field().empty() || !call.print.is_table()) {
    RETURN_IF_ERROR(call.print.answer(reply));
  } else {
    call.print.warnings(reply.body);
    call.print.success("The request is " + approval_standing(view));
  }
  return good ? kExitOk : kExitServer;
}

Result<int> claim(Call& call) {
  return take(call, call.word(0));
}

std::vector<Flag> request_flags() {
  return {
      {{"operation"},
       FlagKind::kText,
       "What is to be done with the path; read if not given.",
       "OPERATION",
       {"read", "create", "update", "patch", "delete", "list"}},
      {{"ttl"}, FlagKind::kDuration, "How long the credential is to live.", "DURATION"},
      {{"reason"}, FlagKind::kText, "Why; approvers read it.", "TEXT"},
      {{"statement-file"},
       FlagKind::kText,
       "The one SQL statement that it is for; \"-\" is standard input. It is tried out and rolled "
       "back, and approvers see what it did.",
       "FILE"},
      {{"statement-parameter"},
       FlagKind::kList,
       "Value of $1, $2, … of the statement. May be repeated.",
       "VALUE"},
      {{"task-leases"}, FlagKind::kInteger, "Ask for a task with so many leases.", "N"},
      {{"task-statements"}, FlagKind::kInteger, "Ask for a task with so many statements.", "N"},
      {{"task-duration"}, FlagKind::kDuration, "How long the task is to be.", "DURATION"},
      {{"idempotency-key"},
       FlagKind::kText,
       "Asking again with this key and the same words makes no second request; other words replace "
       "the first.",
       "KEY"},
      {{"break-glass"},
       FlagKind::kSwitch,
       "Take it now and be reviewed afterwards: humans only, with -reason."},
      {{"wait"},
       FlagKind::kWait,
       "Wait for the approval, for so long if given, and print the credential."},
      field_flag()};
}

}  // namespace

void add_request_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "request",
       .summary = "Asks for the approval to read a path, or to do something else with it",
       .synopsis = "[flags] PATH [KEY=VALUE...]",
       .words = {1, kManyWords},
       .flags = request_flags(),
       .details = "      curfew request -reason=\"refund 4711\" -ttl=15m "
                  "database/creds/agent-readwrite\n"
                  "      curfew request -wait=10m -statement-file=refund.sql "
                  "-statement-parameter=4711 \\\n"
                  "          database/creds/agent-readwrite\n",
       .run = request});
  table.commands.push_back(
      {.path = "approval wait",
       .summary = "Waits until a request is decided; exits with 0 if it was approved",
       .synopsis = "[flags] ID",
       .words = {1, 1},
       .flags = {{{"timeout"}, FlagKind::kDuration, "About so long at most.", "DURATION"},
                 {{"revision"},
                  FlagKind::kInteger,
                  "Wait until it has changed since this revision instead.",
                  "N"},
                 field_flag()},
       .run = wait});
  table.commands.push_back({.path = "approval claim",
                            .summary = "Takes what was approved: once, by who asked for it",
                            .synopsis = "[flags] ID",
                            .words = {1, 1},
                            .flags = {field_flag()},
                            .run = claim});
}

}  // namespace curfew::cli
