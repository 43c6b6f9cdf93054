#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/workspace.hpp"
#include "cpu/phases/tile_phases.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {

/// The order of a pass over memory.
enum class Order { ascending, descending };

/// Walks the items of a schedule: a first pass that reduces each item to a pair of numbers per channel, a merge per
/// block of channels, and a second pass over the items. A resident walk takes the second pass of one block together
/// with the first of the next, so that memory is read and written all the time; a streamed one goes back in reverse, so
/// that what was read last is read first. Owns the memory for the pairs; allocates once, before any thread starts.
template <class T>
class Traversal {
 public:
  explicit Traversal(const Schedule& schedule)
      : s_(schedule),
        last_(s_.tiling.extent.channels),
        scratch_bytes_(TilePhases<T>::scratch_bytes(s_.tiling, s_.run_channels)),
        slab_doubles_(slab_doubles(s_)),
        pairs_(static_cast<std::size_t>(slabs() * slab_doubles_) * sizeof(double)),
        scratch_(static_cast<std::size_t>(std::int64_t{2} * s_.threads * scratch_bytes_)) {}

  /// What follows is of channels [begin, end) alone. Not for groups of channels.
  void select(std::int64_t begin, std::int64_t end) noexcept {
    first_ = begin;
    last_ = end;
  }

  /// First pass and merge for all channels. reduce(item, pair) fills a pair of arrays with the item's own numbers;
  /// merge(begin, end, leaf) makes the channels' result from leaf(t), the pair of tile t.
  template <class Reduce, class Merge>
  void reduce(const Reduce& reduce_item, const Merge& merge_block) {
    if (s_.walk == Walk::resident) {
      cpu::parallel_for(s_.threads, blocks(), [&](std::int64_t block, int thread) {
        reduce_block(block, thread, reduce_item);
        merge(block, slab(block, thread), merge_block);
      });
      return;
    }
    cpu::parallel_for(s_.threads, items(), [&](std::int64_t index, int thread) {
      const auto [block, run, t] = position(index);
      if (run < runs(block)) reduce_item(item(block, run, t, thread), pair(block, run, t));
    });
    cpu::parallel_for(s_.threads, blocks(), [&](std::int64_t block, int) { merge(block, block, merge_block); });
  }

  /// Second pass alone, over all items.
  template <class Apply>
  void apply(const Apply& apply_item, Order order = Order::ascending) {
    const std::int64_t last = items() - 1;
    cpu::parallel_for(
        s_.threads, items(),
        [&](std::int64_t index, int thread) {
          const auto [block, run, t] = position(order == Order::ascending ? index : last - index);
          if (run < runs(block)) apply_item(item(block, run, t, thread));
        },
        kernels::finish_stores);
  }

  /// Both passes. `check` runs between them if the walk is streamed, before anything is written; it may throw.
  /// apply_and_reduce(item, next, pair) applies a work item and reduces another.
  template <class Reduce, class Merge, class Check, class Apply, class Both>
  void reduce_and_apply(const Reduce& reduce_item, const Merge& merge_block, const Check& check,
                        const Apply& apply_item, const Both& apply_and_reduce) {
    if (s_.walk == Walk::streamed) {
      reduce(reduce_item, merge_block);
      check();
      apply(apply_item, Order::descending);
      return;
    }
    cpu::parallel_ranges(s_.threads, blocks(), [&](std::int64_t begin, std::int64_t end, int thread) {
      if (begin < end) reduce_block(begin, thread, reduce_item);
      for (std::int64_t block = begin; block < end; ++block) {
        merge(block, slab(block, thread), merge_block);
        const std::int64_t next_runs = block + 1 < end ? runs(block + 1) : 0;
        for_items(block, [&](std::int64_t run, std::int64_t t) {
          if (run < next_runs) {
            apply_and_reduce(item(block, run, t, thread), item(block + 1, run, t, thread),
                             pair(slab(block + 1, thread), run, t));
          } else {
            apply_item(item(block, run, t, thread));
          }
        });
      }
      kernels::finish_stores();
    });
  }

