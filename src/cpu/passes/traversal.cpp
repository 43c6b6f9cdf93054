#include "cpu/passes/traversal.hpp"

#include <algorithm>

#include "cpu/kernels/kernels.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {
namespace {

using core::divide_up;
using std::int64_t;

WorkItem item_of(const Piece& piece, std::byte* scratch) noexcept {
  return {piece.begin, piece.end, piece.t, piece.tile, scratch, piece.counts};
}

/// Pairs of a block: two slabs for each thread that has blocks of its own, or one that all share.
int64_t slabs(const Schedule& s) noexcept { return s.together ? 1 : int64_t{2} * s.threads; }

/// Threads that write their slabs at the same time do so on cache lines of their own.
int64_t slab_doubles(const Schedule& s, int64_t width) noexcept {
  const int64_t sub_batches = divide_up(std::min(s.block_parts, s.parts()), s.channels());
  return (2 * sub_batches * s.tiling.tiles() * width + 31) / 16 * 16;
}

/// Channels that are merged at a time, at least: so few that their pairs stay in L1, and whole groups.
int64_t merged_channels(const Schedule& s) noexcept {
  constexpr int64_t kChannels = 64;
  return divide_up(kChannels, s.share_channels) * s.share_channels;
}

}  // namespace

Traversal::Traversal(const Schedule& schedule)
    : s_(schedule),
      parts_{0, s_.parts()},
      width_(std::min(s_.block_parts, s_.channels())),
      scratch_bytes_(scratch_bytes(s_.tiling, s_.run_channels)),
      slab_doubles_(slab_doubles(s_, width_)),
      pairs_(static_cast<std::size_t>(slabs(s_) * slab_doubles_) * sizeof(double)),
      scratch_(static_cast<std::size_t>(int64_t{2} * s_.threads * scratch_bytes_)) {}

void Traversal::apply(const AnyPass& pass) const {
  const Schedule cut = without_sums(s_);
  apply_together(Cells(cut, parts_), pass, false);
}

void Traversal::apply_in_reverse(const AnyPass& pass) const { apply_together(Cells(s_, parts_), pass, true); }

void Traversal::reduce_and_apply(const AnyPass& passes) {
  if (!s_.together) {
    parallel_ranges(s_.threads, share_units(s_), [&](int64_t begin, int64_t end, int thread) {
      const Range parts = parts_of_units(s_, {begin, end});
      s_.walk == Walk::resident ? walk_resident(parts, thread, passes) : walk_streamed(parts, thread, passes);
      kernels::finish_stores();
    });
    return;
  }
  for_blocks(s_, parts_, [&](Range block) {
    reduce_together(block, passes, true);
    if (s_.walk == Walk::streamed) passes.call.check(passes.of);
    apply_together(Cells(s_, block), passes, true);
  });
}

std::byte* Traversal::scratch_of(int thread, int64_t k) const noexcept {
  return scratch_.as<std::byte>() + (int64_t{2} * thread + k % 2) * scratch_bytes_;
}

Traversal::Place Traversal::place(Range block, int thread, int64_t k) const noexcept {
  return {block, int64_t{2} * thread + k % 2, scratch_of(thread, k)};
}

math::ChannelPairs Traversal::pair(const Place& at, int64_t part, int64_t t) const noexcept {
  const int64_t k = part - at.block.begin, sub_batch = k < s_.channels() ? 0 : k / s_.channels();
  const int64_t c = k - sub_batch * s_.channels();
  double* const first =
      pairs_.as<double>() + at.slab * slab_doubles_ + 2 * (sub_batch * s_.tiling.tiles() + t) * width_ + c;
  return {first, first + width_};
}

void Traversal::reduce_blocks(const AnyPass& pass, bool finishes) {
  if (s_.together) {
    for_blocks(s_, parts_, [&](Range block) { reduce_together(block, pass, finishes); });
    return;
  }
  parallel_ranges(s_.threads, share_units(s_), [&](int64_t begin, int64_t end, int thread) {
    for_blocks(s_, parts_of_units(s_, {begin, end}), [&](Range block) {
      const Place at = place(block, thread, 0);
      const Cells cells(s_, block);
      reduce_share(at, cells, cells.all(), pass);
      merge(at, block, pass, finishes);
    });
  });
}

