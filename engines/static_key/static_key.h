#pragma once

#include <memory>

#include "engines/engine.h"

namespace curfew::engines {

// API keys and other secrets that exist outside of Curfew and cannot be made anew for every caller,
// handed out on lease. The mount takes no options; never fails.
Result<std::unique_ptr<SecretEngine>> make_static_key(Services services);

}  // namespace curfew::engines
