#pragma once

#include <optional>

#include "base/result.h"
#include "base/secret.h"
#include "broker/token/token.h"
#include "store/barrier.h"

// Batch tokens: all that the token is, sealed by the namespace's keys. Nothing of them
// is stored, so they cost no write, and nothing but their time or the end of the token above them
// ends them.
namespace curfew::broker {

// Whether it has the form of one.
bool is_batch_token(const Secret& token);

// The token itself; `token`: what it is, without id and accessor. kInvalidArgument: it would be
// longer than clients can be expected to send.
Result<Secret> seal_batch_token(const store::Barrier& barrier, const Token& token);

// nullopt: not one of this namespace's, or not byte for byte what was given out. Expired ones are
// opened as well. kSealed: the keys are not in memory.
Result<std::optional<Token>> open_batch_token(const store::Barrier& barrier, const Secret& token);

}  // namespace curfew::broker
