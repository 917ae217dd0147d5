#include "cli/commands_incident.h"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <ostream>

#include "base/duration.h"
#include "cli/lease_scope.h"

// Commands for the hour in which something is wrong: end what somebody holds, let nothing new be
// issued, find out whose a database role is.
namespace curfew::cli {

namespace {

constexpr Millis kPoll{500};
constexpr Millis kWaitUsual = std::chrono::minutes{5};

// What the commands here take to know which leases are meant, and why.
std::vector<Flag> incident_flags() {
  std::vector<Flag> flags = scope_flags();
  flags.push_back({{"all"}, FlagKind::kSwitch, "All leases."});
  flags.push_back({{"reason"}, FlagKind::kText, "Why; agents that are refused read it.", "TEXT"});
  return flags;
}

Result<Json> scope_body(const Call& call) {
  Json body = scope_asked(call);
  if (call.arguments.on("all")) body["all"] = true;
  if (body.empty())
    return local_error(
        "Say which leases: -agent, -session, -trace, -token, -role, -target or -mount (several "
        "narrow it down), or -all");
  return body;
}

Status add_reason(const Call& call, Json& body) {
  body["reason"] = call.arguments.text("reason");
  if (!call.arguments.text("reason").empty()) return ok();
  return local_error("Say why with -reason: it is audited, and agents that are refused read it");
}

std::int64_t number(const Json& data, std::string_view name) {
  const Json& value = member(data, name);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

// ---- revoke -----------------------------------------------------------------------------------

void print_preview(std::ostream& out, const Json& data) {
  out << fmt::format("{} leases", number(data, "found"));
  if (number(data, "tokens") > 0) out << fmt::format(" and {} tokens", number(data, "tokens"));
  out << " would be ended.\n";
  std::vector<Row> counts = {{"Mount", "Role", "Target", "State", "Leases"}};
  for (const Json& item : member_list(data, "counts"))
    counts.push_back({member_text(item, "mount"), member_text(item, "role"),
                      member_text(item, "target"), member_text(item, "state"),
                      value_text(member(item, "count"))});
  if (counts.size() > 1) out << "\n" << table_text(counts);
  std::vector<Row> leases = {{"Lease", "Agent", "Purpose", "Expires"}};
  for (const Json& item : member_list(data, "leases")) {
    const Json& by = member(item, "attribution");
    leases.push_back({member_text(item, "id"), member_text(by, "agent"), member_text(by, "purpose"),
                      member_text(item, "expire_time")});
  }
  if (leases.size() > 1) out << "\n" << table_text(leases);
}

Result<ApiReply> preview(Call& call, Json body) {
  body["dry_run"] = true;
  return call.api().send({.method = "POST",
                          .path = "sys/leases/end",
                          .body = std::move(body),
                          .doing = "looking for the leases",
                          .preliminary = !call.arguments.on("dry-run")});
}

// Nothing is ended by a slip: a person sees what it would be and says yes; a program says so
// beforehand.
Status confirm(Call& call, const Json& body) {
  if (call.arguments.on("yes")) return ok();
  if (!call.around.in_is_terminal)
    return local_error(
        "Nobody is there to ask: give -yes to end these leases, or -dry-run to see which they are");
  ASSIGN_OR_RETURN(const ApiReply reply, preview(call, body));
  print_preview(call.around.err, reply.data());
  call.around.err << "\nEnd them now? Only \"yes\" does it: " << std::flush;
  std::string line;
  std::getline(call.around.in, line);
  if (line == "yes") return ok();
  return local_error("Nothing was ended");
}

// Follows the operation until all have ended, or the time is over.
Result<Json> follow(Call& call, const std::string& id) {
  const Millis wait_max = call.arguments.duration("wait").value_or(kWaitUsual);
  std::string shown;
  for (Millis waited{0};; waited += kPoll) {
    ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                            .path = "sys/leases/end/" + id,
                                                            .query = {{"limit", "20"}},
                                                            .doing = "reading how far it is"}));
    const Json& data = reply.data();
    const std::string now =
        fmt::format("{} found, {} locked out, {} ended, {} failing", number(data, "found"),
                    number(data, "locked_out"), number(data, "ended"), number(data, "failing"));
    if (call.print.is_table() && now != shown) call.around.err << now << "\n";
    shown = now;
    if (member(data, "finished") == Json(true) || waited >= wait_max) return data;
    call.around.sleep(kPoll);
  }
}

