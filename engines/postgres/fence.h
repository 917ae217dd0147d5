#pragma once

#include <string>

#include "base/result.h"

namespace curfew::engines::postgres {

// A statement that fails, by the server's own clock (seconds since 1970), when it runs after the
// deadline. In front of a COMMIT it keeps a transaction that nobody waits for any more from taking
// effect later.
std::string deadline_fence(double server_deadline);

// Whether it was the fence that failed: certainly nothing happened.
bool failed_at_fence(const Error& error);

}  // namespace curfew::engines::postgres
