#pragma once

#include <string>
#include <string_view>

namespace curfew {

// Raw digests (32 bytes). Thread-safe.
std::string sha256(std::string_view data);
std::string hmac_sha256(std::string_view key, std::string_view data);

// RFC 8018 PBKDF2 with HMAC-SHA-256, 32 bytes. REQUIRES: iterations > 0. About 0.27 ms for 1,000
// rounds.
std::string pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations);

}  // namespace curfew
