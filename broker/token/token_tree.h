#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/sql.h"

namespace curfew::broker {

// The row ids of a token and of all below it, in their namespace. Found by their plain columns.
Result<std::vector<std::string>> token_tree(const store::Reader& reader,
                                            const std::string& name_space, const std::string& id);

}  // namespace curfew::broker
