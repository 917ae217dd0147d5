#include <ostream>

#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/login_methods.h"
#include "cli/token_file.h"

namespace curfew::cli {

namespace {

// The token to log in with: a word, standard input, or asked for.
Result<Secret> given_token(Call& call) {
  if (call.word_count() > 1) {
    return local_error("Give one token: `curfew login TOKEN`; other ways to log in need -method");
  }
  if (call.word_count() == 0) return call.around.ask_secret("Token (will be hidden): ");
  std::string word = call.word(0);
  if (word.starts_with("token=")) word.erase(0, 6);
  if (word != "-") return Secret(std::move(word));
  return read_secret(call.around.in);
}

// What a call made with the token says of it, in the form of a login's answer.
Json auth_from_lookup(const Json& data, const Secret& token) {
  return {{"client_token", token.reveal()},
          {"accessor", member(data, "accessor")},
          {"policies", member(data, "policies")},
          {"token_policies", member(data, "policies")},
          {"identity_policies", member(data, "identity_policies")},
          {"metadata", member(data, "meta")},
          {"lease_duration", member(data, "ttl")},
          {"renewable", member(data, "renewable") == true},
          {"entity_id", member(data, "entity_id")},
          {"token_type", member(data, "type")}};
}

Result<ApiReply> login_with_token(Call& call) {
  ASSIGN_OR_RETURN(const Secret token, given_token(call));
  if (token.empty()) return local_error("No token was given");
  call.api().use_token(token, "the command line");
  ASSIGN_OR_RETURN(ApiReply reply, call.api().send({.method = "GET",
                                                    .path = "auth/token/lookup-self",
                                                    .doing = "authenticating"}));
  reply.body = Json{{"request_id", member(reply.body, "request_id")},
                    {"auth", auth_from_lookup(reply.data(), token)},
                    {"data", nullptr}};
  return reply;
}

Result<ApiReply> login_with_method(Call& call, const std::string& name) {
  const std::string mount = "auth/" + trim_path(call.arguments.text("path", name));
  const LoginMethod* method = find_login_method(name);
  ASSIGN_OR_RETURN(const ApiRequest request,
                   method ? method->request(call, mount) : plain_login(call, mount));
  return call.api().send(request);
}

Status keep(Call& call, const Secret& token) {
  const std::string path = token_file_path(first_set(call.around, {"HOME"}));
  RETURN_IF_ERROR(store_token(path, token));
  for (const char* name : {"CURFEW_TOKEN", "VAULT_TOKEN"}) {
    if (first_set(call.around, {name}).empty()) continue;
    call.print.warn(std::string(name) +
                    " is set and wins over the token that was stored now: "
                    "unset it to use this one");
  }
  return ok();
}

Result<int> login(Call& call) {
  const std::string method = call.arguments.text("method", "token");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   method == "token" ? login_with_token(call) : login_with_method(call, method));
  if (member(reply.body, "wrap_info").is_object()) {
    return call.print.answer(reply);
  }
  const Json& auth = member(reply.body, "auth");
  if (member_text(auth, "client_token").empty()) {
    return Error{Errc::kRefused, "Error authenticating: the server's answer holds no token"};
  }
  const Secret token(member_text(auth, "client_token"));
  const bool token_only = call.arguments.on("token-only");
  const bool store = !call.arguments.on("no-store") && !token_only;
  if (store) RETURN_IF_ERROR(keep(call, token));
  if (call.arguments.on("no-print")) return kExitOk;
  if (token_only) {
    call.around.out << token.reveal() << (call.around.out_is_terminal ? "\n" : "");
    return kExitOk;
  }
  if (call.print.is_table() && call.print.field().empty()) {
    call.around.out << "Success! You are logged in."
                    << (store ? " The token was stored, and the next commands use it.\n\n"
                              : " The token was not stored: set CURFEW_TOKEN to use it.\n\n");
  }
  return call.print.answer(reply);
}

Result<int> print_token(Call& call) {
  ASSIGN_OR_RETURN(const Secret token, find_token(call.around, nullptr));
  if (token.empty())
    return local_error("There is no token: run `curfew login` or set CURFEW_TOKEN");
  call.around.out << token.reveal() << "\n";
  return kExitOk;
}

}  // namespace

void add_login_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "login",
       .summary = "Checks a token, or gets one, and keeps it for the next commands",
       .synopsis = "[flags] [TOKEN | - | KEY=VALUE...]",
       .words = {0, kManyWords},
       .flags =
           {{{"method"},
             FlagKind::kText,
             "How to log in: token (the default), userpass, approle, jwt, oidc, kubernetes, cert.",
             "NAME"},
            {{"path"}, FlagKind::kText, "Where the method is mounted, below auth/.", "PATH"},
            {{"no-store"}, FlagKind::kSwitch, "Do not keep the token."},
            {{"no-print"}, FlagKind::kSwitch, "Do not show the token."},
            {{"token-only"}, FlagKind::kSwitch, "Print the token alone and do not keep it."},
            field_flag()},
       .details =
           "  The token is kept in .curfew-token in the home directory, for its owner only.\n"
           "  A token on the command line can be seen by other users of the machine: leave\n"
           "  it out to be asked, or give \"-\" and pipe it in.\n\n"
           "      curfew login\n"
           "      curfew login -method=userpass username=alice\n"
           "      curfew login -method=approle role_id=… secret_id=@secret-id\n\n"
           "  `curfew auth help METHOD` tells what a method takes.\n",
       .run = login});
  table.groups.push_back({"print", "What the commands would use"});
  table.commands.push_back({.path = "print token",
                            .summary = "Prints the token that commands send",
                            .words = {0, 0},
                            .local = true,
                            .run = print_token});
}

}  // namespace curfew::cli
