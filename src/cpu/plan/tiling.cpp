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

/// An interleaved tile has about this many values per channel. It has fewer if there would not be kSomeTiles tiles for
/// threads to share. It has at least kInterleavedRows rows: the columns of a channel are added once for many rows.
constexpr int64_t kInterleavedValues = 512;
constexpr int64_t kSomeTiles = 8;
constexpr int64_t kInterleavedRows = 256;
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

Tiling cut(const Extent& extent, bool weighted) noexcept {
  Tiling t{shape_of(extent, weighted), extent, 0, 0, 0, 0};
  if (t.shape == Shape::planar) {
    t.tile_cols = std::min(extent.inner, kPlanarValues);
    t.tile_rows = std::max<int64_t>(1, kPlanarValues / extent.inner);
  } else {
    t.tile_cols = extent.inner;
    const int64_t outer = std::max<int64_t>(1, extent.outer);
    const int64_t most = std::max(kInterleavedRows, std::min(kInterleavedValues / extent.inner, outer / kSomeTiles));
    const int64_t equal = divide_up(outer, divide_up(outer, most));
    t.tile_rows = divide_up(equal, kRowStep) * kRowStep;
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

Tile Tiling::tile(int64_t t) const noexcept {
  const int64_t row = t / col_tiles * tile_rows;
  const int64_t col = t % col_tiles * tile_cols;
  return {row, std::min(tile_rows, extent.outer - row), col, std::min(tile_cols, extent.inner - col)};
}

int64_t Tiling::values_before(int64_t t) const noexcept {
  if (t >= tiles()) return extent.count();
  const Tile next = tile(t);
  return next.row * extent.inner + next.rows * next.col;
}

}  // namespace unitvar::cpu
