#pragma once
#include <algorithm>
#include <cstdint>

#include "core/divide_up.hpp"
#include "cpu/plan/schedule.hpp"

/// Which thread takes what of a tensor: pure functions of the schedule.
namespace unitvar::cpu {

using core::Range;

/// The parts of the block that begins with part `begin`, of those before `end`.
Range block_from(const Schedule& s, std::int64_t begin, std::int64_t end) noexcept;

/// The blocks of all parts before `end` from `begin` on, one after the other.
template <class F>
void for_blocks(const Schedule& s, Range parts, const F& f) {
  for (std::int64_t begin = parts.begin; begin < parts.end;) {
    const Range block = block_from(s, begin, parts.end);
    f(block);
    begin = block.end;
  }
}

/// Where threads take blocks of their own: in how many units they share the tensor, and the parts of some units.
std::int64_t share_units(const Schedule& s) noexcept;
Range parts_of_units(const Schedule& s, Range units) noexcept;

/// A tile of parts [begin, end).
struct Piece {
  std::int64_t begin, end;
  std::int64_t t;  ///< the tile's number
  Tile tile;       ///< from which parts are found as Extent::index finds channels
  bool counts;     ///< a tile of the sums begins here
};

/// A block as a row of cells in the order of memory: sub-batches, rows of tiles, channels, then the tiles that share
/// their rows. A cell is one tile of a few channels. A piece is consecutive cells that one kernel call takes.
class Cells {
 public:
  Cells(const Schedule& s, Range block) noexcept;

  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  [[nodiscard]] Range all() const noexcept { return {0, size_}; }
  /// Elements of the cells before this one.
  [[nodiscard]] std::int64_t elements_before(std::int64_t cell) const noexcept;

  /// Goes over the pieces of a share. There are some per channel and tile, so it counts on and does not divide.
  class Forward {
   public:
    Forward(const Cells& cells, Range share) noexcept;
    [[nodiscard]] bool done() const noexcept { return cell_ == end_; }
    /// The first cell of the next piece.
    [[nodiscard]] std::int64_t cell() const noexcept { return cell_; }
    /// The next piece, if it is not done.
    Piece take() noexcept;

   private:
    const Cells& cells_;
    std::int64_t cell_, end_;
    std::int64_t sub_batch_, row_tile_, column_;
    std::int64_t to_run_end_;
  };

  /// f(piece) for the pieces of a share, in order.
  template <class F>
  void for_pieces(Range share, const F& f) const {
    for (Forward pieces(*this, share); !pieces.done();) f(pieces.take());
  }
  /// The same pieces from the last to the first.
  template <class F>
  void for_pieces_in_reverse(Range share, const F& f) const {
    for (std::int64_t end = share.end; end > share.begin;) {
      const std::int64_t begin = std::max(begin_of_run(end - 1), share.begin);
      f(Forward(*this, {begin, end}).take());
      end = begin;
    }
  }

 private:
  /// The first cell of the run that holds this one.
  [[nodiscard]] std::int64_t begin_of_run(std::int64_t cell) const noexcept {
    return cell - cell % row_cells_ % run_cells_;
  }
  [[nodiscard]] Piece piece(std::int64_t sub_batch, std::int64_t row_tile, std::int64_t column,
                            std::int64_t cells) const noexcept;

  const Schedule& s_;
  Range block_;
  std::int64_t width_;      ///< channels of the block in a sub-batch
  std::int64_t row_cells_;  ///< cells that lie side by side
  std::int64_t run_cells_;  ///< of these, those of a piece
  std::int64_t size_;
};

/// The same for a second pass alone. It has no sums, so it cuts tiles as lets each thread take one stretch of memory,
/// if there are rows enough for even shares: programs before and behind it share memory like that, so each finds data
/// in its own cache.
Schedule without_sums(Schedule s) noexcept;

/// How evenly a schedule shares the tensor: elements of the thread that has most, over the mean of all. Where threads
/// share blocks and wait for each other, the sum over the blocks of the most that one has.
double largest_share(const Schedule& s) noexcept;

}  // namespace unitvar::cpu
