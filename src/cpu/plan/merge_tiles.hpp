#pragma once
#include <algorithm>
#include <cstdint>

#include "cpu/plan/tiling.hpp"
#include "math/merge.hpp"

/// The merge of the tiles of a tensor, in a tree that depends on their number alone.
namespace unitvar::cpu {

/// Copies what the tree left in leaf 0 to first and second of channels [begin, end). An empty batch has no tiles, and
/// gives zeros.
template <class Leaf>
void copy_root(const Tiling& tiling, std::int64_t begin, std::int64_t end, const Leaf& leaf, double* first,
               double* second) {
  if (tiling.tiles() == 0) {
    std::fill(first + begin, first + end, 0.0);
    std::fill(second + begin, second + end, 0.0);
    return;
  }
  std::copy_n(leaf(0).first, end - begin, first + begin);
  std::copy_n(leaf(0).second, end - begin, second + begin);
}

/// Merges the tiles' moments of channels [begin, end), leaf(t), to these channels' mean and M2. The leaves are
/// overwritten. count(i, j) is the number of values in tiles [i, j), or the sum of their weights.
template <class Count, class Leaf>
void merge_tile_moments(const Tiling& tiling, const Count& count, std::int64_t begin, std::int64_t end,
                        const Leaf& leaf, double* mean, double* m2) {
  math::merge_tree(tiling.tiles(), [&](std::int64_t i, std::int64_t j, std::int64_t step) {
    const double count_a = count(i, j), count_b = count(j, j + step);
    if (count_b == 0) return;  // tiles without any weight
    math::merge_moments(count_a, leaf(i), count_b, leaf(j).first, leaf(j).second, end - begin);
  });
  copy_root(tiling, begin, end, leaf, mean, m2);
}

/// The same for sums.
template <class Leaf>
void merge_tile_sums(const Tiling& tiling, std::int64_t begin, std::int64_t end, const Leaf& leaf, double* first,
                     double* second) {
  math::merge_tree(tiling.tiles(), [&](std::int64_t i, std::int64_t j, std::int64_t) {
    math::merge_sums(leaf(i), leaf(j), end - begin);
  });
  copy_root(tiling, begin, end, leaf, first, second);
}

}  // namespace unitvar::cpu
