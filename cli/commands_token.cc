#include <algorithm>
#include <ostream>

#include "base/duration.h"
#include "cli/commands.h"
#include "cli/key_values.h"

namespace curfew::cli {

namespace {

Flag accessor_flag() {
  return {{"accessor"}, FlagKind::kSwitch, "TOKEN is an accessor."};
}

// For whom it is, and what it and all tokens below it may have of leases.
void add_delegation(const Arguments& given, Json& body) {
  if (given.has("agent")) body["agent"] = given.text("agent");
  if (given.has("on-behalf-of")) body["on_behalf_of"] = given.text("on-behalf-of");
  if (given.has("sub-agent")) body["sub_agent"] = given.text("sub-agent");
  if (given.has("max-live-leases")) body["max_live_leases"] = *given.integer("max-live-leases");
  if (given.has("max-leases-per-hour"))
    body["max_leases_per_hour"] = *given.integer("max-leases-per-hour");
  if (given.has("max-lease-ttl"))
    body["max_lease_ttl"] = format_duration(*given.duration("max-lease-ttl"));
}

Result<int> create(Call& call) {
  const Arguments& given = call.arguments;
  const auto duration = [&](const char* flag) {
    return format_duration(given.duration(flag).value_or(Millis{0}));
  };
  Json body = {{"ttl", duration("ttl")},
               {"explicit_max_ttl", duration("explicit-max-ttl")},
               {"period", duration("period")},
               {"display_name", given.text("display-name")},
               {"num_uses", given.integer("use-limit").value_or(0)},
               {"renewable", given.on("renewable", true)},
               {"type", given.text("type", "service")},
               {"entity_alias", given.text("entity-alias")}};
  if (given.has("policy")) body["policies"] = given.list("policy");
  if (given.has("id")) body["id"] = given.text("id");
  if (given.has("bound-certificate")) body["bound_certificate"] = given.text("bound-certificate");
  if (given.on("orphan")) body["no_parent"] = true;
  if (given.on("no-default-policy")) body["no_default_policy"] = true;
  ASSIGN_OR_RETURN(const Json metadata, pairs_object(given.list("metadata"), "-metadata"));
  if (!metadata.empty()) body["meta"] = metadata;
  add_delegation(given, body);
  const std::string role = trim_path(given.text("role"));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "POST",
                                    .path = "auth/token/create" + (role.empty() ? "" : "/" + role),
                                    .body = std::move(body),
                                    .doing = "creating a token",
                                    .secret_members = {"id"}}));
  return call.print.answer(reply);
}

