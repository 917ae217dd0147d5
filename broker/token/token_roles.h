#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "store/records.h"

namespace curfew::broker {

// What a token made at auth/token/create/<role> may and must be.
struct TokenRole {
  std::string name;
  std::vector<std::string> allowed_policies;
  std::vector<std::string> allowed_policies_glob;
  std::vector<std::string> disallowed_policies;
  std::vector<std::string> disallowed_policies_glob;
  std::vector<std::string> bound_cidrs;
  std::vector<std::string> allowed_entity_aliases;  // lower case, with globs
  std::string path_suffix;
  std::string token_type = "default-service";  // service, batch, default-service, default-batch
  Millis explicit_max_ttl{0};
  Millis period{0};
  std::int64_t num_uses = 0;
  bool orphan = false;
  bool renewable = true;
  bool no_default_policy = false;

  // Whether it says anything about policies.
  bool bounds_policies() const {
    return !allowed_policies.empty() || !allowed_policies_glob.empty() ||
           !disallowed_policies.empty() || !disallowed_policies_glob.empty();
  }
};

// Applies the members of a write to `role`, which holds what was stored before or the defaults.
// kInvalidArgument names the member.
Status apply_fields(const Json& data, TokenRole& role);

Json to_api(const TokenRole& role);

// The policies of a token made under this role. `asked`: lower case; empty means the role's own.
// kInvalidArgument says which one the role does not allow.
Result<std::vector<std::string>> policies_under(const TokenRole& role,
                                                std::vector<std::string> asked);

// The token roles in the store. Thread-safe.
class TokenRoles {
 public:
  TokenRoles(store::Database& database, const store::Records& records);

  Result<std::optional<TokenRole>> get(const std::string& name) const;
  Status put(const TokenRole& role);
  Status remove(const std::string& name);
  Result<std::vector<std::string>> names() const;

 private:
  store::Database& database_;
  const store::Records& records_;
};

}  // namespace curfew::broker