void print_outcome(std::ostream& out, const Json& data, bool proven) {
  const Json& receipts = member(data, "receipts");
  const std::string id = member_text(data, "id");
  out << (proven ? "Success! All access is gone, and proven so.\n"
                 : "NOT all access is proven to be gone.\n");
  out << table_text({{"Key", "Value"},
                     {"operation", id},
                     {"found", value_text(member(data, "found"))},
                     {"locked out", value_text(member(data, "locked_out"))},
                     {"ended", value_text(member(data, "ended"))},
                     {"proven gone", value_text(member(receipts, "proven"))},
                     {"given up", value_text(member(receipts, "given_up"))},
                     {"failing", value_text(member(data, "failing"))},
                     {"warnings", value_text(member(receipts, "warnings"))}});
  std::vector<Row> open = {{"Lease", "State", "Attempts", "Error"}};
  for (const Json& item : member_list(data, "leases")) {
    if (member(item, "receipt").is_object()) continue;
    open.push_back({member_text(item, "id"), member_text(item, "state"),
                    value_text(member(item, "attempts")), member_text(item, "revoke_error")});
  }
  if (open.size() > 1) out << "\n" << table_text(open);
  if (!proven)
    out << "\nCurfew goes on trying. How far it is: curfew read sys/leases/end/" << id << "\n";
  if (member(data, "lockdown").is_string())
    out << "\nNothing new is issued there before: curfew lockdown lift " << id << "\n";
}

Result<int> revoke(Call& call) {
  ASSIGN_OR_RETURN(Json body, scope_body(call));
  if (call.arguments.on("dry-run")) {
    ASSIGN_OR_RETURN(const ApiReply reply, preview(call, body));
    return call.print.either(OrderedJson(reply.data()),
                             [&](std::ostream& out) { print_preview(out, reply.data()); });
  }
  RETURN_IF_ERROR(add_reason(call, body));
  RETURN_IF_ERROR(confirm(call, body));
  body["lock_down"] = call.arguments.on("lock-down", true);
  ASSIGN_OR_RETURN(const ApiReply begun, call.api().send({.method = "POST",
                                                          .path = "sys/leases/end",
                                                          .body = body,
                                                          .doing = "ending the leases"}));
  ASSIGN_OR_RETURN(const Json data, follow(call, member_text(begun.data(), "id")));
  const Json& receipts = member(data, "receipts");
  const bool proven =
      member(data, "finished") == Json(true) &&
      number(receipts, "proven") + number(receipts, "never_made") == number(data, "found");
  ASSIGN_OR_RETURN(const int code, call.print.either(OrderedJson(data), [&](std::ostream& out) {
    print_outcome(out, data, proven);
  }));
  return proven ? code : kExitServer;
}

// ---- lockdown ---------------------------------------------------------------------------------

Result<int> lockdown_list(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/lockdown",
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing lockdowns",
                                                          .none_ok = true}));
  if (reply.is_miss()) return missing_error("Nothing is locked down");
  const Json& info = member(reply.data(), "key_info");
  std::vector<Row> rows = {{"Lockdown", "Scope", "Reason", "By", "Since"}};
  for (const auto& [id, lockdown] : info.items())
    rows.push_back({id, scope_text(member(lockdown, "scope")), member_text(lockdown, "reason"),
                    member_text(lockdown, "by"), member_text(lockdown, "since")});
  return call.print.rows(rows, OrderedJson(info));
}

Result<int> lockdown_add(Call& call) {
  ASSIGN_OR_RETURN(Json body, scope_body(call));
  RETURN_IF_ERROR(add_reason(call, body));
  const std::string id = trim_path(call.arguments.text("id"));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = id.empty() ? "sys/lockdown" : "sys/lockdown/" + id,
                                    .body = body,
                                    .doing = "locking down"}));
  return call.print.answer(reply);
}

Result<int> lockdown_lift(Call& call) {
  const std::string id = trim_path(call.word(0));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "DELETE",
                                                          .path = "sys/lockdown/" + id,
                                                          .doing = "lifting the lockdown " + id}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Lifted the lockdown " + id + " (if it existed)");
}

// ---- whois ------------------------------------------------------------------------------------

