#pragma once
#include <cstdint>
#include <string>

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
  std::int64_t group_channels = 1;  ///< a block holds whole groups of so many consecutive channels
  std::int64_t sub_batches = 1;     ///< tensors of this extent, one behind the other
  std::int64_t tensor_bytes = 0;    ///< of the tensor that they are a part of; 0 if they are the whole
};

/// Threads that work on tensors of so many elements each: 1 for small work.
int threads_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// Bytes of the largest result that is stored as usual.
std::int64_t largest_cached_result(const CacheSizes& cache, std::int64_t tensors_read) noexcept;

/// Non-temporal stores if the result would not stay in the caches until it is read.
kernels::Stores stores_for(std::int64_t elements, const ScheduleInput& input) noexcept;

/// Whether threads that take so many equal units are all busy to the end: none has more than 1.1 times the mean.
bool shares_evenly(std::int64_t units, int threads) noexcept;

/// How the phases walk memory. A *part* is a channel of a sub-batch; parts are counted channel by channel, sub-batch by
/// sub-batch. Both passes go over one *block* of parts before the next. Threads take blocks of their own, or share
/// every block tile by tile: shares.hpp says who takes what. Changes speed, never bits.
struct Schedule {
  Tiling tiling;               ///< of a sub-batch
  std::int64_t sub_batches;    ///< 1, but for partitions
  Walk walk;                   ///< resident: a block's second pass finds it in the caches
  int threads;                 ///< 1 for small work
  bool together;               ///< threads share every block, and wait for each other between the passes
  std::int64_t block_parts;    ///< channels of one sub-batch, or those of several whole ones; the last may have fewer
  std::int64_t run_channels;   ///< of a work item, at most
  std::int64_t cell_channels;  ///< a thread's share of a block is a multiple of so many channels of a tile
  /// Channels that stay together, such as a group: in a thread's share of the tensor, if it has blocks of its own, and
  /// where channels are merged.
  std::int64_t share_channels;
  std::int64_t counted_rows;  ///< of the tiles that PrecisionCounts counts: those of the sums
  kernels::Access access;     ///< of the second pass

  [[nodiscard]] std::int64_t channels() const noexcept { return tiling.extent.channels; }
  [[nodiscard]] std::int64_t parts() const noexcept { return sub_batches * channels(); }
};

/// A pure function: it asks neither clock nor machine, and keeps no state. `extent` is checked.
Schedule make_schedule(const Extent& extent, const ScheduleInput& input) noexcept;

/// "; streaming stores; 2 threads".
std::string describe(kernels::Stores stores, int threads);

/// One line for people: "planar: 64 channels of 50 rows x 3136; resident, blocks of 1 channels x 50 tiles of ...".
/// Without sums there is one pass, which finds each element where the call finds it: "resident, one pass over 64
/// channels x ...".
std::string describe(const Schedule& schedule, bool has_sums = true);

}  // namespace unitvar::cpu
