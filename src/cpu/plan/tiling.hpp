#pragma once
#include <cstdint>

#include "unitvar/extent.hpp"

namespace unitvar::cpu {

/// How a channel lies in memory.
enum class Shape {
  planar,      ///< rows of contiguous elements of one channel
  interleaved  ///< rows that hold all channels: outer rows of channels * inner columns
};

/// A rectangle of one channel: rows of `outer`, columns of `inner`.
struct Tile {
  std::int64_t row, rows;
  std::int64_t col, cols;
};

/// Where the sums of a channel are cut. Each tile is summed by one kernel call, and tiles are merged in a fixed tree.
/// So the tiling fixes the bits. It is a function of the extent alone, never of threads, caches or instruction set.
struct Tiling {
  Shape shape;
  Extent extent;  ///< as given, but a single channel is one row
  std::int64_t tile_rows, tile_cols;
  std::int64_t row_tiles, col_tiles;

  [[nodiscard]] std::int64_t tiles() const noexcept { return row_tiles * col_tiles; }
  [[nodiscard]] Tile tile(std::int64_t t) const noexcept { return tile_at(t / col_tiles, t % col_tiles); }
  [[nodiscard]] Tile tile_at(std::int64_t row_tile, std::int64_t col_tile) const noexcept;
  /// Values of one channel in tiles [0, t).
  [[nodiscard]] std::int64_t values_before(std::int64_t t) const noexcept;
  /// Values of one channel in tiles [i, j).
  [[nodiscard]] double count(std::int64_t i, std::int64_t j) const noexcept {
    return static_cast<double>(values_before(j) - values_before(i));
  }
};

/// `extent` is checked. Weights are read along rows of one channel, one for each element. So `weighted` tensors are
/// planar unless inner = 1.
Tiling make_tiling(const Extent& extent, bool weighted = false) noexcept;

}  // namespace unitvar::cpu
