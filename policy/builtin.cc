#include "policy/builtin.h"

namespace curfew::policy {

std::shared_ptr<const Policy> root_policy() {
  auto policy = std::make_shared<Policy>();
  policy->name = "root";
  policy->is_root = true;
  return policy;
}

std::string_view default_policy_text() {
  return R"(# Every token has this policy, unless it was made without. Change it as you like;
# it cannot be deleted.

# The token itself: what it is, making it last longer, giving it up.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# What it may do.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# The entity behind it.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Leases whose ids it knows. The first path is an older name of the second.
path "sys/renew" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}

# A place of its own for values, which ends with the token.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrapped responses.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashes of data that it brings along.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

# Requests that wait for approval: one's own, and those that one may decide. Who may see and decide
# which is no matter of policies.
path "sys/control-group/request" {
  capabilities = ["update"]
}
path "sys/control-group/request/+" {
  capabilities = ["read"]
}
path "sys/approvals" {
  capabilities = ["create", "update", "read", "list"]
}
path "sys/approvals/+" {
  capabilities = ["read"]
}
path "sys/approvals/+/+" {
  capabilities = ["read", "update"]
}
)";
}

std::string_view response_wrapping_policy_text() {
  return R"(path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
)";
}

std::string_view control_group_policy_text() {
  return R"(path "cubbyhole/control-group" {
  capabilities = ["create", "read", "update", "delete"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
)";
}

}  // namespace curfew::policy
