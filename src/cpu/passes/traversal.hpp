#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/divide_up.hpp"
#include "core/workspace.hpp"
#include "cpu/phases/tile_phases.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {

/// Walks the items of a schedule, for passes as passes.hpp describes them: a first pass that reduces each item to a
/// pair of numbers per channel, a merge per block of channels, and a second pass over the items. A resident walk takes
/// the second pass of one block together with the first of the next, so that memory is read and written all the time; a
/// streamed one goes back in reverse, so that what was read last is read first. Owns the memory for the pairs;
/// allocates once, before any thread starts.
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

  /// First pass and merge.
  template <class Pass>
  void reduce(const Pass& pass) {
    reduce_blocks(pass, [](std::int64_t, std::int64_t) {});
  }
  /// The same, and what stands between the passes.
  template <class Passes>
  void reduce_and_finish(const Passes& passes) {
    if (finishes_at_once<Passes>()) {
      reduce(passes);
      passes.finish(first_, last_);
    } else {
      reduce_blocks(passes, [&](std::int64_t begin, std::int64_t end) { passes.finish(begin, end); });
    }
  }

  /// Second pass alone, over all items.
  template <class Pass>
  void apply(const Pass& pass) {
    parallel_for(
        s_.threads, items(), [&](std::int64_t index, int thread) { apply_at(index, thread, pass); },
        kernels::finish_stores);
  }
  /// From the last item to the first: what was read last is read first.
  template <class Pass>
  void apply_in_reverse(const Pass& pass) {
    const std::int64_t last = items() - 1;
    parallel_for(
        s_.threads, items(), [&](std::int64_t index, int thread) { apply_at(last - index, thread, pass); },
        kernels::finish_stores);
  }

  /// Both passes.
  template <class Passes>
  void reduce_and_apply(const Passes& passes) {
    if (s_.walk == Walk::streamed) {
      reduce_and_finish(passes);
      passes.check();
      apply_in_reverse(passes);
      return;
    }
    parallel_ranges(s_.threads, blocks(), [&](std::int64_t begin, std::int64_t end, int thread) {
      if (begin < end) reduce_block(begin, thread, passes);
      for (std::int64_t block = begin; block < end; ++block) {
        merge(block, slab(block, thread), passes);
        passes.finish(begin_of(block), begin_of(block + 1));
        apply_block(block, block + 1 < end ? runs(block + 1) : 0, thread, passes);
      }
      kernels::finish_stores();
    });
  }

 private:
  struct Position {
    std::int64_t block, run, tile;
  };

  /// Items in the order of memory: rows of tiles, then runs of channels, then the tiles that share their rows.
  [[nodiscard]] Position position(std::int64_t index) const noexcept {
    const std::int64_t col_tiles = s_.tiling.col_tiles, all_runs = blocks() * s_.runs();
    const std::int64_t run = index / col_tiles % all_runs;
    return {run / s_.runs(), run % s_.runs(), index / (col_tiles * all_runs) * col_tiles + index % col_tiles};
  }

  [[nodiscard]] std::int64_t blocks() const noexcept { return core::divide_up(last_ - first_, s_.block_channels); }
  [[nodiscard]] std::int64_t items() const noexcept { return blocks() * s_.runs() * s_.tiling.tiles(); }

  /// The channels of a block begin at begin_of(block) and end at begin_of(block + 1).
  [[nodiscard]] std::int64_t begin_of(std::int64_t block) const noexcept {
    return std::min(first_ + block * s_.block_channels, last_);
  }
  /// Runs of this block: the last block may have fewer than the others.
  [[nodiscard]] std::int64_t runs(std::int64_t block) const noexcept {
    return core::divide_up(begin_of(block + 1) - begin_of(block), s_.run_channels);
  }

  [[nodiscard]] WorkItem item(std::int64_t block, std::int64_t run, std::int64_t t, int thread) const noexcept {
    const std::int64_t begin = begin_of(block) + run * s_.run_channels;
    return {begin, std::min(begin + s_.run_channels, begin_of(block + 1)), t, s_.tiling.tile(t),
            scratch_.template as<std::byte>() + (std::int64_t{2} * thread + block % 2) * scratch_bytes_};
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

  /// A streamed walk's blocks may cut groups of channels, which are finished when all of their channels are merged.
  template <class Passes>
  [[nodiscard]] bool finishes_at_once() const noexcept {
    return requires { Passes::kGroups; }
    &&s_.walk == Walk::streamed;
  }

  template <class Pass, class Finish>
  void reduce_blocks(const Pass& pass, const Finish& finish) {
    if (s_.walk == Walk::resident) {
      parallel_for(s_.threads, blocks(), [&](std::int64_t block, int thread) {
        reduce_block(block, thread, pass);
        merge(block, slab(block, thread), pass);
        finish(begin_of(block), begin_of(block + 1));
      });
      return;
    }
    parallel_for(s_.threads, items(), [&](std::int64_t index, int thread) {
      const auto [block, run, t] = position(index);
      if (run < runs(block)) pass.reduce(item(block, run, t, thread), pair(block, run, t));
    });
    parallel_for(s_.threads, blocks(), [&](std::int64_t block, int) {
      merge(block, block, pass);
      finish(begin_of(block), begin_of(block + 1));
    });
  }

  template <class Pass>
  void reduce_block(std::int64_t block, int thread, const Pass& pass) {
    for (std::int64_t run = 0; run < runs(block); ++run) {
      for (std::int64_t t = 0; t < s_.tiling.tiles(); ++t)
        pass.reduce(item(block, run, t, thread), pair(slab(block, thread), run, t));
    }
  }

  template <class Pass>
  void merge(std::int64_t block, std::int64_t slab, const Pass& pass) {
    const math::ChannelPairs leaf = pair(slab, 0, 0);
    pass.merge(begin_of(block), begin_of(block + 1), TileLeaves{leaf.first, leaf.second, 2 * s_.block_channels});
  }

  template <class Pass>
  void apply_at(std::int64_t index, int thread, const Pass& pass) const {
    const auto [block, run, t] = position(index);
    if (run < runs(block)) pass.apply(item(block, run, t, thread));
  }

  /// The second pass of a block, together with the first of the next one's `next_runs` runs.
  template <class Passes>
  void apply_block(std::int64_t block, std::int64_t next_runs, int thread, const Passes& passes) {
    for (std::int64_t run = 0; run < runs(block); ++run) {
      for (std::int64_t t = 0; t < s_.tiling.tiles(); ++t) {
        if (run < next_runs) {
          passes.apply_and_reduce(item(block, run, t, thread), item(block + 1, run, t, thread),
                                  pair(slab(block + 1, thread), run, t));
        } else {
          passes.apply(item(block, run, t, thread));
        }
      }
    }
  }

  const Schedule& s_;
  std::int64_t first_ = 0, last_;  // channels
  std::int64_t scratch_bytes_;
  std::int64_t slab_doubles_;
  core::Workspace pairs_;
  core::Workspace scratch_;
};

}  // namespace unitvar::cpu
