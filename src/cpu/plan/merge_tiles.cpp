#include "cpu/plan/merge_tiles.hpp"

#include <algorithm>

#include "core/vector_loop.hpp"

namespace unitvar::cpu {

using math::ChannelPairs;
using std::int64_t;

void merge_moments(double count_a, ChannelPairs a, double count_b, ChannelPairs b, int64_t channels) noexcept {
  core::vector_loop(0, channels,
                    math::MergeMoments{math::MomentMerge(count_a, count_b), a.first, a.second, b.first, b.second});
}

void merge_sums(ChannelPairs a, ChannelPairs b, int64_t channels) noexcept {
  core::vector_loop(0, channels, math::MergeSums{a.first, a.second, b.first, b.second});
}

void copy_root(const Tiling& tiling, int64_t begin, int64_t end, const TileLeaves& leaves, ChannelPairs to) noexcept {
  if (tiling.tiles() == 0) {
    std::fill(to.first + begin, to.first + end, 0.0);
    std::fill(to.second + begin, to.second + end, 0.0);
    return;
  }
  std::copy_n(leaves.first, end - begin, to.first + begin);
  std::copy_n(leaves.second, end - begin, to.second + begin);
}

void merge_tile_sums(const Tiling& tiling, int64_t begin, int64_t end, const TileLeaves& leaves, double* sum_dy,
                     double* sum_dy_xmu) noexcept {
  math::merge_tree(tiling.tiles(),
                   [&](int64_t i, int64_t j, int64_t) { merge_sums(leaves(i), leaves(j), end - begin); });
  copy_root(tiling, begin, end, leaves, {sum_dy, sum_dy_xmu});
}

}  // namespace unitvar::cpu
