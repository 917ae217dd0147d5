#include <fmt/format.h>

#include <istream>
#include <ostream>

#include "base/duration.h"
#include "cli/approval_calls.h"
#include "cli/approval_card.h"
#include "cli/commands.h"

// What approvers do: look at requests, and decide.
namespace curfew::cli {

namespace {

constexpr int kRoundsMax = 5;  // of showing a request that changes while it is looked at

// ---- list and show -----------------------------------------------------------------------------

std::string asked_by(const Json& view) {
  const Json& who = member(view, "requester");
  for (const char* name : {"agent", "entity_name", "display_name"})
    if (std::string text = member_text(who, name); !text.empty()) return text;
  return {};
}

std::vector<std::pair<std::string, std::string>> filters(const Arguments& given) {
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* flag : {"mine", "waiting"})
    if (given.on(flag)) query.emplace_back(flag, "true");
  for (const char* flag : {"state", "agent", "role", "target", "kind"})
    if (given.has(flag)) query.emplace_back(flag, given.text(flag));
  return query;
}

// -limit of them, asked for in pages.
Result<int> list(Call& call) {
  constexpr std::int64_t kPage = 200;
  const std::int64_t limit = call.arguments.integer("limit").value_or(50);
  if (limit < 1) return local_error("-limit: expected 1 or more");
  OrderedJson all = OrderedJson::array();
  std::vector<Row> rows = {{"Request", "State", "Asked by", "Path", "For", "Asked", "Expires"}};
  std::string after;
  while (std::ssize(all) < limit) {
    auto query = filters(call.arguments);
    query.emplace_back("limit", std::to_string(std::min(kPage, limit - std::ssize(all))));
    if (!after.empty()) query.emplace_back("after", after);
    ASSIGN_OR_RETURN(const Json data, list_approvals(call, std::move(query)));
    const Json& info = member(data, "key_info");
    for (const Json& key : member_list(data, "keys")) {
      const Json& view = member(info, value_text(key));
      all.push_back(OrderedJson(view));
      rows.push_back({value_text(key), member_text(view, "state"), one_line(asked_by(view)),
                      one_line(member_text(view, "path")), duration_text(member(view, "ttl")),
                      member_text(view, "created_at"), member_text(view, "expires_at")});
    }
    after = member_text(data, "next");
    if (after.empty()) break;
  }
  if (all.empty() && call.print.is_table())
    return missing_error("There are no such approval requests");
  return call.print.rows(rows, all);
}

Result<int> show(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, read_approval(call, call.word(0), false));
  if (!call.print.field().empty() || !call.print.is_table()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  call.around.out << approval_card(reply.data());
  return kExitOk;
}

// ---- approve and narrow ------------------------------------------------------------------------

// One decision for which the request is shown before: its name on the wire and for people.
struct Verdict {
  const char* verb;      // "approve"
  const char* can;       // the member of "can"
  std::string question;  // "approve?"
  std::string done;      // "Approved"
};

std::string waits_for(const Json& view) {
  std::string text;
  for (const Json& factor : member_list(view, "factors"))
    if (member(factor, "satisfied") != Json(true))
      text +=
          fmt::format("{}{} has {} of {}", text.empty() ? "" : ", ", member_text(factor, "name"),
                      value_text(member(factor, "given")), value_text(member(factor, "approvals")));
  return text;
}

Result<int> print_decided(Call& call, const ApiReply& reply, const std::string& done) {
  if (!call.print.field().empty() || !call.print.is_table()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  const Json& view = reply.data();
  std::string text =
      fmt::format("Success! {} {}: it is {}", done, member_text(view, "id"),
                  view.is_object() ? approval_standing(view) : std::string("decided"));
  const std::string missing = waits_for(view);
  if (member_text(view, "state") == "pending" && !missing.empty())
    text += "; more must approve: " + missing;
  return call.print.success(text);
}

// Whether the person says yes to what was just shown.
Status ask(Call& call, const Json& view, const Verdict& verdict) {
  const Json& can = member(view, "can");
  if (member(can, verdict.can) == Json(false)) {
    std::string why = plain_text(member_text(can, "why_not"));
    if (why.empty())
      why = member_text(view, "state") == "pending" ? "it is not for you to decide"
                                                    : "it is " + approval_standing(view);
    return Error{Errc::kRefused, fmt::format("You cannot {} this: {}", verdict.verb, why)};
  }
  if (call.arguments.on("yes")) return ok();
  call.around.err << "\n" << verdict.question << " [y/N] " << std::flush;
  std::string line;
  std::getline(call.around.in, line);
  if (line == "y" || line == "Y" || line == "yes") return ok();
  return local_error(fmt::format("Nothing was done: the request is as it was"));
}

Result<ApiReply> send_verdict(Call& call, const Verdict& verdict, Json body,
                              const std::string& digest) {
  const std::string& id = call.word(0);
  ASSIGN_OR_RETURN(std::string path, approval_path(id, verdict.verb));
  body["digest"] = digest;
  if (call.arguments.has("reason")) body["reason"] = call.arguments.text("reason");
  return call.api().send({.method = "POST",
                          .path = std::move(path),
                          .body = std::move(body),
                          .doing = fmt::format("deciding about the approval request {}", id),
                          .accept = {412}});
}

Error changed(const char* advice) {
  return {
      Errc::kRefused,
      std::string("The request has changed since it was shown, so nothing was done. ") + advice};
}

// With a digest the caller has seen the request elsewhere; what is approved is that and no other.
Result<int> decide_by_digest(Call& call, const Verdict& verdict, const Json& body) {
  ASSIGN_OR_RETURN(const ApiReply reply,
                   send_verdict(call, verdict, body, call.arguments.text("digest")));
  if (reply.status != 412) return print_decided(call, reply, verdict.done);
  ASSIGN_OR_RETURN(const ApiReply now, read_approval(call, call.word(0), true));
  call.around.err << approval_card(now.data()) << "\n";
  return changed("That is what it is now; its digest is in the last lines.");
}

Result<int> decide(Call& call, const Verdict& verdict, const Json& body) {
  if (call.arguments.has("digest")) return decide_by_digest(call, verdict, body);
  const bool yes = call.arguments.on("yes");
  if (!yes && !call.around.in_is_terminal)
    return local_error(
        "Nobody is there to ask: give -digest=DIGEST of the request that was looked at, or -yes to "
        "take it as it is now");
  for (int round = 0; round < kRoundsMax; ++round) {
    ASSIGN_OR_RETURN(const ApiReply shown, read_approval(call, call.word(0), true));
    call.around.err << approval_card(shown.data());
    RETURN_IF_ERROR(ask(call, shown.data(), verdict));
    ASSIGN_OR_RETURN(const ApiReply reply,
                     send_verdict(call, verdict, body, member_text(shown.data(), "digest")));
    if (reply.status != 412) return print_decided(call, reply, verdict.done);
    if (yes) break;
    call.around.err << "\nThe request has changed since it was shown. This is what it is now:\n\n";
  }
  return changed("Look at it again: curfew approval show ID");
}

Result<int> approve(Call& call) {
  return decide(call, {"approve", "approve", "approve?", "Approved"}, Json::object());
}

Result<int> narrow(Call& call) {
  if (!call.arguments.has("ttl"))
    return local_error("Say with -ttl for how long it is to be, shorter than what was asked for");
  const std::string ttl = format_duration_short(*call.arguments.duration("ttl"));
  return decide(call,
                {"narrow", "narrow", "narrow it to " + ttl + " and approve that?", "Narrowed"},
                Json{{"ttl", ttl}});
}

// ---- what needs no second look -----------------------------------------------------------------

Result<int> simple(Call& call, const char* verb, Json body, const std::string& done) {
  ASSIGN_OR_RETURN(std::string path, approval_path(call.word(0), verb));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = std::move(path),
                                    .body = std::move(body),
                                    .doing = fmt::format("deciding about the approval request {}",
                                                         call.word(0))}));
  return print_decided(call, reply, done);
}

