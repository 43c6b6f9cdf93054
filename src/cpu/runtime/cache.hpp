#pragma once
#include <cstdint>

namespace unitvar::cpu {

/// Data cache sizes in bytes, as the schedule wants them.
struct CacheSizes {
  std::int64_t l1;      ///< per core
  std::int64_t l2;      ///< per core
  std::int64_t l3 = 0;  ///< shared; 0 where it is not known
};

/// Those of this machine, asked once from the operating system; 32 KiB, 1 MiB and 0 where it does not say.
CacheSizes cache_sizes() noexcept;

}  // namespace unitvar::cpu
