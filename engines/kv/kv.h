#pragma once

#include <memory>

#include "engines/engine.h"

namespace curfew::engines {

// The key-value store that clients know as "kv". The mount's option "version" chooses the layout:
// "1" (also when absent) keeps one map under each path, "2" keeps numbered versions of it.
//
// kInvalidArgument: an unknown version, or one that does not fit what the mount already holds (the
// two layouts are not converted into each other). Errors of the storage are passed on.
Result<std::unique_ptr<SecretEngine>> make_kv(Services services);

}  // namespace curfew::engines
