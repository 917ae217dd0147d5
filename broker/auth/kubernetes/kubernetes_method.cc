#include "broker/auth/kubernetes/kubernetes_method.h"

#include <algorithm>
#include <fstream>

#include "base/glob.h"
#include "broker/auth/jwt/claims.h"
#include "broker/auth/jwt/jws.h"
#include "broker/token/cidr.h"
#include "broker/token/token_service.h"

namespace curfew::broker::kubernetes {
namespace {

using enum Operation;

constexpr std::string_view kConfigKey = "config";
constexpr int kReviewsMax = 8;
constexpr std::size_t kPodFileBytesMax = std::size_t{256} << 10;

Error denied(std::string why = "permission denied") {
  return {Errc::kPermissionDenied, std::move(why)};
}

// Empty where there is no such file. Kubernetes renews these files, so they are read each time.
std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kPodFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

bool any_glob(const std::vector<std::string>& globs, std::string_view text) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return glob_match(glob, text); });
}

// What can be said of a token without the API server; spares it what is no token at all.
Status check_locally(const KubernetesConfig& config, const std::string& token) {
  const auto jws = jwt::Jws::parse(token);
  if (!jws) return denied();
  if (config.issuer_checked && !jwt::check_issuer(jws->unverified_claims(), config.issuer))
    return denied();
  if (config.pem_keys.empty()) return ok();
  jwt::Keys keys;
  for (const std::string& pem : config.pem_keys) {
    auto key = jwt::PublicKey::from_pem(pem);
    if (key) keys.push_back({.key = std::move(*key)});
  }
  if (!jws->verify(keys, jwt::all_algorithms())) return denied();
  return ok();
}

Login login_of(const ServiceAccount& account, const std::string& role_name,
               const StoredRole<KubernetesRole>& role) {
  Login login;
  login.alias = role.alias_is_name ? account.name_space + "/" + account.name : account.uid;
  login.display_name = account.name_space + "-" + account.name;
  login.alias_metadata = {{"service_account_name", account.name},
                          {"service_account_namespace", account.name_space},
                          {"service_account_secret_name", ""},
                          {"service_account_uid", account.uid}};
  login.metadata = login.alias_metadata;
  login.metadata["role"] = role_name;
  login.rules = role.tokens;
  login.renewal = RoleStore<KubernetesRole>::renewal(role_name, role);
  return login;
}

}  // namespace

KubernetesMethod::KubernetesMethod(AuthServices services, KubernetesSurroundings surroundings)
    : services_(std::move(services)),
      surroundings_(std::move(surroundings)),
      roles_(services_.storage, services_.random, role_from_stored),
      reviews_(kReviewsMax),
      routes_(make_routes()) {}

Result<KubernetesConfig> KubernetesMethod::config() const {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(kConfigKey));
  if (!stored)
    return Error{Errc::kInvalidArgument,
                 "could not load backend configuration: write auth/<path>/config"};
  return config_from_stored(*stored);
}

Result<Response> KubernetesMethod::read_config(const BackendCall&) {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(kConfigKey));
  if (!stored) return Error{Errc::kNotFound, ""};
  ASSIGN_OR_RETURN(const auto config, config_from_stored(*stored));
  return Response{.data = to_api(config)};
}

Result<Response> KubernetesMethod::write_config(const BackendCall& call) {
  ASSIGN_OR_RETURN(const auto config, config_from_api(call.request.data));
  RETURN_IF_ERROR(services_.storage.put(kConfigKey, to_stored(config)));
  return Response{};
}

Result<ServiceAccount> KubernetesMethod::review(const KubernetesConfig& config,
                                                const std::string& token,
                                                const std::string& audience) {
  ASSIGN_OR_RETURN(const auto slot, reviews_.take());
  ReviewRequest request{.host = config.host,
                        .reviewer = config.reviewer,
                        .token = Secret(token),
                        .audience = audience};
  HttpsSettings settings{.ca_pem = config.ca_cert, .timeout = surroundings_.review_timeout};
  if (config.local_allowed) {
    if (settings.ca_pem.empty()) settings.ca_pem = file_text(surroundings_.pod_folder + "/ca.crt");
    if (request.reviewer.empty())
      request.reviewer = Secret(file_text(surroundings_.pod_folder + "/token"));
  }
  if (request.reviewer.empty()) request.reviewer = request.token;
  auto account = review_token(HttpsClient(std::move(settings)), request);
  if (account || account.error().code == Errc::kPermissionDenied) return account;
  services_.log.warn("a Kubernetes API server could not be asked",
                     {{"error", account.error().message}});
  return Error{Errc::kUnavailable,
               "the cluster's API server cannot be asked now, so nobody can be believed; try again "
               "later. The server's log has the reason"};
}

// An unknown role is told only to somebody whom the cluster vouches for.
Result<Response> KubernetesMethod::login(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string token, fields.text_or("jwt", ""));
  if (token.empty()) return Error{Errc::kInvalidArgument, "missing jwt"};
  ASSIGN_OR_RETURN(const std::string given, fields.text_or("role", ""));
  if (given.empty()) return Error{Errc::kInvalidArgument, "missing role"};
  const std::string name = lower_case(given);
  ASSIGN_OR_RETURN(const auto config, this->config());
  RETURN_IF_ERROR(check_locally(config, token));
  ASSIGN_OR_RETURN(const auto found, roles_.find(name));
  ASSIGN_OR_RETURN(const auto account, review(config, token, found ? found->audience : ""));
  if (!found) return Error{Errc::kInvalidArgument, "invalid role name \"" + name + "\""};
  const auto& cidrs = found->tokens.bound_cidrs;
  if (!cidrs.empty() && !in_any_cidr(call.request.remote_address, cidrs)) return denied();
  if (!any_glob(found->name_spaces, account.name_space)) return denied("namespace not authorized");
  if (!any_glob(found->names, account.name)) return denied("service account name not authorized");
  return Response{.login = std::make_shared<Login>(login_of(account, name, *found))};
}

BackendHandler KubernetesMethod::to(
    Result<Response> (KubernetesMethod::*method)(const BackendCall&)) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

BackendRoutes KubernetesMethod::make_routes() {
  std::vector<BackendRoutes::Route> routes;
  const auto add = [&](RouteSpec spec, std::map<Operation, BackendHandler> handlers) {
    routes.push_back({{std::move(spec)}, std::move(handlers)});
  };
  add({.pattern = "config", .summary = "Which cluster is asked.", .fields = config_fields()},
      {{kRead, to(&KubernetesMethod::read_config)},
       {kUpdate, to(&KubernetesMethod::write_config)}});
  roles_.add_routes("Which service accounts may log in, and what they get.", role_fields(), routes);
  add({.pattern = "login",
       .summary = "Logs in with the token of a service account.",
       .fields = {{"role", FieldType::kText, "The role.", true},
                  {"jwt", FieldType::kText, "The token.", true}},
       .unauthenticated = true},
      {{kUpdate, to(&KubernetesMethod::login)}});
  return BackendRoutes(std::move(routes));
}

void add_methods(AuthRegistry& registry, KubernetesSurroundings surroundings) {
  registry.add("kubernetes",
               [surroundings](AuthServices services) -> Result<std::unique_ptr<AuthMethod>> {
                 return std::unique_ptr<AuthMethod>(
                     std::make_unique<KubernetesMethod>(std::move(services), surroundings));
               });
}

}  // namespace curfew::broker::kubernetes