Result<int> with_reason(Call& call, const char* verb, const std::string& done, bool must) {
  const std::string reason = call.arguments.text("reason");
  if (must && trim_path(reason).empty())
    return local_error("Say why with -reason: it is audited, and who asked reads it");
  Json body = Json::object();
  if (!reason.empty()) body["reason"] = reason;
  return simple(call, verb, std::move(body), done);
}

Result<int> comment(Call& call) {
  std::string text;
  for (std::size_t i = 1; i < call.word_count(); ++i) text += (i == 1 ? "" : " ") + call.word(i);
  return simple(call, "comment", Json{{"text", text}}, "Commented on");
}

// ---- the table ---------------------------------------------------------------------------------

Flag reason_flag(const char* description) {
  return {{"reason"}, FlagKind::kText, description, "TEXT"};
}

std::vector<Flag> verdict_flags() {
  return {reason_flag("Why; it is audited, and who asked reads it."),
          {{"yes"}, FlagKind::kSwitch, "Do not ask."},
          {{"digest"},
           FlagKind::kText,
           "Of the request that was looked at: if it is another one by now, nothing is done.",
           "DIGEST"},
          field_flag()};
}

std::vector<Flag> list_flags() {
  return {{{"waiting"}, FlagKind::kSwitch, "Those that wait for you."},
          {{"mine"}, FlagKind::kSwitch, "Those that you, or agents of yours, asked for."},
          {{"state"}, FlagKind::kText, "Those in these states, with commas.", "STATE"},
          {{"agent"}, FlagKind::kText, "Those of this agent.", "NAME"},
          {{"role"}, FlagKind::kText, "Those for this role.", "NAME"},
          {{"target"}, FlagKind::kText, "Those for this target.", "NAME"},
          {{"kind"}, FlagKind::kText, "Those of this kind.", "KIND", {"access", "task"}},
          {{"limit"}, FlagKind::kInteger, "At most so many; 50 if not given.", "N"}};
}

