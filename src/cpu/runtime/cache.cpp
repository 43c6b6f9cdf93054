#include "cpu/runtime/cache.hpp"

#include <unistd.h>

#include <fstream>
#include <new>
#include <string>

namespace unitvar::cpu {
namespace {

#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
std::int64_t ask(int name, std::int64_t fallback) noexcept {
  const long size = sysconf(name);
  return size > 0 ? size : fallback;
}
std::int64_t l1() noexcept { return ask(_SC_LEVEL1_DCACHE_SIZE, 32 << 10); }
std::int64_t l2() noexcept { return ask(_SC_LEVEL2_CACHE_SIZE, 1 << 20); }
#else
std::int64_t l1() noexcept { return 32 << 10; }
std::int64_t l2() noexcept { return 1 << 20; }
#endif

/// Of the L3 that the first processor uses, from Linux. The C library gives the sum of all L3s of an AMD processor.
std::int64_t l3() noexcept try {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index3/";
  int level = 0;
  std::int64_t kib = 0;
  char unit = 0;
  if (!(std::ifstream(folder + "level") >> level) || level != 3) return 0;
  if (!(std::ifstream(folder + "size") >> kib >> unit) || unit != 'K' || kib < 0) return 0;
  return kib << 10;
} catch (const std::bad_alloc&) {
  return 0;
}

}  // namespace

CacheSizes cache_sizes() noexcept {
  static const CacheSizes sizes{l1(), l2(), l3()};
  return sizes;
}

}  // namespace unitvar::cpu
