#include "cli/login_methods.h"

#include <filesystem>
#include <istream>

#include "cli/key_values.h"

namespace curfew::cli {

namespace {

// Where a pod finds the token of its service account.
constexpr const char* kServiceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";

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

Result<ApiRequest> oidc(Call&, const std::string&) {
  return local_error(
      "Logging in through a browser is not possible from this command yet; with a "
      "token of the provider at hand use -method=jwt -path=oidc jwt=@FILE");
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
      {"oidc", "  curfew login -method=oidc [role=NAME]\n\n  Through a browser; not yet.\n", oidc},
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
