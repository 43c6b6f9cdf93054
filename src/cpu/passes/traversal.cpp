#include "cpu/passes/traversal.hpp"

#include <algorithm>

#include "core/divide_up.hpp"
#include "cpu/kernels/kernels.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {
namespace {

using std::int64_t;

/// Pairs of all tiles of one block: two slabs per thread if resident, one per block if streamed.
int64_t slabs(const Schedule& s) noexcept { return s.walk == Walk::resident ? int64_t{2} * s.threads : s.blocks; }

/// Threads that write their slabs at the same time do so on cache lines of their own.
int64_t slab_doubles(const Schedule& s) noexcept {
  const int64_t pairs = 2 * s.tiling.tiles() * s.block_channels;
  return s.walk == Walk::resident ? (pairs + 31) / 16 * 16 : pairs;
}

}  // namespace

Traversal::Traversal(const Schedule& schedule)
    : s_(schedule),
      last_(s_.tiling.extent.channels),
      scratch_bytes_(scratch_bytes(s_.tiling, s_.run_channels)),
      slab_doubles_(slab_doubles(s_)),
      pairs_(static_cast<std::size_t>(slabs(s_) * slab_doubles_) * sizeof(double)),
      scratch_(static_cast<std::size_t>(int64_t{2} * s_.threads * scratch_bytes_)) {}

/// A streamed walk's blocks may cut groups of channels, which are finished when all of their channels are merged.
void Traversal::reduce_and_finish(const AnyPass& passes) {
  const bool at_once = s_.walk == Walk::streamed && passes.call.finishes_groups;
  reduce_blocks(passes, !at_once);
  if (at_once) passes.call.finish(passes.of, first_, last_);
}

void Traversal::apply(const AnyPass& pass) {
  parallel_for(
      s_.threads, items(), [&](int64_t index, int thread) { apply_at(index, thread, pass); }, kernels::finish_stores);
}

void Traversal::apply_in_reverse(const AnyPass& pass) {
  const int64_t last = items() - 1;
  parallel_for(
      s_.threads, items(), [&](int64_t index, int thread) { apply_at(last - index, thread, pass); },
      kernels::finish_stores);
}

void Traversal::reduce_and_apply(const AnyPass& passes) {
  if (s_.walk == Walk::streamed) {
    reduce_and_finish(passes);
    passes.call.check(passes.of);
    apply_in_reverse(passes);
    return;
  }
  parallel_ranges(s_.threads, blocks(), [&](int64_t begin, int64_t end, int thread) {
    if (begin < end) reduce_block(begin, thread, passes);
    for (int64_t block = begin; block < end; ++block) {
      merge(block, slab(block, thread), passes);
      passes.call.finish(passes.of, begin_of(block), begin_of(block + 1));
      apply_block(block, block + 1 < end ? runs(block + 1) : 0, thread, passes);
    }
    kernels::finish_stores();
  });
}

/// Items in the order of memory: rows of tiles, then runs of channels, then the tiles that share their rows.
Traversal::Position Traversal::position(int64_t index) const noexcept {
  const int64_t col_tiles = s_.tiling.col_tiles, all_runs = blocks() * s_.runs();
  const int64_t run = index / col_tiles % all_runs;
  return {run / s_.runs(), run % s_.runs(), index / (col_tiles * all_runs) * col_tiles + index % col_tiles};
}

int64_t Traversal::blocks() const noexcept { return core::divide_up(last_ - first_, s_.block_channels); }
int64_t Traversal::items() const noexcept { return blocks() * s_.runs() * s_.tiling.tiles(); }
int64_t Traversal::begin_of(int64_t block) const noexcept {
  return std::min(first_ + block * s_.block_channels, last_);
}
int64_t Traversal::runs(int64_t block) const noexcept {
  return core::divide_up(begin_of(block + 1) - begin_of(block), s_.run_channels);
}

WorkItem Traversal::item(int64_t block, int64_t run, int64_t t, int thread) const noexcept {
  const int64_t begin = begin_of(block) + run * s_.run_channels;
  return {begin, std::min(begin + s_.run_channels, begin_of(block + 1)), t, s_.tiling.tile(t),
          scratch_.as<std::byte>() + (int64_t{2} * thread + block % 2) * scratch_bytes_};
}

math::ChannelPairs Traversal::pair(int64_t slab, int64_t run, int64_t t) const noexcept {
  double* first = pairs_.as<double>() + slab * slab_doubles_ + 2 * t * s_.block_channels + run * s_.run_channels;
  return {first, first + s_.block_channels};
}

void Traversal::reduce_blocks(const AnyPass& pass, bool finishes) {
  const auto end_block = [&](int64_t block, int64_t slab) {
    merge(block, slab, pass);
    if (finishes) pass.call.finish(pass.of, begin_of(block), begin_of(block + 1));
  };
  if (s_.walk == Walk::resident) {
    parallel_for(s_.threads, blocks(), [&](int64_t block, int thread) {
      reduce_block(block, thread, pass);
      end_block(block, slab(block, thread));
    });
    return;
  }
  parallel_for(s_.threads, items(), [&](int64_t index, int thread) {
    const auto [block, run, t] = position(index);
    if (run < runs(block)) pass.call.reduce(pass.of, item(block, run, t, thread), pair(block, run, t));
  });
  parallel_for(s_.threads, blocks(), [&](int64_t block, int) { end_block(block, block); });
}

void Traversal::reduce_block(int64_t block, int thread, const AnyPass& pass) {
  for (int64_t run = 0; run < runs(block); ++run) {
    for (int64_t t = 0; t < s_.tiling.tiles(); ++t)
      pass.call.reduce(pass.of, item(block, run, t, thread), pair(slab(block, thread), run, t));
  }
}

void Traversal::merge(int64_t block, int64_t slab, const AnyPass& pass) {
  const math::ChannelPairs leaf = pair(slab, 0, 0);
  pass.call.merge(pass.of, begin_of(block), begin_of(block + 1),
                  TileLeaves{leaf.first, leaf.second, 2 * s_.block_channels});
}

void Traversal::apply_at(int64_t index, int thread, const AnyPass& pass) const {
  const auto [block, run, t] = position(index);
  if (run < runs(block)) pass.call.apply(pass.of, item(block, run, t, thread));
}

void Traversal::apply_block(int64_t block, int64_t next_runs, int thread, const AnyPass& passes) {
  for (int64_t run = 0; run < runs(block); ++run) {
    for (int64_t t = 0; t < s_.tiling.tiles(); ++t) {
      if (run < next_runs) {
        passes.call.apply_and_reduce(passes.of, item(block, run, t, thread), item(block + 1, run, t, thread),
                                     pair(slab(block + 1, thread), run, t));
      } else {
        passes.call.apply(passes.of, item(block, run, t, thread));
      }
    }
  }
}

}  // namespace unitvar::cpu
