#pragma once
#include <cstdint>
#include <string>

#include "core/cache.hpp"
#include "kernels/kernels.hpp"
#include "norm/tiling.hpp"
#include "unitvar/options.hpp"

namespace unitvar::norm {

/// What the schedule is made from, beside the extent.
struct ScheduleInput {
  std::int64_t bytes_per_element;
  std::int64_t tensors_read;  ///< tensors that the first pass reads and the second reads again: 1 forward, 2 backward
  core::CacheSizes cache;
  int threads;  ///< at most this many
  Walk walk = Walk::automatic;
};

/// Threads that work on tensors of so many elements each: 1 for small work.
int threads_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// Past the caches if the result is much larger than them.
kernels::Stores stores_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// How the phases walk memory. The tensor is a grid of cells, (block of channels) x (tile); resident finishes one
/// block after the other, streamed passes over all cells. Changes speed, never bits.
struct Schedule {
  Tiling tiling;
  Walk walk;                    ///< resident or streamed
  int threads;                  ///< 1 for small work
  std::int64_t block_channels;  ///< channels of a cell; the last block may have fewer
  std::int64_t blocks;
  kernels::Access access;  ///< of the second pass

  [[nodiscard]] std::int64_t cells() const noexcept { return blocks * tiling.tiles(); }
};

/// A pure function: no clock, no machine, no global state. `extent` is checked.
Schedule make_schedule(const Extent& extent, const ScheduleInput& input) noexcept;

/// One line for people: "interleaved 1568 x 2048, resident, 43 blocks of 48 channels, 7 tiles of 256 rows x ...".
std::string describe(const Schedule& schedule);

}  // namespace unitvar::norm
