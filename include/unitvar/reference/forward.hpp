#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/extent.hpp"

/// Forward passes. The rules at the top of unitvar/reference.hpp hold.
namespace unitvar::reference {

/// What the training forward keeps for the backward.
template <class R>
struct Cache {
  Extent extent;
  std::vector<R> mean;   ///< (B1), C
  std::vector<R> var;    ///< biased, (B3), C
  std::vector<R> rstd;   ///< 1 / sqrt(var + eps), (B3), C
  std::vector<R> x_hat;  ///< (B4), extent.size()
  std::vector<R> gamma;  ///< as given, or C ones
};

/// What the training forward gives.
template <class R>
struct Forward {
  std::vector<R> y;  ///< (B5), extent.size()
  Cache<R> cache;
};

/// Training forward, two passes over x: mean, then the biased variance about that mean.
///
///   mean = sum(x) / N, var = sum((x - mean)^2) / N, x_hat = (x - mean) / sqrt(var + eps), y = gamma * x_hat + beta
///
/// (B1) to (B5); Ioffe & Szegedy 2015, algorithm 1.
template <class R>
UNITVAR_API Forward<R> forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                               std::span<const R> beta, R eps);

/// Inference forward by given statistics, biased or unbiased as the caller likes; returns y, extent.size().
///
///   y = gamma * (x - mean) / sqrt(var + eps) + beta
///
/// (B6); Ioffe & Szegedy 2015, algorithm 2, line 11.
template <class R>
UNITVAR_API std::vector<R> inference(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                     std::span<const R> var, std::span<const R> gamma, std::span<const R> beta, R eps);

/// A scale and a shift per channel.
template <class R>
struct Parameters {
  std::vector<R> gamma, beta;  ///< C each
};

/// The parameters with which the training forward of this batch is the identity, y = x:
///
///   gamma = sqrt(var + eps), beta = mean
///
/// (B9); P. Costa, post on deriving the batch norm gradient expression, edited 17 December 2016. `mean` and the biased
/// `var` are those of the batch, C each.
template <class R>
UNITVAR_API Parameters<R> identity_parameters(std::span<const R> mean, std::span<const R> var, R eps);

}  // namespace unitvar::reference
