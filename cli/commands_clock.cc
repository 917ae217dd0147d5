#include "cli/commands.h"

namespace curfew::cli {
namespace {

Result<int> status(Call& call) {
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "GET", .path = "sys/clock", .doing = "reading the clock"}));
  call.print.warnings(reply.body);
  return call.print.object(reply.data());
}

Result<int> confirm(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "PUT",
                                                          .path = "sys/clock",
                                                          .body = Json{{"confirm", true}},
                                                          .doing = "confirming the clock"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! The machine's clock is believed again.");
}

}  // namespace

void add_clock_commands(CommandTable& table) {
  table.groups.push_back({"clock", "The time that leases are judged by"});
  table.commands.push_back({.path = "clock status",
                            .summary = "Shows whether a jump of the server's clock is held",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = status});
  table.commands.push_back({.path = "clock confirm",
                            .summary = "Says that the clock of the server's machine is right",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .details = "  What fell due by a jump of that clock is revoked then.\n",
                            .run = confirm});
}

}  // namespace curfew::cli
