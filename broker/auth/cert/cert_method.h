#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "broker/auth/auth_method.h"
#include "broker/auth/cert/cert_settings.h"
#include "broker/auth/cert/trust.h"

namespace curfew::broker::cert {

// Logins with the client certificate of the TLS connection.
class CertMethod final : public AuthMethod {
 public:
  explicit CertMethod(AuthServices services);

  std::string_view type() const override { return "cert"; }
  const BackendRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const BackendCall& call) const override;
  Result<TokenRules> renew(const Json& renewal, const Request& request) const override;

 private:
  struct TrustedRole {
    std::string name;
    CertRole role;
    std::shared_ptr<const Trust> trust;
  };
  // All roles with the lists that concern them, as they were stored at one time.
  using Roles = std::vector<TrustedRole>;
  // What a connection showed.
  struct Shown {
    std::vector<CertificatePointer> chain;
    CertificateFacts facts;
  };
  struct Match {
    const TrustedRole* role = nullptr;
    Verdict verdict;
  };

  Result<Response> read_config(const BackendCall& call);
  Result<Response> write_config(const BackendCall& call);
  Result<Response> read_role(const BackendCall& call);
  Result<Response> write_role(const BackendCall& call);
  Result<Response> delete_role(const BackendCall& call);
  Result<Response> list_roles(const BackendCall& call);
  Result<Response> read_list(const BackendCall& call);
  Result<Response> write_list(const BackendCall& call);
  Result<Response> delete_list(const BackendCall& call);
  Result<Response> list_lists(const BackendCall& call);
  Result<Response> login(const BackendCall& call);

  Result<CertConfig> config() const;
  Result<std::shared_ptr<const Roles>> roles() const;
  Result<Roles> load_roles() const;
  Status change(const std::function<Status(engines::StorageWriter&)>& writer);

  Result<Shown> shown_by(const Request& request) const;
  Verdict judge(const TrustedRole& role, const Shown& shown, const Request& request) const;
  Result<Match> find_match(const Roles& roles, const std::string& name, const Shown& shown,
                           const Request& request) const;
  void log_refusal(const std::string& role, const Verdict& verdict, const Shown& shown) const;
  void warn_of_stale(const std::string& list) const;
  Status claim_name(const std::string& alias, const Match& match, const CertConfig& config);
  Login login_of(const Match& match, const Shown& shown, const Request& request,
                 const CertConfig& config, std::string alias) const;

  BackendHandler to(Result<Response> (CertMethod::*method)(const BackendCall&));
  BackendRoutes make_routes();

  const AuthServices services_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::shared_ptr<const Roles> roles_;
  std::uint64_t changes_ = 0;  // of what is stored: what was read before one is not kept
  mutable std::optional<WallTime> warned_at_;

  const BackendRoutes routes_;
};

// Adds the type "cert".
void add_methods(AuthRegistry& registry);

}  // namespace curfew::broker::cert
