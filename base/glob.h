#pragma once

#include <string_view>

namespace curfew {

// Matches `text` against `pattern`, in which '*' stands for any run of characters, also an empty
// one. Linear in the product of the lengths at worst; no recursion.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace curfew
