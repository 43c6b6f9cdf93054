#include "cpu/plan/shares.hpp"

#include <algorithm>

namespace unitvar::cpu {

using core::divide_up;
using std::int64_t;

Range block_from(const Schedule& s, int64_t begin, int64_t end) noexcept {
  const int64_t block_end = std::min(begin + s.block_parts, end);
  if (s.sub_batches == 1 || s.block_parts > s.channels()) return {begin, block_end};
  const int64_t sub_batch_end = (begin / s.channels() + 1) * s.channels();
  return {begin, std::min(block_end, sub_batch_end)};
}

int64_t share_units(const Schedule& s) noexcept { return s.sub_batches * divide_up(s.channels(), s.share_channels); }

Range parts_of_units(const Schedule& s, Range units) noexcept {
  const int64_t of_sub_batch = divide_up(s.channels(), s.share_channels);
  const auto first_part = [&](int64_t unit) {
    return unit / of_sub_batch * s.channels() + unit % of_sub_batch * s.share_channels;
  };
  return {first_part(units.begin), first_part(units.end)};
}

Cells::Cells(const Schedule& s, Range block) noexcept
    : s_(s),
      block_(block),
      width_(std::min(block.size(), s.channels())),
      row_cells_((s.cell_channels == 1 ? width_ : divide_up(width_, s.cell_channels)) * s.tiling.col_tiles),
      run_cells_(s.tiling.col_tiles > 1 ? 1
                 : s.cell_channels == 1 ? s.run_channels
                                        : std::max<int64_t>(1, s.run_channels / s.cell_channels)),
      size_((block.size() <= s.channels() ? 1 : block.size() / s.channels()) * s.tiling.row_tiles * row_cells_) {}

/// Sub-batches lie one behind the other, so part b * C + c of row r - b is channel c of row r: parts are found by the
/// extent of one sub-batch, once the tile goes back by a row for each sub-batch before.
Piece Cells::piece(int64_t sub_batch, int64_t row_tile, int64_t column, int64_t cells) const noexcept {
  const Tiling& tiling = s_.tiling;
  const int64_t step = tiling.col_tiles == 1 ? column : column / tiling.col_tiles;
  const int64_t col_tile = column - step * tiling.col_tiles;
  const int64_t steps = tiling.col_tiles == 1 ? cells : 1;
  const int64_t first = step * s_.cell_channels, last = std::min(width_, first + steps * s_.cell_channels);
  const int64_t begin = block_.begin + sub_batch * s_.channels();
  Tile tile = tiling.tile_at(row_tile, col_tile);
  if (s_.sub_batches > 1) tile.row += begin / s_.channels() * (tiling.extent.outer - 1);
  return {begin + first, begin + last, row_tile * tiling.col_tiles + col_tile, tile};
}

Cells::Forward::Forward(const Cells& cells, Range share) noexcept
    : cells_(cells),
      cell_(share.begin),
      end_(share.end),
      sub_batch_(0),
      row_tile_(0),
      column_(0),
      to_run_end_(cells.run_cells_) {
  if (cell_ == 0 || done()) return;
  const int64_t row = cell_ / cells.row_cells_;
  column_ = cell_ % cells.row_cells_;
  sub_batch_ = row / cells.s_.tiling.row_tiles;
  row_tile_ = row % cells.s_.tiling.row_tiles;
  to_run_end_ = cells.run_cells_ - column_ % cells.run_cells_;
}

Piece Cells::Forward::take() noexcept {
  const int64_t n = std::min({end_ - cell_, to_run_end_, cells_.row_cells_ - column_});
  const Piece piece = cells_.piece(sub_batch_, row_tile_, column_, n);
  cell_ += n;
  column_ += n;
  to_run_end_ = cells_.run_cells_;
  if (column_ == cells_.row_cells_) {
    column_ = 0;
    if (++row_tile_ == cells_.s_.tiling.row_tiles) {
      row_tile_ = 0;
      ++sub_batch_;
    }
  }
  return piece;
}

Schedule without_sums(Schedule s) noexcept {
  constexpr int64_t kPiecesOfAThread = 1, kRowStep = 8;
  Tiling& t = s.tiling;
  if (t.shape == Shape::planar || s.threads == 1) return s;
  const int64_t rows = divide_up(s.sub_batches * t.extent.outer, kPiecesOfAThread * s.threads);
  t.tile_rows = std::clamp(divide_up(rows, kRowStep) * kRowStep, kRowStep, t.tile_rows);
  t.row_tiles = divide_up(t.extent.outer, t.tile_rows);
  return s;
}

double largest_share(const Schedule& s) noexcept {
  const double all = static_cast<double>(s.parts()) * static_cast<double>(s.tiling.extent.count());
  if (all == 0) return 1;
  double most = 0;
  const auto most_of = [&](const auto& elements_of) {
    double most_here = 0;
    for (int thread = 0; thread < s.threads; ++thread) most_here = std::max(most_here, elements_of(thread));
    return most_here;
  };
  if (s.together) {
    for_blocks(s, {0, s.parts()}, [&](Range block) {
      const Cells cells(s, block);
      most += most_of([&](int thread) {
        double elements = 0;
        cells.for_pieces(core::share_of(cells.size(), s.threads, thread), [&](const Piece& piece) {
          elements += static_cast<double>((piece.end - piece.begin) * piece.tile.rows * piece.tile.cols);
        });
        return elements;
      });
    });
  } else {
    most = most_of([&](int thread) {
      const Range parts = parts_of_units(s, core::share_of(share_units(s), s.threads, thread));
      return static_cast<double>(parts.size() * s.tiling.extent.count());
    });
  }
  return most * s.threads / all;
}

}  // namespace unitvar::cpu
