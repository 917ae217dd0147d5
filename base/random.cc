#include "base/random.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "base/encoding.h"

namespace curfew {

void SystemRandom::fill(std::span<std::byte> out) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) != 1)
    std::abort();
}

std::string random_bytes(Random& random, std::size_t length) {
  std::string out(length, '\0');
  random.fill(std::as_writable_bytes(std::span(out.data(), out.size())));
  return out;
}

std::uint32_t random_below(Random& random, std::uint32_t bound) {
  // Reject the values of the last, incomplete run of `bound` numbers.
  const std::uint64_t limit = (std::uint64_t{1} << 32) / bound * bound;
  for (;;) {
    std::uint32_t value = 0;
    random.fill(std::as_writable_bytes(std::span(&value, 1)));
    if (value < limit) return value % bound;
  }
}

std::string random_text(Random& random, std::string_view alphabet, std::size_t length) {
  const std::size_t limit = 256 / alphabet.size() * alphabet.size();
  std::string out;
  out.reserve(length);
  std::array<unsigned char, 64> pool{};
  while (out.size() < length) {
    random.fill(std::as_writable_bytes(std::span(pool)));
    for (unsigned char byte : pool) {
      if (byte < limit && out.size() < length) out += alphabet[byte % alphabet.size()];
    }
  }
  // What is drawn may become a password.
  OPENSSL_cleanse(pool.data(), pool.size());
  return out;
}

std::string random_base62(Random& random, std::size_t length) {
  return random_text(random, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                     length);
}

std::string random_uuid(Random& random) {
  std::string bytes = random_bytes(random, 16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string hex = hex_encode(bytes);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

}  // namespace curfew
