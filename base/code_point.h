#pragma once

#include <cstdint>
#include <string_view>

namespace curfew {

// The code point at the start of a text and its length in bytes; length 0: not valid UTF-8.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;
};

// REQUIRES: `text` is not empty
CodePoint first_code_point(std::string_view text);

// Whether a screen shows something else than what is there because of it: control characters, line
// breaks, what changes the direction of text, and what cannot be seen.
bool misleads(std::uint32_t code_point);

}  // namespace curfew
