#pragma once
#include <cstdint>
#include <vector>

#include "math/channel_math.hpp"

namespace unitvar::math {

/// A pair of arrays with an element for each channel. What the two are:
///   moments, of a tile, a tensor or all ranks:        mean, M2 = sum((x - mean)^2)
///   gradient sums, likewise:                          sum dy, sum dy * (x - mean)
///   what a kernel gives, before its tile is finished: sum(x - shift), sum((x - shift)^2), with a shift near the mean;
///                                                     sum dy, sum dy * (x - center), with a center near the mean
struct ChannelPairs {
  double* first;
  double* second;
};

/// Chan, Golub, LeVeque 1983, equation 2.1 (B8):
///   mean_a += d * n_b / n,  M2_a += M2_b + d^2 * n_a * n_b / n,  with d = mean_b - mean_a, n = n_a + n_b.
/// The one merge of the library: of tiles, of threads, of ranks, of the channels of a group. n must be > 0.
class MomentMerge {
 public:
  MomentMerge(double count_a, double count_b) noexcept
      : weight_b_(count_b / (count_a + count_b)), cross_(count_a * weight_b_) {}

  void operator()(double& mean_a, double& m2_a, double mean_b, double m2_b) const noexcept {
    const double d = mean_b - mean_a;
    mean_a += d * weight_b_;
    m2_a += m2_b + d * d * cross_;
  }

 private:
  double weight_b_, cross_;
};

/// The same of a channel of arrays, into mean_a and m2_a.
struct MergeMoments {
  MomentMerge merge;
  double *mean_a, *m2_a;
  const double *mean_b, *m2_b;

  void operator()(std::int64_t c) const noexcept { merge(mean_a[c], m2_a[c], mean_b[c], m2_b[c]); }
};
static_assert(ChannelWork<MergeMoments>);

/// Sums merge by adding, into a.
struct MergeSums {
  double *sum_dy_a, *sum_dy_xmu_a;
  const double *sum_dy_b, *sum_dy_xmu_b;

  void operator()(std::int64_t c) const noexcept {
    sum_dy_a[c] += sum_dy_b[c];
    sum_dy_xmu_a[c] += sum_dy_xmu_b[c];
  }
};
static_assert(ChannelWork<MergeSums>);

/// Calls combine(i, j, step), i < j, for the fixed binary tree that leaves the result of n leaves in leaf 0: neighbours
/// first, so rounding errors grow with log n. Leaf j stands for `step` leaves, or for as many as there are.
template <class Combine>
void merge_tree(std::int64_t n, const Combine& combine) {
  for (std::int64_t step = 1; step < n; step *= 2) {
    for (std::int64_t i = 0; i + step < n; i += 2 * step) combine(i, i + step, step);
  }
}

/// A node of this tree: what `leaves` leaves from `first` on were merged to.
struct TreeNode {
  std::int64_t first, leaves;

  [[nodiscard]] constexpr std::int64_t end() const noexcept { return first + leaves; }
};

/// Whether the tree of n leaves merges node a with node b, which follows it. Who adds leaves in their order (add_node)
/// builds the same tree with few nodes at a time.
constexpr bool tree_merges(const TreeNode& a, const TreeNode& b, std::int64_t n) noexcept {
  const std::int64_t end = a.end() + a.leaves;
  return a.first % (2 * a.leaves) == 0 && b.end() == (end < n ? end : n);
}

/// Adds `node` behind the others, and merges the last two as long as the tree of n leaves does: merge(a, b), b into a,
/// of what they stand for. A Node has a TreeNode `of` and what it stands for, `value`.
template <class Node, class Merge>
void add_node(std::vector<Node>& nodes, Node node, std::int64_t n, const Merge& merge) {
  while (!nodes.empty() && tree_merges(nodes.back().of, node.of, n)) {
    Node& last = nodes.back();
    merge(last.value, node.value);
    node = {{last.of.first, last.of.leaves + node.of.leaves}, last.value};
    nodes.pop_back();
  }
  nodes.push_back(node);
}

}  // namespace unitvar::math