 private:
  struct Position {
    std::int64_t block, run, tile;
  };

  /// TilePhases in the order of memory: rows of tiles, then runs of channels, then the tiles that share their rows.
  [[nodiscard]] Position position(std::int64_t index) const noexcept {
    const std::int64_t col_tiles = s_.tiling.col_tiles, all_runs = blocks() * s_.runs();
    const std::int64_t run = index / col_tiles % all_runs;
    return {run / s_.runs(), run % s_.runs(), index / (col_tiles * all_runs) * col_tiles + index % col_tiles};
  }

  [[nodiscard]] std::int64_t blocks() const noexcept {
    return (last_ - first_ + s_.block_channels - 1) / s_.block_channels;
  }
  [[nodiscard]] std::int64_t items() const noexcept { return blocks() * s_.runs() * s_.tiling.tiles(); }

  /// The channels of a block begin at begin_of(block) and end at begin_of(block + 1).
  [[nodiscard]] std::int64_t begin_of(std::int64_t block) const noexcept {
    return std::min(first_ + block * s_.block_channels, last_);
  }
  /// Runs of this block: the last block may have fewer than the others.
  [[nodiscard]] std::int64_t runs(std::int64_t block) const noexcept {
    return (begin_of(block + 1) - begin_of(block) + s_.run_channels - 1) / s_.run_channels;
  }

  [[nodiscard]] WorkItem item(std::int64_t block, std::int64_t run, std::int64_t t, int thread) const noexcept {
    const std::int64_t begin = begin_of(block) + run * s_.run_channels;
    return {begin, std::min(begin + s_.run_channels, begin_of(block + 1)), t, s_.tiling.tile(t),
            scratch_.template as<std::byte>() + (std::int64_t{2} * thread + block % 2) * scratch_bytes_};
  }

  /// Calls f(run, t) for the items of a block.
  template <class F>
  void for_items(std::int64_t block, const F& f) const {
    for (std::int64_t run = 0; run < runs(block); ++run) {
      for (std::int64_t t = 0; t < s_.tiling.tiles(); ++t) f(run, t);
    }
  }

  /// Threads that write their slabs at the same time do so on cache lines of their own.
  static std::int64_t slab_doubles(const Schedule& s) noexcept {
    const std::int64_t pairs = 2 * s.tiling.tiles() * s.block_channels;
    return s.walk == Walk::resident ? (pairs + 31) / 16 * 16 : pairs;
  }

  /// Pairs of all tiles of one block: two slabs per thread if resident, one per block if streamed.
  [[nodiscard]] std::int64_t slabs() const noexcept {
    return s_.walk == Walk::resident ? std::int64_t{2} * s_.threads : s_.blocks;
  }
  [[nodiscard]] static std::int64_t slab(std::int64_t block, int thread) noexcept {
    return std::int64_t{2} * thread + block % 2;
  }

  [[nodiscard]] math::ChannelPairs pair(std::int64_t slab, std::int64_t run, std::int64_t t) const noexcept {
    double* first =
        pairs_.template as<double>() + slab * slab_doubles_ + 2 * t * s_.block_channels + run * s_.run_channels;
    return {first, first + s_.block_channels};
  }

  template <class Reduce>
  void reduce_block(std::int64_t block, int thread, const Reduce& reduce_item) {
    for_items(block, [&](std::int64_t run, std::int64_t t) {
      reduce_item(item(block, run, t, thread), pair(slab(block, thread), run, t));
    });
  }

  template <class Merge>
  void merge(std::int64_t block, std::int64_t slab, const Merge& merge_block) {
    merge_block(begin_of(block), begin_of(block + 1), [&](std::int64_t t) { return pair(slab, 0, t); });
  }

  const Schedule& s_;
  std::int64_t first_ = 0, last_;  // channels
  std::int64_t scratch_bytes_;
  std::int64_t slab_doubles_;
  core::Workspace pairs_;
  core::Workspace scratch_;
};

}  // namespace unitvar::cpu
