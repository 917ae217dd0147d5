#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace curfew {

// Lower-case hexadecimal.
std::string hex_encode(std::string_view bytes);

// Either case; nullopt for an odd length or a foreign character.
std::optional<std::string> hex_decode(std::string_view text);

// RFC 4648 section 4, with padding.
std::string base64_encode(std::string_view bytes);

// Accepts the standard and the URL-safe alphabet, with the whole padding or none; nullopt for
// everything else, also where bits are set that belong to no byte.
std::optional<std::string> base64_decode(std::string_view text);

// %XX and nothing else ('+' stays a plus); nullopt for a malformed escape.
std::optional<std::string> percent_decode(std::string_view text);

// Escapes everything but RFC 3986's unreserved characters.
std::string percent_encode(std::string_view text);

}  // namespace curfew