Result<int> whois(Call& call) {
  const std::string& who = call.word(0);
  const bool is_pid = !who.empty() && who.find_first_not_of("0123456789") == std::string::npos;
  Json body = {{is_pid ? "pid" : "database_role", who}};
  for (const char* name : {"mount", "target"})
    if (call.arguments.has(name)) body[name] = call.arguments.text(name);
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "POST",
                                                          .path = "sys/whois",
                                                          .body = body,
                                                          .doing = "asking whose " + who + " is"}));
  const Json& matches = member_list(reply.data(), "matches");
  for (const Json& target : member_list(reply.data(), "not_asked"))
    call.print.warn("could not ask " + member_text(target, "mount") +
                    member_text(target, "target") + ": " + member_text(target, "error"));
  ASSIGN_OR_RETURN(const int code,
                   call.print.either(OrderedJson(reply.data()), [&](std::ostream& out) {
                     for (const Json& match : matches) out << pretty_text(match) << "\n";
                     if (!matches.empty()) return;
                     out << (is_pid ? "No target has a backend with this process id.\n"
                                    : "Curfew never made a database role of this name, and no "
                                      "target has one.\n");
                   }));
  const bool known = std::any_of(matches.begin(), matches.end(), [](const Json& match) {
    return member(match, "known") == Json(true);
  });
  return known ? code : kExitServer;
}

}  // namespace

void add_incident_commands(CommandTable& table) {
  std::vector<Flag> revoke_flags = incident_flags();
  revoke_flags.push_back(
      {{"dry-run"}, FlagKind::kSwitch, "Show what would be ended; end nothing."});
  revoke_flags.push_back({{"yes", "y"}, FlagKind::kSwitch, "Do not ask."});
  revoke_flags.push_back({{"lock-down"},
                          FlagKind::kSwitch,
                          "Issue nothing new there before the lockdown is lifted (the default)."});
  revoke_flags.push_back({{"wait"},
                          FlagKind::kDuration,
                          "How long to wait for the proof; 5m if not given.",
                          "DURATION"});
  table.commands.push_back(
      {.path = "revoke",
       .summary = "Ends everything that an agent, a session, a role, a target … holds",
       .synopsis = "[flags]",
       .flags = std::move(revoke_flags),
       .details = "  All leases that fit every flag are ended at once: first each is locked out,\n"
                  "  then its sessions end, then it is removed. The exit code is 0 only if all\n"
                  "  are proven to be gone, else 2; Curfew goes on trying.\n\n"
                  "      curfew revoke -agent=report-bot -dry-run\n"
                  "      curfew revoke -agent=report-bot -reason=\"key leaked\" -yes\n"
                  "      curfew revoke -all -reason=\"incident 42\"\n",
       .run = revoke});
  table.groups.push_back({"lockdown", "Lockdowns: where nothing new is issued"});
  table.commands.push_back({.path = "lockdown list",
                            .summary = "Lists where nothing new is issued, and why",
                            .synopsis = "[flags]",
                            .run = lockdown_list});
  std::vector<Flag> add_flags = incident_flags();
  add_flags.push_back({{"id"}, FlagKind::kText, "Name of the lockdown; made up if absent.", "ID"});
  add_flags.push_back(field_flag());
  table.commands.push_back(
      {.path = "lockdown add",
       .summary = "Refuses new leases and renewals; what is out stays",
       .synopsis = "[flags]",
       .flags = std::move(add_flags),
       .details = "      curfew lockdown add -role=agent-readonly -reason=\"migration\"\n",
       .run = lockdown_add});
  table.commands.push_back({.path = "lockdown lift",
                            .summary = "Lets leases be issued again",
                            .synopsis = "[flags] ID",
                            .words = {1, 1},
                            .run = lockdown_lift});
  table.commands.push_back(
      {.path = "whois",
       .summary = "Tells whose a database role or a backend of a database is",
       .synopsis = "[flags] ROLE|PID",
       .words = {1, 1},
       .flags = {{{"mount"}, FlagKind::kText, "Look in this mount only.", "PATH"},
                 {{"target"}, FlagKind::kText, "Look in this target only.", "NAME"}},
       .details = "  The lease, the agent, its purpose and session, also of roles that are gone.\n"
                  "  Digits are the process id of a backend, as pg_stat_activity shows it.\n\n"
                  "      curfew whois v-token-rep-agent-re-x7\n"
                  "      curfew whois 48213 -target=app\n",
       .run = whois});
}

}  // namespace curfew::cli
