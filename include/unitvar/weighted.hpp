#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization with a weight for each position: 0 and 1 for padded sequences and images, or any numbers >= 0.
///
/// A position is an element of outer x inner, the same in all channels: for NLC a (sample, step), for NCHW and NHWC a
/// (sample, pixel). weight[o * inner + i] belongs to the elements (o, c, i) of all c. With W = sum(weight),
///
///   mean = sum(w x) / W,  var = sum(w (x - mean)^2) / W
///
/// Where the weight is 0, x and dy are not used, whatever they hold, NaN included.
///
///   const auto extent = unitvar::Extent::nlc(2, 3, 16);
///   const std::vector<float> weight = {1, 1, 1, 1, 1, 0};  // the second sequence has two steps
///   unitvar::batch_norm_weighted_forward<float>({.extent = extent, .x = x, .weight = weight, .y = y, .rstd = rstd});
///
/// Weights count up to a common factor, except in W. Where the largest exceeds 2^200 or is below 2^-200, a copy of them
/// (N*S elements) is scaled by a power of two. Ranks that share a batch would have to agree on a factor, so there such
/// weights are refused (bad_argument).
///
/// The rules at the top of batch_norm.hpp hold here too. Weights that are all 1 give the results of the plain functions
/// up to rounding: the tiles of short rows are cut in another way. Other errors: bad_argument for a weight that
/// is negative or not finite, too_few_values where a single weight is > 0. No weight at all is the empty batch.
namespace unitvar {

/// Arguments of batch_norm_weighted_forward.
template <class T>
struct BatchNormWeightedForward {
  Extent extent;
  std::span<const T> x;
  std::span<const param_t<T>> weight;      ///< outer * inner, each >= 0
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<T> y;                          ///< output; may not overlap x
  std::span<double> mean = {};             ///< output, optional, C
  std::span<double> var = {};              ///< output, optional: biased variance, M2 / W, C
  std::span<double> rstd = {};             ///< output, optional, C
  double eps = 1e-5;
  bool zero_unweighted = true;  ///< y = 0 where the weight is 0; else gamma * x_hat + beta there, too
};

/// Training forward: normalizes each channel by its weighted mean and biased variance,
///
///   y = gamma * (x - mean) / sqrt(var + eps) + beta
///
/// (docs/derivation.md B62 to B64). Returns W over all ranks, infinite where it exceeds the largest double. W is the
/// count for update_running_statistics. Its unbiased variance M2 / (W - 1) is right for weights that count samples, 0
/// and 1 above all.
template <class T>
UNITVAR_API double batch_norm_weighted_forward(const BatchNormWeightedForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_weighted_backward.
template <class T>
struct BatchNormWeightedBackward {
  Extent extent;
  std::span<const T> x;
  std::span<const T> dy;
  std::span<const param_t<T>> weight;      ///< the forward's
  std::span<const double> mean;            ///< saved by the forward, C
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<T> dx = {};                    ///< output, optional; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional, C
};

/// Backward of batch_norm_weighted_forward. With g = dy where the weight is > 0 and 0 elsewhere,
///
///   dbeta = sum(g),  dgamma = sum(g * x_hat),
///   dx = gamma * rstd * (g - w / W * dbeta - w / W * x_hat * dgamma), and 0 where the weight is 0
///
/// (docs/derivation.md B65, B66). The weights are constants: they have no gradient. A loss that weighs its samples has
/// done so in dy.
template <class T>
UNITVAR_API void batch_norm_weighted_backward(const BatchNormWeightedBackward<T>& args, const Options& options = {});

}  // namespace unitvar