void Traversal::reduce_together(Range block, const AnyPass& pass, bool finishes) {
  const Cells cells(s_, block);
  parallel_ranges(s_.threads, cells.size(), [&](int64_t begin, int64_t end, int thread) {
    reduce_share({block, 0, scratch_of(thread, 0)}, cells, {begin, end}, pass);
  });
  const Place at{block, 0, nullptr};
  const int64_t step = merged_channels(s_), width = std::min(block.size(), s_.channels());
  const int64_t steps = divide_up(width, step);
  parallel_for(s_.threads, block.size() / width * steps, [&](int64_t index, int) {
    const int64_t first = block.begin + index / steps * s_.channels(), c = index % steps * step;
    merge(at, {first + c, first + std::min(c + step, width)}, pass, finishes);
  });
}

void Traversal::apply_together(const Cells& cells, const AnyPass& pass, bool in_reverse) const {
  parallel_ranges(s_.threads, cells.size(), [&](int64_t begin, int64_t end, int thread) {
    apply_share(scratch_of(thread, 0), cells, {begin, end}, pass, in_reverse);
    kernels::finish_stores();
  });
}

void Traversal::reduce_share(const Place& at, const Cells& cells, Range share, const AnyPass& pass) const {
  for (Cells::Forward pieces(cells, share); !pieces.done();) {
    const Piece piece = pieces.take();
    pass.call.reduce(pass.of, item_of(piece, at.scratch), pair(at, piece.begin, piece.t));
  }
}

void Traversal::apply_share(std::byte* scratch, const Cells& cells, Range share, const AnyPass& pass,
                            bool in_reverse) const {
  const auto apply_piece = [&](const Piece& piece) { pass.call.apply(pass.of, item_of(piece, scratch)); };
  in_reverse ? cells.for_pieces_in_reverse(share, apply_piece) : cells.for_pieces(share, apply_piece);
}

void Traversal::merge(const Place& at, Range parts, const AnyPass& pass, bool finishes) const {
  const math::ChannelPairs leaf = pair(at, parts.begin, 0);
  pass.call.merge(pass.of, parts.begin, parts.end, TileLeaves{leaf.first, leaf.second, 2 * width_});
  if (finishes) pass.call.finish(pass.of, parts.begin, parts.end);
}

void Traversal::walk_resident(Range parts, int thread, const AnyPass& passes) const {
  if (parts.size() == 0) return;
  int64_t k = 0;
  Place at = place(block_from(s_, parts.begin, parts.end), thread, k);
  const Cells first(s_, at.block);
  reduce_share(at, first, first.all(), passes);
  while (at.block.size() > 0) {
    merge(at, at.block, passes, true);
    const Place next = place(block_from(s_, at.block.end, parts.end), thread, ++k);
    apply_and_reduce(at, next, passes);
    at = next;
  }
}

void Traversal::walk_streamed(Range parts, int thread, const AnyPass& passes) const {
  for_blocks(s_, parts, [&](Range block) {
    const Place at = place(block, thread, 0);
    const Cells cells(s_, block);
    reduce_share(at, cells, cells.all(), passes);
    merge(at, block, passes, true);
    apply_share(at.scratch, cells, cells.all(), passes, true);
  });
}

void Traversal::apply_and_reduce(const Place& at, const Place& next, const AnyPass& passes) const {
  const Cells cells(s_, at.block), next_cells(s_, next.block);
  Cells::Forward next_pieces(next_cells, next_cells.all());
  cells.for_pieces(cells.all(), [&](const Piece& piece) {
    if (next_pieces.done()) return passes.call.apply(passes.of, item_of(piece, at.scratch));
    const Piece with = next_pieces.take();
    passes.call.apply_and_reduce(passes.of, item_of(piece, at.scratch), item_of(with, next.scratch),
                                 pair(next, with.begin, with.t));
  });
  reduce_share(next, next_cells, {next_pieces.cell(), next_cells.size()}, passes);
}

}  // namespace unitvar::cpu