void add_reasoned(CommandTable& table, const char* verb, const char* summary, const char* done,
                  bool must) {
  table.commands.push_back(
      {.path = std::string("approval ") + verb,
       .summary = summary,
       .synopsis = must ? "-reason=TEXT [flags] ID" : "[flags] ID",
       .words = {1, 1},
       .flags = {reason_flag("Why; it is audited, and who asked reads it."), field_flag()},
       .run = [verb, done, must](Call& call) { return with_reason(call, verb, done, must); }});
}

}  // namespace

void add_approval_commands(CommandTable& table) {
  table.groups.push_back({"approval", "Requests that people approve before anything is issued"});
  table.commands.push_back({.path = "approval list",
                            .summary = "Lists approval requests, newest first",
                            .synopsis = "[flags]",
                            .flags = list_flags(),
                            .details = "      curfew approval list -waiting\n"
                                       "      curfew approval list -state=pending,approved "
                                       "-agent=report-bot\n",
                            .run = list});
  table.commands.push_back({.path = "approval show",
                            .summary = "Shows everything about an approval request",
                            .synopsis = "[flags] ID",
                            .words = {1, 1},
                            .flags = {field_flag()},
                            .run = show});
  table.commands.push_back(
      {.path = "approval approve",
       .summary = "Shows a request, asks, and approves it",
       .synopsis = "[flags] ID",
       .words = {1, 1},
       .flags = verdict_flags(),
       .details = "  What is approved is what was shown: if the request changes meanwhile, "
                  "nothing is\n  done and it is shown again. A program gives -digest, or -yes.\n",
       .run = approve});
  std::vector<Flag> narrow_flags = verdict_flags();
  narrow_flags.push_back(
      {{"ttl"}, FlagKind::kDuration, "For how long it is to be, shorter than asked.", "DURATION"});
  table.commands.push_back(
      {.path = "approval narrow",
       .summary = "Approves a request for a shorter time than was asked for",
       .synopsis = "-ttl=DURATION [flags] ID",
       .words = {1, 1},
       .flags = std::move(narrow_flags),
       .details = "  That is another request by its content: approvals of others start anew.\n",
       .run = narrow});
  add_reasoned(table, "deny", "Denies a request", "Denied", true);
  add_reasoned(table, "cancel", "Takes back a request of your own or of your agent", "Cancelled",
               false);
  add_reasoned(table, "withdraw", "Takes back an approval; ends what was issued under it",
               "Withdrew", false);
  add_reasoned(table, "review", "Reviews a break glass", "Reviewed", true);
  table.commands.push_back({.path = "approval comment",
                            .summary = "Says something about a request, and decides nothing",
                            .synopsis = "[flags] ID TEXT...",
                            .words = {2, kManyWords},
                            .flags = {field_flag()},
                            .run = comment});
}

}  // namespace curfew::cli
