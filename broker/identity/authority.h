#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "broker/identity/identities.h"
#include "broker/policy/policy_store.h"
#include "broker/token/token.h"
#include "policy/rights.h"

namespace curfew::broker {

// Who stands behind a token at this moment, and what the token may do.
struct Authority {
  std::shared_ptr<const policy::Rights> rights;
  std::shared_ptr<const Standing> standing;   // nullptr: the token belongs to no entity
  std::shared_ptr<const Standing> principal;  // the human that an agent acts for; nullptr: none
};

// Puts together what a token may do: what its own policies and its entity's allow (of a sub-agent
// its own alone, within those of the agent), of that what an agent's ceiling allows, and of that
// what the human it acts for may do. Thread-safe.
class Authorities {
 public:
  Authorities(const PolicyStore& policies, const Identities& identities)
      : policies_(policies), identities_(identities) {}

  // kPermissionDenied: the entity behind the token, or the human that it acts for, is disabled or
  // gone. Errors of the policies: what cannot be read grants nothing.
  // `below`: the path of the namespace that the token is used in, from its own on; "" is its own.
  Result<Authority> of(const Token& token, const std::string& below = {}) const;

 private:
  Result<std::shared_ptr<const Standing>> standing_of(const std::string& entity_id) const;

  const PolicyStore& policies_;
  const Identities& identities_;
};

}  // namespace curfew::broker
