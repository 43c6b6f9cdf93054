#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/plan/tiling.hpp"

namespace unitvar::cpu {

/// The unit of work: one tile of the channels [begin, end). `scratch` holds scratch_bytes() bytes that no other
/// thread uses.
struct WorkItem {
  std::int64_t begin, end;
  std::int64_t t;  ///< the tile's number; of a second pass alone, which cuts tiles as it likes, that of its own cut
  Tile tile;
  std::byte* scratch;
  bool counts = true;  ///< for PrecisionCounts: of a tile that is cut, one piece does

  [[nodiscard]] std::int64_t channels() const noexcept { return end - begin; }
  /// The same tile of its channels b .. e - 1, counted from its first.
  [[nodiscard]] WorkItem part(std::int64_t b, std::int64_t e) const noexcept {
    return {begin + b, begin + e, t, tile, scratch, counts};
  }
};

/// Elements of a channel that have coefficients and sums of their own.
inline std::int64_t width(const Tiling& tiling) noexcept {
  return tiling.shape == Shape::planar ? 1 : tiling.extent.inner;
}
/// Values that a kernel takes or gives for this many channels.
inline std::int64_t columns(const Tiling& tiling, std::int64_t channels) noexcept { return channels * width(tiling); }
/// Scratch of a work item of this many channels: four doubles, or eight floats, for each of its columns.
inline std::int64_t scratch_bytes(const Tiling& tiling, std::int64_t channels) noexcept {
  return (4 * columns(tiling, channels) * static_cast<std::int64_t>(sizeof(double)) + 127) / 64 * 64;
}

}  // namespace unitvar::cpu
