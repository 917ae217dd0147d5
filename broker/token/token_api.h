#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "base/secret.h"
#include "broker/request.h"
#include "broker/token/token.h"
#include "broker/token/token_roles.h"

// How tokens look to clients.
namespace curfew::broker {

// "auth" of an answer that hands out or renews a token.
Auth auth_of(const Token& token, const Secret& secret, Millis lease_duration);

// Adds the policies that come from the entity behind a token.
void add_identity_policies(const std::vector<std::string>& policies, Auth& auth);

// "data" of a lookup. `secret`: nullptr where the token itself is not known (by accessor).
Json lookup_data(const Token& token, const Secret* secret, WallTime now);

// What a child token may have of policies.
struct PolicyBounds {
  std::vector<std::string> held;    // those that it may have
  std::vector<std::string> usual;   // those that it gets where none are asked for
  const TokenRole* role = nullptr;  // where its lists decide, `held` does not
  bool any = false;                 // whatever is asked for (sudo)
  bool strict = false;              // never more than `held`, whatever role and sudo say
  bool of_root = false;             // a root token makes it
};

// The policies of a child token: those asked for, or the usual ones. kInvalidArgument says which is
// not allowed.
Result<std::vector<std::string>> child_policies(const PolicyBounds& bounds, const Fields& fields);

// kInvalidArgument: a name that no policy can have, or one that no token can be given.
Status check_policy_names(const std::vector<std::string>& names);

std::vector<FieldSpec> token_create_fields();
std::vector<FieldSpec> token_role_fields();

}  // namespace curfew::broker
