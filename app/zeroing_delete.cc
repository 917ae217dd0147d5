// Replaces the global delete: whatever the program frees is zeroed first. Request bodies, JSON
// values, strings that grew and moved: none of them leaves a secret behind in free memory.
// Sanitizers bring an allocator of their own, which this would hide from them.
#ifndef CURFEW_SANITIZED

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace {

void zero_and_free(void* block) noexcept {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) {
  for (;;) {
    if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void operator delete(void* block) noexcept {
  zero_and_free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  zero_and_free(block);
}

#endif  // CURFEW_SANITIZED
