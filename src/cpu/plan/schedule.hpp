#pragma once
#include <cstdint>
#include <string>

#include "core/divide_up.hpp"
#include "cpu/kernels/kernels.hpp"
#include "cpu/plan/tiling.hpp"
#include "cpu/runtime/cache.hpp"
#include "unitvar/options.hpp"

namespace unitvar::cpu {

/// What the schedule is made from, beside the extent.
struct ScheduleInput {
  std::int64_t bytes_per_element;
  std::int64_t tensors_read;  ///< tensors that the first pass reads and the second reads again: 1 forward, 2 backward
  CacheSizes cache;
  int threads;  ///< at most this many
  Walk walk = Walk::automatic;
  bool weighted = false;            ///< see make_tiling
  bool has_bits = false;            ///< there is a mask: blocks of columns end where a byte of it ends
  std::int64_t group_channels = 1;  ///< a resident block holds whole groups of so many consecutive channels
  std::int64_t tensor_bytes = 0;    ///< of the tensor that the extent is a part of; 0 if it is the whole
};

/// Threads that work on tensors of so many elements each: 1 for small work.
int threads_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// Non-temporal stores if the result is much larger than the caches.
kernels::Stores stores_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// How the phases walk memory. The tensor is a grid of items, (run of channels) x (tile). A resident walk finishes one
/// block of channels after the other. A streamed walk passes over all items twice. Changes speed, never bits.
struct Schedule {
  Tiling tiling;
  Walk walk;                    ///< resident or streamed
  int threads;                  ///< 1 for small work
  std::int64_t block_channels;  ///< channels that are merged together; the last block may have fewer
  std::int64_t blocks;
  kernels::Access access;  ///< of the second pass
  /// Channels of a work item: those of the block, unless a group is larger than a work item can be.
  std::int64_t run_channels;

  /// Runs of a block; the last block may have fewer.
  [[nodiscard]] std::int64_t runs() const noexcept { return core::divide_up(block_channels, run_channels); }
  [[nodiscard]] std::int64_t items() const noexcept { return blocks * runs() * tiling.tiles(); }
};

/// A pure function: it asks neither clock nor machine, and keeps no state. `extent` is checked.
Schedule make_schedule(const Extent& extent, const ScheduleInput& input) noexcept;

/// One line for people: "interleaved 1568 x 2048, resident, 43 blocks of 48 channels, 7 tiles of 256 rows x ...".
std::string describe(const Schedule& schedule);

}  // namespace unitvar::cpu
