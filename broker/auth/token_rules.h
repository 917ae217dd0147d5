#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/route.h"

namespace curfew::broker {

// What the role of an auth method says about the tokens that it gives: Vault's token_* fields.
struct TokenRules {
  std::vector<std::string> policies;     // lower case
  std::vector<std::string> bound_cidrs;  // empty: usable from anywhere
  Millis ttl{0};                         // 0: the mount's
  Millis max_ttl{0};                     // 0: the mount's
  Millis explicit_max_ttl{0};            // 0: none
  Millis period{0};
  std::int64_t num_uses = 0;  // 0: any number
  bool no_default_policy = false;
  bool bind_address = false;      // only from the address that logged in
  bool bind_certificate = false;  // only over connections that show the certificate of the login
  std::string type = "default";   // "service", "batch", or "default": what the mount says
};

// Applies the members token_ttl, token_policies, … of a write; those that are absent stay.
// kInvalidArgument names the member.
Status apply_fields(const Json& data, TokenRules& rules);

// Adds the members to what a read of a role answers.
void add_to_api(const TokenRules& rules, Json& data);

Json to_stored(const TokenRules& rules);
TokenRules token_rules_from_stored(const Json& stored);

// The members, for the API description.
std::vector<FieldSpec> token_rules_fields();

}  // namespace curfew::broker
