#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "broker/identity/entity.h"

// What names, policies and metadata of identities may be. All errors are kInvalidArgument and say
// what was wrong. Pure; thread-safe.
namespace curfew::broker {

Error invalid_identity(std::string message);

// 1 to 512 bytes of UTF-8 without control characters. `what`: "entity name", for the message.
Status check_identity_name(std::string_view what, std::string_view name);

// An agent's name stands in paths, comments and commands: letters, digits, '.', '-', '_', neither
// '-' nor '.' at its ends; at most 128 bytes.
Status check_agent_name(std::string_view name);

// Lower case, sorted, without repeats. Not "root".
Result<std::vector<std::string>> checked_policies(std::vector<std::string> policies);

// At most 64 keys of letters, digits and "=/+_-", 128 bytes; values of at most 512 bytes.
Status check_identity_metadata(const IdentityMetadata& metadata);

// Bounds and forms of what an agent may do.
Status check_agent_record(const AgentRecord& agent);

// Free text that a person reads: bounded, UTF-8, no control characters.
Status check_identity_text(std::string_view field, std::string_view text, std::size_t bytes_max);

}  // namespace curfew::broker
