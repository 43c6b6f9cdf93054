#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"
#include "unitvar/reference/statistics.hpp"

/// Batch normalization whose statistics count each position with a weight: padding and masks (weight 0), samples that
/// stand for several, importance. The rules at the top of unitvar/reference.hpp hold.
///
/// A weight is finite and >= 0, else Error (bad_argument). Each (outer, inner) position has one, the same for all
/// channels: extent.count() of them, that of (o, i) at o * inner + i. Where it is 0, nothing depends on what x and dy
/// hold, NaN included. If all weights are 0, mean = var = 0, as for an empty batch.
namespace unitvar::reference {

/// Moments of the values of one channel, weight_j standing for how often x_j counts:
///
///   count = W = sum(w),  mean = sum(w x) / W,  M2 = sum(w (x - mean)^2)
///
/// (B62). merge() joins two of them as it is (B64).
template <class R>
UNITVAR_API Moments<R> weighted_moments(std::span<const R> x, std::span<const R> weight);

/// What y is where the weight is 0.
enum class Weightless {
  zero,   ///< 0
  affine  ///< gamma * x_hat + beta of what x holds there
};

/// What the weighted forward keeps for the backward; x_hat is 0 where the weight is, unless Weightless::affine.
template <class R>
struct WeightedCache {
  Cache<R> cache;
  std::vector<R> weight;
  R total = 0;  ///< W, the sum of the weights
};

/// What the weighted training forward gives.
template <class R>
struct WeightedForward {
  std::vector<R> y;
  WeightedCache<R> cache;
};

/// Training forward by weighted statistics: var = M2 / W, the biased one, and y = gamma * x_hat + beta (B63).
template <class R>
UNITVAR_API WeightedForward<R> weighted_forward(const Extent& extent, std::span<const R> x, std::span<const R> weight,
                                                std::span<const R> gamma, std::span<const R> beta, R eps,
                                                Weightless weightless);

/// Backward of weighted_forward. With g = dy where w > 0, and 0 elsewhere:
///
///   dgamma = sum(g * x_hat),  dbeta = sum(g)                                                     (B65)
///   dx = gamma * rstd * (g - w / W * sum(g) - w / W * x_hat * sum(g * x_hat)),  0 where w = 0    (B66)
///
/// What y is where w = 0 counts as a constant: its dy is not asked for.
template <class R>
UNITVAR_API Gradients<R> weighted_backward(const WeightedCache<R>& weighted, std::span<const R> dy);

}  // namespace unitvar::reference
