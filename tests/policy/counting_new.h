#pragma once

#include <cstddef>

namespace curfew::tests {

// How often this program has called operator new. Whoever links counting_new.cc is counted.
std::size_t allocation_count();

}  // namespace curfew::tests
