#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/lease_scope.h"

namespace curfew::cli {

namespace {

Result<int> lookup(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = "sys/leases/lookup",
                                    .body = Json{{"lease_id", call.word(0)}},
                                    .doing = "looking up the lease " + call.word(0)}));
  return call.print.answer(reply);
}

// Leases with what is known of them, by state and scope; -limit of them, asked for in pages.
Result<int> list_by_state(Call& call, const Json& scope) {
  constexpr std::int64_t kPage = 500;
  const std::int64_t limit = call.arguments.integer("limit").value_or(kPage);
  OrderedJson leases = OrderedJson::array();
  std::vector<Row> rows = {{"Lease", "State", "Agent", "Expires", "Next attempt", "Error"}};
  std::string after;
  while (std::ssize(leases) < limit) {
    ApiRequest request{.method = "GET", .path = "sys/leases", .doing = "listing leases"};
    for (const auto& [name, value] : scope.items())
      request.query.emplace_back(name, value.get<std::string>());
    request.query.emplace_back("type", call.arguments.text("state"));
    request.query.emplace_back("limit",
                               std::to_string(std::min(kPage, limit - std::ssize(leases))));
    request.query.emplace_back("after", after);
    ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
    for (const Json& lease : member_list(reply.data(), "leases")) {
      leases.push_back(OrderedJson(lease));
      rows.push_back({member_text(lease, "id"), member_text(lease, "state"),
                      member_text(member(lease, "attribution"), "display_name"),
                      member_text(lease, "expire_time"), member_text(lease, "next_attempt"),
                      member_text(lease, "error")});
    }
    after = member_text(reply.data(), "next");
    if (after.empty()) break;
  }
  if (leases.empty() && call.print.is_table()) return missing_error("There are no such leases");
  return call.print.rows(rows, leases);
}

Result<int> list(Call& call) {
  const Json scope = scope_asked(call);
  if (!scope.empty() || call.arguments.has("state")) {
    if (call.word_count() > 0)
      return local_error("-state and the flags that say whose leases are meant take no prefix");
    return list_by_state(call, scope);
  }
  const std::string prefix = call.word_count() == 0 ? "" : trim_path(call.word(0));
  const std::string path = "sys/leases/lookup" + (prefix.empty() ? "" : "/" + prefix);
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = path,
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing leases",
                                                          .none_ok = true}));
  if (reply.is_miss()) {
    return missing_error(prefix.empty() ? "There are no leases"
                                        : "There are no leases below " + prefix);
  }
  return show_keys(call, reply, prefix);
}

// Unlike a look-up this also finds leases that have ended, with the proof that access is gone.
Result<int> show(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "sys/leases/receipt",
                                    .body = Json{{"lease_id", call.word(0)}},
                                    .doing = "reading the lease " + call.word(0),
                                    .none_ok = true}));
  if (reply.is_miss()) {
    return missing_error("There is no lease " + call.word(0) +
                         ", and there was none that is remembered");
  }
  if (!call.print.field().empty() || !call.print.is_table()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  call.around.out << pretty_text(reply.data());
  return kExitOk;
}

Result<int> renew(Call& call) {
  const Millis increment = call.arguments.duration("increment").value_or(Millis{0});
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "PUT",
                       .path = "sys/leases/renew",
                       .body = Json{{"lease_id", call.word(0)},
                                    {"increment", std::chrono::ceil<Seconds>(increment).count()}},
                       .doing = "renewing the lease " + call.word(0)}));
  return call.print.answer(reply);
}

Result<int> revoke(Call& call) {
  const bool force = call.arguments.on("force");
  const bool prefix = call.arguments.on("prefix");
  const bool sync = call.arguments.on("sync");
  if (force && !prefix) {
    return local_error(
        "-force forgets leases whether or not their access could be taken away, so "
        "it needs -prefix beside it to say that you mean all of them");
  }
  const std::string target = trim_path(call.word(0));
  if (target.empty()) return local_error("The lease to revoke has an empty name");
  ApiRequest request{.method = "PUT",
                     .path = "sys/leases/revoke/" + target,
                     .body = Json{{"sync", sync}},
                     .doing = "revoking " + target};
  if (prefix) request.path = "sys/leases/revoke-prefix/" + target;
  if (force) {
    request.path = "sys/leases/revoke-force/" + target;
    request.body.reset();
    call.print.warn(
        "with -force, leases are forgotten even where their database roles could not "
        "be removed: look for what is left");
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  call.print.warnings(reply.body);
  if (force) return call.print.success("Success! Force revoked any leases with prefix: " + target);
  if (!sync) return call.print.success("All revocation operations queued successfully!");
  return call.print.success(prefix ? "Success! Revoked any leases with prefix: " + target
                                   : "Success! Revoked lease: " + target);
}

}  // namespace

void add_lease_commands(CommandTable& table) {
  table.groups.push_back({"lease", "Leases: the lives of credentials"});
  table.commands.push_back({.path = "lease lookup",
                            .summary = "Shows a lease",
                            .synopsis = "[flags] LEASE",
                            .words = {1, 1},
                            .flags = {field_flag()},
                            .run = lookup});
  std::vector<Flag> list_flags = scope_flags();
  list_flags.push_back({{"state"},
                        FlagKind::kText,
                        "Leases in this state; live ones where only other flags are given.",
                        "STATE",
                        {"pending", "active", "revoking", "quarantined", "revoked", "abandoned",
                         "irrevocable", "all"}});
  list_flags.push_back({{"limit"}, FlagKind::kInteger, "At most so many; 500 if not given.", "N"});
  table.commands.push_back({.path = "lease list",
                            .summary = "Lists the leases below a prefix, or by state or owner",
                            .synopsis = "[flags] [PREFIX]",
                            .words = {0, 1},
                            .flags = std::move(list_flags),
                            .details = "      curfew lease list database/creds/readonly\n"
                                       "      curfew lease list -state=quarantined\n"
                                       "      curfew lease list -agent=report-bot -state=all\n",
                            .run = list});
  table.commands.push_back(
      {.path = "lease show",
       .summary =
           "Shows a lease, also one that has ended: its state, and the proof that access is gone",
       .synopsis = "[flags] LEASE",
       .words = {1, 1},
       .flags = {field_flag()},
       .run = show});
  table.commands.push_back(
      {.path = "lease renew",
       .summary = "Makes a lease live on",
       .synopsis = "[flags] LEASE",
       .words = {1, 1},
       .flags = {{{"increment", "i"},
                  FlagKind::kDuration,
                  "How long it is to live from now on, within the limits of its role.",
                  "DURATION"},
                 field_flag()},
       .run = renew});
  table.commands.push_back(
      {.path = "lease revoke",
       .summary = "Ends a lease, or all with a prefix",
       .synopsis = "[flags] LEASE",
       .words = {1, 1},
       .flags = {{{"prefix"}, FlagKind::kSwitch, "LEASE is a prefix: end all leases below it."},
                 {{"force", "f"},
                  FlagKind::kSwitch,
                  "Forget leases even where access could not be taken away. Needs -prefix."},
                 {{"sync"}, FlagKind::kSwitch, "Wait until access is gone."}},
       .details = "      curfew lease revoke -sync database/creds/readonly/abcd\n"
                  "      curfew lease revoke -prefix database/creds/readonly\n",
       .run = revoke});
}

}  // namespace curfew::cli
