#include <ostream>

#include "base/duration.h"
#include "cli/commands.h"
#include "cli/key_values.h"

namespace curfew::cli {
namespace {

Result<std::string> agent_path(const std::string& word) {
  const std::string name = trim_path(word);
  if (name.empty()) return local_error("The agent's name is empty");
  return "identity/agent/" + name;
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "identity/agent",
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing agents",
                                                          .none_ok = true}));
  if (reply.is_miss()) return missing_error("No agents are registered");
  const Json& data = reply.data();
  const Json& info = member(data, "key_info");
  std::vector<Row> rows = {{"Name", "Owner", "Kind", "May act"}};
  for (const Json& key : member_list(data, "keys")) {
    const std::string name = value_text(key);
    const Json& agent = member(info, name);
    rows.push_back({name, member_text(agent, "owner"), member_text(agent, "kind"),
                    member_text(agent, "may_act")});
  }
  return call.print.rows(rows, OrderedJson(info));
}

Result<int> show(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, agent_path(call.word(0)));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "GET",
                                    .path = path,
                                    .doing = "reading the agent " + call.word(0),
                                    .none_ok = true}));
  if (reply.is_miss()) return missing_error("No agent named: " + call.word(0));
  return call.print.answer(reply);
}

// The members that were given; what is left out stays as it is.
Result<Json> write_body(const Arguments& given) {
  Json body = Json::object();
  for (const char* flag : {"owner", "kind", "description", "entity-id"})
    if (given.has(flag))
      body[std::string(flag) == "entity-id" ? "entity_id" : flag] = given.text(flag);
  if (given.has("policy")) body["policies"] = given.list("policy");
  if (given.has("ceiling-policy")) body["ceiling_policies"] = given.list("ceiling-policy");
  if (given.has("allowed-role")) body["allowed_roles"] = given.list("allowed-role");
  if (given.has("max-live-leases")) body["max_live_leases"] = *given.integer("max-live-leases");
  if (given.has("max-leases-per-hour"))
    body["max_leases_per_hour"] = *given.integer("max-leases-per-hour");
  if (given.has("max-ttl")) body["max_ttl"] = format_duration(*given.duration("max-ttl"));
  if (given.has("metadata")) {
    ASSIGN_OR_RETURN(body["metadata"], pairs_object(given.list("metadata"), "-metadata"));
  }
  return body;
}

Result<int> write(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, agent_path(call.word(0)));
  ASSIGN_OR_RETURN(Json body, write_body(call.arguments));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = path,
                                    .body = std::move(body),
                                    .doing = "writing the agent " + call.word(0)}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Wrote agent: " + call.word(0));
}

Result<int> remove(Call& call) {
  ASSIGN_OR_RETURN(const std::string path, agent_path(call.word(0)));
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "DELETE", .path = path, .doing = "deleting the agent " + call.word(0)}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Deleted agent (if it existed): " + call.word(0));
}

Result<int> set_disabled(Call& call, bool disabled) {
  ASSIGN_OR_RETURN(const std::string path, agent_path(call.word(0)));
  const std::string verb = disabled ? "disable" : "enable";
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "POST",
           .path = path + "/" + verb,
           .body = Json::object(),
           .doing = (disabled ? "disabling the agent " : "enabling the agent ") + call.word(0)}));
  call.print.warnings(reply.body);
  return call.print.success("Success! " + std::string(disabled ? "Disabled" : "Enabled") +
                            " agent: " + call.word(0));
}

std::vector<Flag> write_flags() {
  return {
      {{"owner"}, FlagKind::kText, "Who answers for the agent: name or id of a human or a group."},
      {{"kind"}, FlagKind::kText, "What program it is."},
      {{"description"}, FlagKind::kText, "What it is for."},
      {{"policy"}, FlagKind::kList, "A policy of all its tokens. May be repeated."},
      {{"ceiling-policy"},
       FlagKind::kList,
       "One of these has to allow what it does, beside its token. May be repeated."},
      {{"allowed-role"},
       FlagKind::kList,
       "A role that it may lease, with '*'; none: any. May be repeated.",
       "MOUNT/ROLE"},
      {{"max-live-leases"}, FlagKind::kInteger, "Leases at a time; 0: no limit."},
      {{"max-leases-per-hour"}, FlagKind::kInteger, "Leases within an hour; 0: no limit."},
      {{"max-ttl"}, FlagKind::kDuration, "Longest life of a lease; 0: no limit."},
      {{"metadata"}, FlagKind::kList, "A fact about it. May be repeated.", "KEY=VALUE"},
      {{"entity-id"}, FlagKind::kText, "An entity that exists and shall become this agent."}};
}

}  // namespace

void add_agent_commands(CommandTable& table) {
  table.groups.push_back({"agent", "The registry of agents: who answers for them, and limits"});
  table.commands.push_back({.path = "agent list",
                            .summary = "Lists the agents",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = list});
  table.commands.push_back({.path = "agent show",
                            .summary = "Shows an agent",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .flags = {field_flag()},
                            .run = show});
  table.commands.push_back({.path = "agent write",
                            .summary = "Registers an agent, or changes it",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .flags = write_flags(),
                            .details = "  A new agent needs -owner. What is left out stays as it "
                                       "is.\n\n"
                                       "      $ curfew agent write -owner=ada "
                                       "-allowed-role='database/*' -max-ttl=15m claude-code\n",
                            .run = write});
  table.commands.push_back({.path = "agent delete",
                            .summary = "Deletes an agent; its tokens are refused at once",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .run = remove});
  table.commands.push_back(
      {.path = "agent disable",
       .summary = "Refuses an agent's tokens and logins, at once",
       .synopsis = "[flags] NAME",
       .words = {1, 1},
       .details = "  Its leases live on: `curfew revoke -agent=NAME` ends them.\n",
       .run = [](Call& call) { return set_disabled(call, true); }});
  table.commands.push_back({.path = "agent enable",
                            .summary = "Lets a disabled agent act again",
                            .synopsis = "[flags] NAME",
                            .words = {1, 1},
                            .run = [](Call& call) { return set_disabled(call, false); }});
}

}  // namespace curfew::cli
