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
  const bool is_cut = tiling.tile_rows != s_.counted_rows;
  const bool counts =
      !is_cut || divide_up(tile.row + tile.rows, s_.counted_rows) > divide_up(tile.row, s_.counted_rows);
  if (s_.sub_batches > 1) tile.row += begin / s_.channels() * (tiling.extent.outer - 1);
  return {begin + first, begin + last, row_tile * tiling.col_tiles + col_tile, tile, counts};
}

int64_t Cells::elements_before(int64_t cell) const noexcept {
  const Tiling& tiling = s_.tiling;
  const int64_t inner = tiling.extent.inner, outer = tiling.extent.outer;
  if (cell == 0) return 0;
  const int64_t row = cell / row_cells_, column = cell % row_cells_;
  const int64_t sub_batch = row / tiling.row_tiles, row_tile = row % tiling.row_tiles;
  const int64_t rows = std::min(tiling.tile_rows, outer - row_tile * tiling.tile_rows);
  const int64_t channels = column / tiling.col_tiles * s_.cell_channels;
  const int64_t beside = channels * inner + column % tiling.col_tiles * tiling.tile_cols;
  return (sub_batch * outer + row_tile * tiling.tile_rows) * width_ * inner + rows * std::min(beside, width_ * inner);
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
  Tiling& t = s.tiling;
  if (s.threads == 1) return s;
  const int64_t all_rows = s.sub_batches * t.extent.outer;
  if (all_rows == 0 || !shares_evenly(all_rows, s.threads)) return s;
  t.tile_rows = core::equal_part(divide_up(all_rows, s.threads), t.tile_rows);
  t.row_tiles = divide_up(t.extent.outer, t.tile_rows);
  return s;
}

double largest_share(const Schedule& s) noexcept {
  const double all = static_cast<double>(s.parts()) * static_cast<double>(s.tiling.extent.count());
  if (all == 0 || s.threads == 1) return 1;
  const auto most_of = [&](int64_t units, const auto& elements_of) {
    int64_t most = 0;
    for (int thread = 0; thread < s.threads; ++thread) {
      most = std::max(most, elements_of(core::share_of(units, s.threads, thread)));
    }
    return static_cast<double>(most);
  };
  double most = 0;
  if (s.together) {
    for_blocks(s, {0, s.parts()}, [&](Range block) {
      const Cells cells(s, block);
      most += most_of(cells.size(), [&](Range share) {
        return cells.elements_before(share.end) - cells.elements_before(share.begin);
      });
    });
  } else {
    most =
        most_of(share_units(s), [&](Range share) { return parts_of_units(s, share).size() * s.tiling.extent.count(); });
  }
  return most * s.threads / all;
}

}  // namespace unitvar::cpu
