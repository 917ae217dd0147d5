#include "cli/login_methods.h"

#include <charconv>
#include <filesystem>
#include <istream>
#include <ostream>

#include "cli/browser_callback.h"
#include "cli/key_values.h"
#include "cli/text_output.h"

namespace curfew::cli {

namespace {

// Where a pod finds the token of its service account.
constexpr const char* kServiceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";

constexpr std::uint16_t kCallbackPort = 8250;
constexpr Millis kCallbackWait = std::chrono::minutes{5};

ApiRequest login_call(std::string path, Json body) {
  return {.method = "PUT",
          .path = std::move(path),
          .body = std::move(body),
          .doing = "authenticating",
          .token = Secret(),
          .secret_members = {"password", "secret_id", "jwt", "token"}};
}

// What a file or a pipe has at its end does not belong to a secret.
std::string without_line_break(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

// The other users of a machine can see command lines, and shells write them down.
Status check_not_visible(const Call& call, const std::string& name) {
  for (const std::string& word : call.arguments.words()) {
    if (!word.starts_with(name + "=")) continue;
    const std::string value = word.substr(name.size() + 1);
    if (value == "-" || value.starts_with('@')) continue;
    return local_error("A " + name +
                       " on the command line can be seen by others: leave it out to " +
                       "be asked, or give " + name + "=@FILE, or " + name + "=- and pipe it in");
  }
  return ok();
}

Result<ApiRequest> userpass(Call& call, const std::string& mount) {
  RETURN_IF_ERROR(check_not_visible(call, "password"));
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  if (!body.contains("username") || !body["username"].is_string() || body["username"] == "")
    return local_error(
        "Logging in with a password takes username=NAME (the password is asked for, or comes from "
        "password=@FILE)");
  const std::string path = mount + "/login/" + body["username"].get<std::string>();
  body.erase("username");
  if (body.contains("password") && body["password"].is_string()) {
    body["password"] = without_line_break(body["password"].get<std::string>());
  } else if (!body.contains("password")) {
    ASSIGN_OR_RETURN(const Secret password, call.around.ask_secret("Password (will be hidden): "));
    body["password"] = password.reveal();
  }
  return login_call(path, std::move(body));
}

Result<ApiRequest> approle(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  if (!body.contains("role_id"))
    return local_error(
        "Logging in as a role takes role_id=ID, and secret_id=@FILE unless the role does without");
  return login_call(mount + "/login", std::move(body));
}

Result<ApiRequest> jwt(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  if (!body.contains("jwt") && body.contains("token")) {
    body["jwt"] = body["token"];
    body.erase("token");
  }
  if (!body.contains("jwt") || !body["jwt"].is_string())
    return local_error(
        "Logging in with a signed token takes jwt=@FILE, or jwt=- and a pipe, and role=NAME unless "
        "the mount has a default role");
  body["jwt"] = without_line_break(body["jwt"].get<std::string>());
  return login_call(mount + "/login", std::move(body));
}

Result<ApiRequest> kubernetes(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  if (!body.contains("role"))
    return local_error(
        "Logging in as a pod takes role=NAME; the pod's own token is sent unless "
        "jwt=@FILE names another one");
  if (!body.contains("jwt")) {
    if (!std::filesystem::exists(kServiceAccountToken))
      return local_error(std::string("There is no token of a service account at ") +
                         kServiceAccountToken + ": give jwt=@FILE");
    ASSIGN_OR_RETURN(body["jwt"], read_file(kServiceAccountToken));
  }
  if (body["jwt"].is_string()) body["jwt"] = without_line_break(body["jwt"].get<std::string>());
  return login_call(mount + "/login", std::move(body));
}

Result<ApiRequest> cert(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  if (call.api().settings().http.client_cert_file.empty())
    return local_error(
        "Logging in with a certificate takes -client-cert=FILE and -client-key=FILE "
        "(or CURFEW_CLIENT_CERT and CURFEW_CLIENT_KEY)");
  return login_call(mount + "/login", std::move(body));
}

// What was begun at the server for this login.
struct BegunLogin {
  std::string url;    // for the browser
  std::string state;  // that it comes back with
  std::string nonce;  // that only this process knows
};

Result<BegunLogin> begin_login(Call& call, const std::string& mount, Json body) {
  BegunLogin begun;
  begun.nonce = call.around.unique_text ? call.around.unique_text() : "";
  if (begun.nonce.empty()) return local_error("There is no randomness to be had");
  body["client_nonce"] = begun.nonce;
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "PUT",
                                                          .path = mount + "/oidc/auth_url",
                                                          .body = std::move(body),
                                                          .doing = "authenticating",
                                                          .token = Secret(),
                                                          .preliminary = true,
                                                          .never_wrapped = true}));
  begun.url = member_text(reply.data(), "auth_url");
  const auto mark = begun.url.find('?');
  if (mark != std::string::npos) begun.state = parse_query(begun.url.substr(mark + 1))["state"];
  if (begun.url.empty() || begun.state.empty())
    return Error{Errc::kRefused,
                 "Error authenticating: the server gave no address to open; check that the role "
                 "is one for browsers and allows the address to come back to"};
  return begun;
}

