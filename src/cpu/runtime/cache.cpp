#include "cpu/runtime/cache.hpp"

#include <unistd.h>

namespace unitvar::cpu {
namespace {

#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
std::int64_t ask(int name, std::int64_t fallback) noexcept {
  const long size = sysconf(name);
  return size > 0 ? size : fallback;
}
CacheSizes measure() noexcept { return {ask(_SC_LEVEL1_DCACHE_SIZE, 32 << 10), ask(_SC_LEVEL2_CACHE_SIZE, 1 << 20)}; }
#else
CacheSizes measure() noexcept { return {32 << 10, 1 << 20}; }
#endif

}  // namespace

CacheSizes cache_sizes() noexcept {
  static const CacheSizes sizes = measure();
  return sizes;
}

}  // namespace unitvar::cpu