Result<int> lookup(Call& call) {
  ApiRequest request{
      .method = "GET", .path = "auth/token/lookup-self", .doing = "looking up a token"};
  const bool accessor = call.arguments.on("accessor");
  if (accessor && call.word_count() == 0) return local_error("-accessor needs the accessor");
  if (call.word_count() == 1) {
    request.method = "POST";
    request.path = accessor ? "auth/token/lookup-accessor" : "auth/token/lookup";
    request.body = Json{{accessor ? "accessor" : "token", call.word(0)}};
    request.secret_members = {"token"};
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  return call.print.answer(reply);
}

Result<int> renew(Call& call) {
  const bool accessor = call.arguments.on("accessor");
  if (accessor && call.word_count() == 0) return local_error("-accessor needs the accessor");
  const Millis increment = call.arguments.duration("increment").value_or(Millis{0});
  Json body = {{"increment", std::chrono::ceil<Seconds>(increment).count()}};
  ApiRequest request{.method = "PUT", .path = "auth/token/renew-self", .doing = "renewing a token"};
  if (call.word_count() == 1) {
    request.path = accessor ? "auth/token/renew-accessor" : "auth/token/renew";
    if (accessor) request.method = "POST";
    body[accessor ? "accessor" : "token"] = call.word(0);
    request.secret_members = {"token"};
  }
  request.body = std::move(body);
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  return call.print.answer(reply);
}

// Fills in the call for what -self, -accessor and -mode say; an error for what does not go
// together.
Status revoke_request(Call& call, ApiRequest& request) {
  const bool self = call.arguments.on("self");
  const bool accessor = call.arguments.on("accessor");
  const std::string mode = call.arguments.text("mode");
  if (self == (call.word_count() == 1)) {
    return local_error("Say what to revoke: either a token (or accessor), or -self");
  }
  if (self && (accessor || !mode.empty())) {
    return local_error("-self goes with neither -accessor nor -mode");
  }
  if (accessor && !mode.empty()) return local_error("-accessor does not go with -mode");
  request.secret_members = {"token"};
  if (self) {
    request.path = "auth/token/revoke-self";
  } else if (accessor) {
    request.method = "POST";
    request.path = "auth/token/revoke-accessor";
    request.body = Json{{"accessor", call.word(0)}};
  } else if (mode == "path") {
    request.path = "sys/leases/revoke-prefix/" + trim_path(call.word(0));
  } else {
    request.path = mode == "orphan" ? "auth/token/revoke-orphan" : "auth/token/revoke";
    request.body = Json{{"token", call.word(0)}};
  }
  return ok();
}

Result<int> revoke(Call& call) {
  ApiRequest request{.method = "PUT", .path = "", .doing = "revoking a token"};
  RETURN_IF_ERROR(revoke_request(call, request));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  call.print.warnings(reply.body);
  return call.print.success("Success! Revoked token (if it existed)");
}

Result<int> capabilities(Call& call) {
  const bool accessor = call.arguments.on("accessor");
  if (accessor && call.word_count() != 2) return local_error("-accessor needs ACCESSOR and PATH");
  const bool self = call.word_count() == 1;
  const std::string& path = call.word(call.word_count() - 1);
  ApiRequest request{.method = "POST",
                     .path = "sys/capabilities-self",
                     .body = Json{{"path", path}},
                     .doing = "asking for capabilities at " + path,
                     .secret_members = {"token"}};
  if (self) {
    if (call.api().settings().token.empty()) {
      return local_error("There is no token to ask about: run `curfew login` or set CURFEW_TOKEN");
    }
    (*request.body)["token"] = call.api().settings().token.reveal();
  } else {
    request.path = accessor ? "sys/capabilities-accessor" : "sys/capabilities";
    (*request.body)[accessor ? "accessor" : "token"] = call.word(0);
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  const Json& data = reply.data();
  const bool by_path = !member(data, "capabilities").is_array();
  const Json& found = member(data, by_path ? path : "capabilities");
  if (!found.is_array()) {
    return Error{Errc::kRefused, "Error asking for capabilities: the answer has none for " + path};
  }
  std::vector<std::string> names;
  for (const Json& name : found) names.push_back(value_text(name));
  std::ranges::sort(names);
  return call.print.either(OrderedJson(names), [&](std::ostream& out) {
    std::string line;
    for (const std::string& name : names) line += (line.empty() ? "" : ", ") + name;
    out << printable(line) << "\n";
  });
}

std::vector<Flag> delegation_flags() {
  return {{{"agent"}, FlagKind::kText, "The agent whose token it is: one that you answer for."},
          {{"on-behalf-of"}, FlagKind::kText, "The human that the agent acts for, if not you."},
          {{"sub-agent"}, FlagKind::kText, "The agent's child task that it is for.", "NAME"},
          {{"max-live-leases"},
           FlagKind::kInteger,
           "Leases at a time, of it and all tokens below it.",
           "COUNT"},
          {{"max-leases-per-hour"},
           FlagKind::kInteger,
           "Leases within an hour, of it and all tokens below it.",
           "COUNT"},
          {{"max-lease-ttl"},
           FlagKind::kDuration,
           "Longest life of a lease of it and all tokens below it.",
           "DURATION"}};
}

std::vector<Flag> create_flags() {
  std::vector<Flag> flags = {
      {{"policy"}, FlagKind::kList, "A policy of the token; repeatable.", "NAME"},
      {{"ttl"}, FlagKind::kDuration, "How long it lives, if nobody renews it.", "DURATION"},
      {{"explicit-max-ttl"},
       FlagKind::kDuration,
       "How long it lives at most, renewed or not.",
       "DURATION"},
      {{"period"},
       FlagKind::kDuration,
       "Each renewal makes it live this long again, without end.",
       "DURATION"},
      {{"use-limit"}, FlagKind::kInteger, "How many calls it is good for.", "COUNT"},
      {{"display-name"}, FlagKind::kText, "How it is called in the audit log.", "NAME"},
      {{"metadata"}, FlagKind::kList, "What goes with it; repeatable.", "KEY=VALUE"},
      {{"orphan"}, FlagKind::kSwitch, "It survives the token that creates it."},
      {{"no-default-policy"}, FlagKind::kSwitch, "Leave out the policy \"default\"."},
      {{"renewable"}, FlagKind::kSwitch, "It can be renewed (the default)."},
      {{"role"}, FlagKind::kText, "Create it from this token role.", "NAME"},
      {{"type"}, FlagKind::kText, "Its type.", "TYPE", {"service", "batch"}},
      {{"id"}, FlagKind::kText, "Its value, chosen by you: for tests only.", "TOKEN"},
      {{"bound-certificate"},
       FlagKind::kText,
       "Only connections that show the client certificate with this SHA-256 can use it.",
       "THUMBPRINT"},
      {{"entity-alias"}, FlagKind::kText, "The entity's alias to bind it to.", "NAME"},
      field_flag()};
  const std::vector<Flag> more = delegation_flags();
  flags.insert(flags.end() - 1, more.begin(), more.end());
  return flags;
}

}  // namespace

void add_token_commands(CommandTable& table) {
  const Flag increment = {{"increment", "i"},
                          FlagKind::kDuration,
                          "How long it is to live from now on, within its limits.",
                          "DURATION"};
  table.groups.push_back({"token", "Tokens: who calls, and what they may do"});
  table.commands.push_back(
      {.path = "token create",
       .summary = "Creates a token",
       .synopsis = "[flags]",
       .words = {0, 0},
       .flags = create_flags(),
       .details = "      curfew token create -policy=agent-readonly -ttl=1h -display-name=agent-7\n"
                  "  For an agent that you answer for; it acts on your behalf:\n"
                  "      curfew token create -agent=claude-code -policy=readers -ttl=8h\n"
                  "  By that agent, for a child task of its own:\n"
                  "      curfew token create -sub-agent=tests -policy=readers -ttl=15m "
                  "-max-live-leases=2\n",
       .run = create});
  table.commands.push_back({.path = "token lookup",
                            .summary = "Shows a token, your own if none is named",
                            .synopsis = "[flags] [TOKEN | ACCESSOR]",
                            .words = {0, 1},
                            .flags = {accessor_flag(), field_flag()},
                            .run = lookup});
  table.commands.push_back({.path = "token renew",
                            .summary = "Makes a token live on, your own if none is named",
                            .synopsis = "[flags] [TOKEN | ACCESSOR]",
                            .words = {0, 1},
                            .flags = {accessor_flag(), increment, field_flag()},
                            .run = renew});
  table.commands.push_back(
      {.path = "token revoke",
       .summary = "Ends a token, its children and its leases",
       .synopsis = "[flags] [TOKEN | ACCESSOR]",
       .words = {0, 1},
       .flags = {accessor_flag(),
                 {{"self"}, FlagKind::kSwitch, "Revoke your own token."},
                 {{"mode"},
                  FlagKind::kText,
                  "orphan: its children live on; path: TOKEN is a prefix of leases.",
                  "MODE",
                  {"orphan", "path"}}},
       .run = revoke});
  table.commands.push_back({.path = "token capabilities",
                            .summary = "Shows what a token, your own if none is named, may do",
                            .synopsis = "[flags] [TOKEN | ACCESSOR] PATH",
                            .words = {1, 2},
                            .flags = {accessor_flag()},
                            .run = capabilities});
}

}  // namespace curfew::cli
