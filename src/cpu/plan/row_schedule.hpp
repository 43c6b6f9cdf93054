#pragma once
#include <algorithm>
#include <cstdint>

#include "cpu/plan/schedule.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar::cpu {

/// Rows of a batch, at most.
inline constexpr std::int64_t kMostBatchRows = 64;

/// Rows whose column sums are added by themselves before they go to their tile's, at most; a power of two.
inline constexpr std::int64_t kMostFastRows = 32;

/// Tiles of rows whose column sums are added together. Tiles are merged in a fixed tree, so this fixes the bits. It is
/// a function of the extent alone, never of threads or caches.
struct RowTiling {
  RowExtent extent;
  std::int64_t tile_rows;
  std::int64_t tiles;

  [[nodiscard]] std::int64_t begin(std::int64_t tile) const noexcept { return tile * tile_rows; }
  [[nodiscard]] std::int64_t end(std::int64_t tile) const noexcept { return std::min(begin(tile + 1), extent.rows); }
};

/// How layer and RMS normalization walk memory. A batch of rows goes through all passes while it is in the cache.
struct RowSchedule {
  RowTiling tiling;
  std::int64_t batch_rows;
  int threads;
  kernels::Access access;  ///< of the last pass, which prefetches the next batch
};

/// A pure function, like make_schedule. `extent` is checked.
RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input) noexcept;

}  // namespace unitvar::cpu
