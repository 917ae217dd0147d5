#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace curfew::store {

inline constexpr std::size_t kAeadKeyBytes = 32;
inline constexpr std::size_t kAeadNonceBytes = 12;
inline constexpr std::size_t kAeadTagBytes = 16;
inline constexpr std::size_t kAeadTextBytesMax = 64 * 1024 * 1024;

// AES-256-GCM. Gives nonce, ciphertext and tag in one string; the nonce comes from `random`, so
// that one key must not seal more than 2^32 texts. kTooLarge: more than kAeadTextBytesMax.
// REQUIRES: key.size() == kAeadKeyBytes. Thread-safe; the key does not stay in memory.
Result<std::string> aead_seal(std::string_view key, Random& random, std::string_view associated,
                              std::string_view plaintext);

// The plaintext of what aead_seal() gave. kCorrupt: the key, the associated data or the bytes are
// not those that were sealed. REQUIRES: key.size() == kAeadKeyBytes. Thread-safe.
Result<std::string> aead_open(std::string_view key, std::string_view associated,
                              std::string_view sealed);

}  // namespace curfew::store
