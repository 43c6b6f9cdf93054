#pragma once
#include <span>

#include "unitvar/api.hpp"

/// Moments of one channel, their merge, and running statistics: the scalar forms of unitvar/phases.hpp and
/// unitvar/running_statistics.hpp. The rules at the top of unitvar/reference.hpp hold.
namespace unitvar::reference {

/// How many values, their mean, and the sum of their squared deviations from it.
template <class R>
struct Moments {
  R count = 0;
  R mean = 0;
  R m2 = 0;
};

/// Moments of the values of one channel, in two passes: (B1), (B2). No values give zeros.
template <class R>
UNITVAR_API Moments<R> moments(std::span<const R> x);

/// Moments of the union of two sets of values, from the moments of each:
///
///   n = n_a + n_b, d = mean_b - mean_a, mean = mean_a + d n_b / n, M2 = M2_a + M2_b + d^2 n_a n_b / n
///
/// (B8); Chan, Golub & LeVeque 1983, equation 2.1. A count of 0 on either side gives the other side back.
template <class R>
UNITVAR_API Moments<R> merge(const Moments<R>& a, const Moments<R>& b);

/// Biased variance, M2 / count (0 if count is 0): what normalization uses (B3).
template <class R>
UNITVAR_API R biased_variance(const Moments<R>& moments);

/// Unbiased variance, M2 / (count - 1): what running statistics usually keep (B7). Throws Error (too_few_values) for
/// a count of 1 or less.
template <class R>
UNITVAR_API R unbiased_variance(const Moments<R>& moments);

/// A running statistic moved by one batch, w being the weight of the new batch (PyTorch's momentum, or 1 - momentum in
/// the sense of ONNX, Keras and CS231n, or 1 / batches for the cumulative average):
///
///   running' = running + w (batch - running)
///
/// (B7).
template <class R>
UNITVAR_API R running_update(R running, R batch, R weight_of_new);

}  // namespace unitvar::reference
