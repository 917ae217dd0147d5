#pragma once

#include <optional>
#include <string>

#include "broker/auth/auth_method.h"
#include "broker/auth/kubernetes/kubernetes_settings.h"
#include "broker/auth/kubernetes/token_review.h"
#include "broker/auth/remote_value.h"
#include "broker/auth/role_store.h"

namespace curfew::broker::kubernetes {

// What does not come from the API.
struct KubernetesSurroundings {
  // Where Kubernetes puts a pod's own token and authority.
  std::string pod_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  Millis review_timeout{5'000};
};

// Logins of pods with the token of their service account, which the cluster's API server vouches
// for at each login: a deleted account is out at once.
class KubernetesMethod final : public AuthMethod {
 public:
  explicit KubernetesMethod(AuthServices services, KubernetesSurroundings surroundings = {});

  std::string_view type() const override { return "kubernetes"; }
  const BackendRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const BackendCall& call) const override {
    return roles_.exists(call);
  }
  Result<TokenRules> renew(const Json& renewal, const Request&) const override {
    return roles_.renewed(renewal);
  }

 private:
  Result<Response> read_config(const BackendCall& call);
  Result<Response> write_config(const BackendCall& call);
  Result<Response> login(const BackendCall& call);

  Result<KubernetesConfig> config() const;
  Result<ServiceAccount> review(const KubernetesConfig& config, const std::string& token,
                                const std::string& audience);

  BackendHandler to(Result<Response> (KubernetesMethod::*method)(const BackendCall&));
  BackendRoutes make_routes();

  const AuthServices services_;
  const KubernetesSurroundings surroundings_;
  RoleStore<KubernetesRole> roles_;
  Slots reviews_;  // at once: an API server that hangs must not take every thread
  const BackendRoutes routes_;
};

// Adds the type "kubernetes".
void add_methods(AuthRegistry& registry, KubernetesSurroundings surroundings = {});

}  // namespace curfew::broker::kubernetes
