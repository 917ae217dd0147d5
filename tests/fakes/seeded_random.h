#pragma once

#include <cstdint>
#include <mutex>

#include "base/random.h"

namespace curfew::fakes {

// Predictable bytes (splitmix64): the same seed, the same bytes. Thread-safe.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed = 1) : state_(seed) {}
  void fill(std::span<std::byte> out) override;

 private:
  std::mutex mutex_;
  std::uint64_t state_;
};

}  // namespace curfew::fakes
