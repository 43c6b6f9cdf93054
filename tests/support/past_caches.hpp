#pragma once
#include <cstdint>

#include "cpu/runtime/cache.hpp"

namespace unitvar::test {

/// As many elements as make a result that is written past the caches: more than four second-level caches.
template <class T>
std::int64_t past_caches() {
  return 9 * cpu::cache_sizes().l2 / 2 / static_cast<std::int64_t>(sizeof(T));
}

}  // namespace unitvar::test
