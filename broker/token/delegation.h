#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/route.h"
#include "broker/backend.h"
#include "broker/identity/identity_service.h"
#include "broker/mount/token_mount.h"
#include "broker/token/token_api.h"
#include "broker/token/token_roles.h"
#include "broker/token/token_service.h"

namespace curfew::broker {

// For whom a token is that another token makes: the same as before; an agent, on behalf of the
// human who makes it; a child task of the calling agent; or the entity of an alias that a token
// role allows. And what it may have of policies and leases. Thread-safe.
class Delegation {
 public:
  // Both outlive this object.
  Delegation(IdentityService& identities, const TokenMount& mount)
      : identities_(identities), mount_(mount) {}

  // Fills in who `spec` stands for, its policies and its budgets, from the members of the call.
  // `spec` has its parent and its type already. `sudo`: the caller has it at this path.
  // kInvalidArgument, kPermissionDenied: what is not allowed, and why.
  Status apply(const BackendCall& call, const TokenRole* role, bool sudo, TokenSpec& spec) const;

 private:
  Status name_agent(const BackendCall& call, const std::string& name, bool sudo,
                    TokenSpec& spec) const;
  Status name_human(const BackendCall& call, bool is_owner, bool sudo, TokenSpec& spec) const;
  Status name_task(const BackendCall& call, const std::string& name, TokenSpec& spec) const;
  Status name_alias(const BackendCall& call, const std::string& alias, const TokenRole* role,
                    TokenSpec& spec) const;
  Result<bool> answers_for(const Standing& human, const Entity& agent) const;
  Result<std::optional<EntityView>> find(const std::string& text) const;

  IdentityService& identities_;
  const TokenMount& mount_;
};

}  // namespace curfew::broker
