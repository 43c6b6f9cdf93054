#pragma once
#include <cstdint>

namespace unitvar::math {

/// A pair of per-channel arrays: (mean, M2) in the forward, (sum dy, sum dy*(x - mean)) in the backward.
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

/// The same for `channels` channels at once.
void merge_moments(double count_a, ChannelPairs a, double count_b, double const* mean_b, double const* m2_b,
                   std::int64_t channels) noexcept;

/// Sums merge by adding.
void merge_sums(ChannelPairs a, ChannelPairs b, std::int64_t channels) noexcept;

/// Calls combine(i, j), i < j, for the fixed binary tree that leaves the result of n leaves in leaf 0: neighbours
/// first, so rounding errors grow with log n.
template <class Combine>
void merge_tree(std::int64_t n, const Combine& combine) {
  for (std::int64_t step = 1; step < n; step *= 2) {
    for (std::int64_t i = 0; i + step < n; i += 2 * step) combine(i, i + step, step);
  }
}

}  // namespace unitvar::math
