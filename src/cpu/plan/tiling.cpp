#include "cpu/plan/tiling.hpp"

#include <algorithm>

#include "core/divide_up.hpp"

namespace unitvar::cpu {
namespace {

using core::divide_up;
using std::int64_t;

/// Values in a planar tile, 16 KiB of floats. They are few enough to bound the growth of rounding errors in a tile, and
/// to give every thread some tiles. They are enough to make folding and merging cheap.
constexpr int64_t kPlanarValues = 4096;

/// Kernels take this many elements of a row at a time.
constexpr int64_t kColumnStep = 64;

/// Rows of an interleaved tile: enough that adding the columns of a channel, once a tile, is cheap; few enough that
/// many threads share the tiles evenly (cpu/plan/shares.hpp).
constexpr int64_t kFewestInterleavedRows = 336, kInterleavedRows = 400;
/// Few rows are one tile, or two or four of about the same size: what each of two threads takes is one stretch of
/// memory.
constexpr int64_t kOneTile = 128, kPairOfTiles = 800;
/// Kernels take up to this many rows at a time.
constexpr int64_t kRowStep = 8;

/// On rows shorter than this, a planar kernel would mostly fold its lanes. As columns, they are whole vectors.
constexpr int64_t kShortRow = 64;
/// With fewer rows than this, a column has too few values for a pair of sums of its own.
constexpr int64_t kFewRows = 8;

Shape shape_of(const Extent& extent, bool weighted) noexcept {
  if (extent.inner == 1) return extent.channels == 1 ? Shape::planar : Shape::interleaved;
  return !weighted && extent.inner < kShortRow && extent.outer >= kFewRows ? Shape::interleaved : Shape::planar;
}

/// The size of equal pieces of n, none larger than `most`, rounded up to a multiple of `step`.
int64_t equal(int64_t n, int64_t most, int64_t step) noexcept {
  return divide_up(core::equal_part(n, most), step) * step;
}

/// Rows of an interleaved tile: of a few numbers, the smallest of those that leave the last tile fullest.
int64_t interleaved_rows(int64_t outer) noexcept {
  if (outer <= kPairOfTiles) return equal(outer, outer < kOneTile ? outer : divide_up(outer, 2), kRowStep);
  if (outer <= 2 * kPairOfTiles) return equal(outer, divide_up(outer, 4), kRowStep);
  const auto missing = [=](int64_t rows) { return divide_up(outer, rows) * rows - outer; };
  int64_t best = kFewestInterleavedRows;
  for (int64_t rows = best; rows <= kInterleavedRows; rows += kRowStep) {
    if (missing(rows) < missing(best)) best = rows;
  }
  return best;
}

Tiling cut(const Extent& extent, bool weighted) noexcept {
  Tiling t{shape_of(extent, weighted), extent, 0, 0, 0, 0};
  const int64_t outer = std::max<int64_t>(1, extent.outer);
  if (t.shape == Shape::planar) {
    t.tile_cols = std::min(extent.inner, equal(extent.inner, kPlanarValues, kColumnStep));
    t.tile_rows = equal(outer, std::max<int64_t>(1, kPlanarValues / extent.inner), 1);
  } else {
    t.tile_cols = extent.inner;
    t.tile_rows = interleaved_rows(outer);
  }
  t.row_tiles = divide_up(extent.outer, t.tile_rows);
  t.col_tiles = divide_up(extent.inner, t.tile_cols);
  return t;
}

}  // namespace

Tiling make_tiling(const Extent& extent, bool weighted) noexcept {
  const bool one_row = extent.channels == 1 && extent.outer > 0;
  return cut(one_row ? Extent{1, 1, extent.count()} : extent, weighted);
}

Tile Tiling::tile_at(int64_t row_tile, int64_t col_tile) const noexcept {
  const int64_t row = row_tile * tile_rows, col = col_tile * tile_cols;
  return {row, std::min(tile_rows, extent.outer - row), col, std::min(tile_cols, extent.inner - col)};
}

int64_t Tiling::values_before(int64_t t) const noexcept {
  if (t >= tiles()) return extent.count();
  const Tile next = tile(t);
  return next.row * extent.inner + next.rows * next.col;
}

}  // namespace unitvar::cpu
