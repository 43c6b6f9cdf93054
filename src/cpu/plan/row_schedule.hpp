#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "cpu/plan/schedule.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar::cpu {

/// Rows of a batch, at most.
inline constexpr std::int64_t kMostBatchRows = 64;

/// Rows whose column sums 16 bits' arithmetic can add, at most; a power of two.
inline constexpr std::int64_t kMostFastRows = 32;

/// Tiles of rows whose column sums are added together. Tiles are merged in a fixed tree (column_sums.hpp), so this
/// fixes the bits. It is a function of the extent alone, never of threads or caches.
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
  std::int64_t share_rows;  ///< a thread's share is a multiple of so many: with column sums, a tile
  int threads;
  kernels::Access access;  ///< of the last pass, which prefetches the next batch
};

/// A pure function, like make_schedule. `extent` is checked. The forward adds up no columns.
RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input, bool has_columns) noexcept;

/// Rows of the thread that has most, over the mean of all.
double largest_share(const RowSchedule& schedule) noexcept;

/// One line for people.
std::string describe(const RowSchedule& schedule);

}  // namespace unitvar::cpu
