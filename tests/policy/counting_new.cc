#include "tests/policy/counting_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

// In a file of its own: where these are inlined, the compiler takes new and free for a mismatch.
namespace {
std::atomic<std::size_t> count{0};
}  // namespace

namespace curfew::tests {
std::size_t allocation_count() {
  return count.load();
}
}  // namespace curfew::tests

void* operator new(std::size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
