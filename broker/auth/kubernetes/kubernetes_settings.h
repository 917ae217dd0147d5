#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "base/secret.h"
#include "broker/auth/token_rules.h"

namespace curfew::broker::kubernetes {

// Which cluster a mount asks.
struct KubernetesConfig {
  std::string host;
  std::string ca_cert;                // PEM; empty: this pod's, or the system's authorities
  Secret reviewer;                    // empty: this pod's token, or the one that is asked about
  std::vector<std::string> pem_keys;  // where given, one of them must have signed the token
  std::string issuer;                 // what iss must be, unless the check is off
  bool issuer_checked = false;
  bool local_allowed = true;  // whether this pod's token and authority serve
};

// Which service accounts may log in, and what they get.
struct KubernetesRole {
  std::vector<std::string> names;        // globs
  std::vector<std::string> name_spaces;  // globs
  std::string audience;
  bool alias_is_name = false;  // "namespace/name" and not the uid
  TokenRules tokens = {};
};

// Each takes the members of a write; a configuration is whole, a role keeps what is absent.
// kInvalidArgument names the member.
Result<KubernetesConfig> config_from_api(const Json& data);
Status apply_fields(const Json& data, KubernetesRole& role);

// Without the reviewer's token.
Json to_api(const KubernetesConfig& config);
Json to_api(const KubernetesRole& role);

Json to_stored(const KubernetesConfig& config);
Json to_stored(const KubernetesRole& role);
Result<KubernetesConfig> config_from_stored(const Json& stored);
Result<KubernetesRole> role_from_stored(const Json& stored);

std::vector<FieldSpec> config_fields();
std::vector<FieldSpec> role_fields();

}  // namespace curfew::broker::kubernetes