Result<std::uint16_t> callback_port(const Json& body) {
  if (!body.contains("port")) return kCallbackPort;
  const std::string text = member_text(body, "port");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size() && port > 0) return port;
  return local_error("port= takes the number of the port at which the browser comes back");
}

// The person logs in at the provider, which sends the browser back to this process. The state and
// the nonce tie that to this login: who has the address alone cannot end it.
Result<ApiRequest> oidc(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  ASSIGN_OR_RETURN(const std::uint16_t port, callback_port(body));
  body.erase("port");
  ASSIGN_OR_RETURN(auto callback, BrowserCallback::open(port));
  body["redirect_uri"] = "http://localhost:" + std::to_string(port) + "/oidc/callback";
  ASSIGN_OR_RETURN(const BegunLogin begun, begin_login(call, mount, std::move(body)));
  call.around.err << "Open this address in a browser of this machine and log in there:\n\n    "
                  << begun.url << "\n\n"
                  << std::flush;
  ASSIGN_OR_RETURN(auto query, callback.wait(begun.state, kCallbackWait));
  ApiRequest request{.method = "GET",
                     .path = mount + "/oidc/callback",
                     .query = {{"state", begun.state}, {"client_nonce", begun.nonce}},
                     .doing = "authenticating",
                     .token = Secret()};
  for (const char* name : {"code", "error", "error_description"})
    if (!query[name].empty()) request.query.emplace_back(name, query[name]);
  return request;
}

}  // namespace

const std::vector<LoginMethod>& login_methods() {
  static const std::vector<LoginMethod> kMethods = {
      {"userpass",
       "  curfew login -method=userpass username=NAME [password=@FILE|-]\n\n"
       "  Without password= it is asked for and not shown.\n",
       userpass},
      {"approle",
       "  curfew login -method=approle role_id=ID [secret_id=@FILE|-]\n\n"
       "  The role id is not secret, the secret id is: keep it in a file of mode 0600.\n",
       approle},
      {"jwt",
       "  curfew login -method=jwt [role=NAME] jwt=@FILE|-\n\n"
       "  The token is one that the identity provider signed, such as a CI job's.\n",
       jwt},
      {"oidc",
       "  curfew login -method=oidc [role=NAME] [port=NUMBER]\n\n"
       "  Through a browser of this machine, which comes back to http://localhost:8250: the\n"
       "  role must allow http://localhost:8250/oidc/callback.\n",
       oidc},
      {"kubernetes",
       "  curfew login -method=kubernetes role=NAME [jwt=@FILE]\n\n"
       "  Within a pod the token of its service account is found by itself.\n",
       kubernetes},
      {"cert",
       "  curfew login -method=cert -client-cert=FILE -client-key=FILE [name=ROLE]\n\n"
       "  The certificate is shown when the connection is made.\n",
       cert},
  };
  return kMethods;
}

const LoginMethod* find_login_method(std::string_view name) {
  for (const LoginMethod& method : login_methods()) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

Result<ApiRequest> plain_login(Call& call, const std::string& mount) {
  ASSIGN_OR_RETURN(Json body, parse_key_values(call.arguments.words(), call.around.in));
  return login_call(mount + "/login", std::move(body));
}

}  // namespace curfew::cli
