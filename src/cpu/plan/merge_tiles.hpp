#pragma once
#include <cstdint>

#include "cpu/plan/tiling.hpp"
#include "math/merge.hpp"

/// The merge of the tiles of a tensor, in a tree that depends on their number alone.
namespace unitvar::cpu {

/// The pairs of the tiles of some channels: leaves(t) is of tile t.
struct TileLeaves {
  double *first, *second;  ///< of tile 0
  std::int64_t step;       ///< from tile to tile

  [[nodiscard]] math::ChannelPairs operator()(std::int64_t t) const noexcept {
    return {first + t * step, second + t * step};
  }
};

/// math::MergeMoments and math::MergeSums for the channels [0, channels), into a.
void merge_moments(double count_a, math::ChannelPairs a, double count_b, math::ChannelPairs b,
                   std::int64_t channels) noexcept;
void merge_sums(math::ChannelPairs a, math::ChannelPairs b, std::int64_t channels) noexcept;

/// Copies what the tree left in leaf 0 to the channels [begin, end) of `to`. An empty batch has no tiles, and gives
/// zeros.
void copy_root(const Tiling& tiling, std::int64_t begin, std::int64_t end, const TileLeaves& leaves,
               math::ChannelPairs to) noexcept;

/// Merges the tiles' moments of channels [begin, end) to these channels' mean and M2. The leaves are overwritten.
/// count(i, j) is the number of values in tiles [i, j), or the sum of their weights.
template <class Count>
void merge_tile_moments(const Tiling& tiling, const Count& count, std::int64_t begin, std::int64_t end,
                        const TileLeaves& leaves, double* mean, double* m2) noexcept {
  math::merge_tree(tiling.tiles(), [&](std::int64_t i, std::int64_t j, std::int64_t step) {
    const double count_a = count(i, j), count_b = count(j, j + step);
    if (count_b == 0) return;  // tiles without any weight
    merge_moments(count_a, leaves(i), count_b, leaves(j), end - begin);
  });
  copy_root(tiling, begin, end, leaves, {mean, m2});
}

/// The same for sums.
void merge_tile_sums(const Tiling& tiling, std::int64_t begin, std::int64_t end, const TileLeaves& leaves,
                     double* sum_dy, double* sum_dy_xmu) noexcept;

}  // namespace unitvar::cpu
