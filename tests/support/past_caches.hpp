#pragma once
#include <cstdint>

#include "cpu/plan/schedule.hpp"

namespace unitvar::test {

/// As many elements as make a result that is written past the caches: a little more than the largest that stays there.
template <class T>
std::int64_t past_caches() {
  return cpu::largest_cached_result(cpu::cache_sizes(), 1) / 8 * 9 / static_cast<std::int64_t>(sizeof(T));
}

}  // namespace unitvar::test
