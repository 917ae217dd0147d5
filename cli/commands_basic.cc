#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/seal_status.h"

namespace curfew::cli {

namespace {

Result<int> status(Call& call) {
  const auto look = [&]() -> Result<int> {
    ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                            .path = "sys/seal-status",
                                                            .doing = "checking the seal status",
                                                            .token = Secret(),
                                                            .in_root_namespace = true}));
    RETURN_IF_ERROR(show_seal_status(call, reply.body));
    const bool open = member(reply.body, "sealed") == false;
    return open ? kExitOk : kExitServer;
  };
  Result<int> code = look();
  if (code) return code;
  // Here 2 means "sealed", so that a server that does not answer has to be 1.
  Error error = std::move(code).error();
  if (!call.api().printed_curl()) error.code = Errc::kInvalidArgument;
  return error;
}

// The words behind the path, as parameters of the query.
Result<std::vector<std::pair<std::string, std::string>>> query_words(Call& call) {
  std::vector<std::pair<std::string, std::string>> query;
  for (std::size_t i = 1; i < call.word_count(); ++i) {
    ASSIGN_OR_RETURN(auto pair, split_pair(call.word(i), "a parameter"));
    query.push_back(std::move(pair));
  }
  return query;
}

Result<int> read(Call& call) {
  const std::string path = trim_path(call.word(0));
  ASSIGN_OR_RETURN(auto query, query_words(call));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = path,
                                                          .query = std::move(query),
                                                          .doing = "reading " + path,
                                                          .none_ok = true,
                                                          .may_issue = true}));
  if (reply.is_miss()) return missing_error("No value found at " + path);
  return call.print.answer(reply);
}

Result<int> write(Call& call) {
  const std::string path = trim_path(call.word(0));
  const std::span<const std::string> words = std::span(call.arguments.words()).subspan(1);
  if (words.empty() && !call.arguments.on("force")) {
    return local_error(
        "There is nothing to write: give KEY=VALUE words, \"-\" for JSON on "
        "standard input, or -force for a call without data");
  }
  Json body = nullptr;
  if (!words.empty()) {
    ASSIGN_OR_RETURN(body, parse_key_values(words, call.around.in));
  }
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = path,
                                    .body = std::move(body),
                                    .doing = "writing data to " + path,
                                    .may_issue = true,
                                    .secret_members = {"password", "token", "secret_id", "jwt"}}));
  if (reply.body.is_null()) return call.print.success("Success! Data written to: " + path);
  if (call.print.is_table() && call.print.field().empty() && reply.data().is_null() &&
      member(reply.body, "auth").is_null() && member(reply.body, "wrap_info").is_null()) {
    call.print.warnings(reply.body);
    return call.print.success("Success! Data written to: " + path);
  }
  return call.print.answer(reply);
}

Result<int> remove(Call& call) {
  const std::string path = trim_path(call.word(0));
  ASSIGN_OR_RETURN(auto query, query_words(call));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "DELETE",
                                                          .path = path,
                                                          .query = std::move(query),
                                                          .doing = "deleting " + path}));
  if (!reply.data().is_null()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  return call.print.success("Success! Data deleted (if it existed) at: " + path);
}

Result<int> list(Call& call) {
  const std::string path = trim_path(call.word(0));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = path,
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing " + path,
                                                          .none_ok = true}));
  return show_keys(call, reply, path);
}

Result<int> unwrap(Call& call) {
  ApiRequest request{.method = "PUT",
                     .path = "sys/wrapping/unwrap",
                     .doing = "unwrapping",
                     .never_wrapped = true,
                     .secret_members = {"token"}};
  if (call.word_count() == 1) {
    Secret token(call.word(0));
    if (call.word(0) == "-") {
      ASSIGN_OR_RETURN(token, read_secret(call.around.in));
    }
    request.body = Json{{"token", token.reveal()}};
    // Only the wrapping token is needed; it may be all that the caller has.
    if (call.api().settings().token.empty()) request.token = std::move(token);
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  return call.print.answer(reply);
}

Result<int> path_help(Call& call) {
  const std::string path = trim_path(call.word(0));
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = path,
                                                          .query = {{"help", "1"}},
                                                          .doing = "asking for help on " + path}));
  return call.print.either(OrderedJson(reply.body), [&](std::ostream& out) {
    out << printable(member_text(reply.body, "help")) << "\n";
  });
}

}  // namespace

void add_basic_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "status",
       .summary = "Shows whether the server is sealed",
       .synopsis = "[flags]",
       .words = {0, 0},
       .flags = {field_flag()},
       .details = "  Exit code: 0 if the server is unsealed, 2 if it is sealed, 1 if it cannot be "
                  "asked.\n",
       .run = status});
  table.commands.push_back({.path = "read",
                            .summary = "Reads a path: a secret, a configuration, new credentials",
                            .synopsis = "[flags] PATH [KEY=VALUE...]",
                            .words = {1, kManyWords},
                            .flags = {field_flag()},
                            .details =
                                "  KEY=VALUE words become parameters of the query.\n\n"
                                "      curfew read database/creds/readonly\n"
                                "      curfew read -field=password database/creds/readonly\n",
                            .run = read});
  table.commands.push_back(
      {.path = "write",
       .summary = "Writes to a path",
       .synopsis = "[flags] PATH [KEY=VALUE...]",
       .words = {1, kManyWords},
       .flags = {field_flag(),
                 {{"force", "f"}, FlagKind::kSwitch, "Make the call without any data."}},
       .details = "  A value is taken as it stands, @FILE is a file's contents, - standard input.\n"
                  "  The word \"-\" reads a whole JSON object from standard input.\n\n"
                  "      curfew write database/roles/readonly db_name=app default_ttl=15m \\\n"
                  "          creation_statements=@create.sql\n",
       .run = write});
  table.commands.push_back({.path = "delete",
                            .summary = "Deletes what is at a path",
                            .synopsis = "[flags] PATH [KEY=VALUE...]",
                            .words = {1, kManyWords},
                            .run = remove});
  table.commands.push_back({.path = "list",
                            .summary = "Lists what is below a path",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .run = list});
  table.commands.push_back(
      {.path = "unwrap",
       .summary = "Fetches what a wrapping token stands for; works once",
       .synopsis = "[flags] [TOKEN]",
       .words = {0, 1},
       .flags = {field_flag()},
       .details = "  Without TOKEN, your own token is unwrapped. \"-\" reads it from standard "
                  "input.\n",
       .run = unwrap});
  table.commands.push_back({.path = "path-help",
                            .summary = "Shows what the server says about a path",
                            .synopsis = "[flags] PATH",
                            .words = {1, 1},
                            .run = path_help});
}

}  // namespace curfew::cli
