#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/sql.h"

namespace curfew::broker {

// The row ids of a token and of all below it. Found by their plain columns.
Result<std::vector<std::string>> token_tree(const store::Reader& reader, const std::string& id);

}  // namespace curfew::broker
