#pragma once

#include <memory>
#include <string_view>

#include "policy/policy.h"

namespace curfew::policy {

// Grants everything; has no text.
std::shared_ptr<const Policy> root_policy();

// What a new broker starts with as the policy "default", which tokens have unless they opt out:
// what a token may do with itself, its own leases, its cubbyhole and wrapped responses.
std::string_view default_policy_text();

// Of the single-use tokens behind wrapped responses.
std::string_view response_wrapping_policy_text();

// Of the tokens behind requests that wait for approval.
std::string_view control_group_policy_text();

}  // namespace curfew::policy
