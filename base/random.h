#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace curfew {

// A source of unpredictable bytes. Thread-safe. Never fails: the system's implementation aborts the
// process if the kernel cannot deliver entropy, because going on would issue guessable
// credentials. Tests pass a seeded one.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::byte> out) = 0;
};

// OpenSSL's generator.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override;
};

// `length` raw bytes.
std::string random_bytes(Random& random, std::size_t length);

// A number in [0, bound) without bias (rejection sampling). REQUIRES: bound > 0.
std::uint32_t random_below(Random& random, std::uint32_t bound);

// `length` characters drawn uniformly from `alphabet`. REQUIRES: 1 <= alphabet.size() <= 256.
std::string random_text(Random& random, std::string_view alphabet, std::size_t length);

// [0-9A-Za-z], 5.95 bits a character: identifiers of leases, tokens, accessors.
std::string random_base62(Random& random, std::size_t length);

// A version 4 UUID (RFC 9562), lower case.
std::string random_uuid(Random& random);

}  // namespace curfew
