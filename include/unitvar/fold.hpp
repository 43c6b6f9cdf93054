#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"

/// Batch normalization by given statistics as part of the linear map before it: for inference, where it then costs
/// nothing.
///
///   const auto weights = unitvar::WeightExtent::convolution(shape);  // [O, I, k, k]
///   unitvar::batch_norm_fold<float>({.extent = weights, .weight = weight, .bias = bias, .mean = running_mean,
///                                    .var = running_var, .gamma = gamma, .beta = beta, .folded_weight = weight,
///                                    .folded_bias = bias});
///
/// Common to both functions:
/// - Statistics are double. Weights are of T (float, double, bf16 or f16), biases and parameters of param_t<T>.
/// - All arithmetic is in double, and each result is rounded once.
/// - Errors are thrown as Error before anything is written: null_data, wrong_length, bad_extent, overflow,
///   bad_epsilon, overlap, bad_argument.
/// - Re-entrant; no threads inside, no ranks.
namespace unitvar {

/// Arguments of batch_norm_scale_and_shift. P is the type of the parameters, float or double; Out that of the results,
/// P or double.
template <class P, class Out = P>
struct BatchNormScaleAndShift {
  std::span<const double> mean;   ///< running mean, C
  std::span<const double> var;    ///< running variance, C; the caller's choice of biased or unbiased
  std::span<const P> gamma = {};  ///< optional, C
  std::span<const P> beta = {};   ///< optional, C
  std::span<Out> scale;           ///< output, C
  std::span<Out> shift;           ///< output, C
  double eps = 1e-5;
};

/// Inference as y = x * scale + shift, for whatever takes such a pair: a fused kernel, the next layer's folding.
///
///   scale = gamma / sqrt(var + eps),  shift = beta - mean * scale
///
/// (docs/derivation.md B72). x * scale + shift cancels where |mean| is many standard deviations. batch_norm_inference
/// does not. Outputs may not overlap anything.
template <class P, class Out = P>
UNITVAR_API void batch_norm_scale_and_shift(const BatchNormScaleAndShift<P, Out>& args);

/// The weights of a linear map, seen by output channel. They are `groups` blocks one after the other, each contiguous
/// of extent `block`. The channels of a block are output channels of the map: output channel g * block.channels + c has
/// the weights (o, c, i) of block g. There are makers for the usual layouts. Others can be written down, like [I, O] as
/// {1, {I, O, 1}}.
struct UNITVAR_API WeightExtent {
  std::int64_t groups = 1;
  Extent block;

  /// [O, I].
  static WeightExtent linear(std::int64_t outputs, std::int64_t inputs);
  /// [O, I/g, k...] or [O, k..., I/g], any number of spatial axes k: the groups of a convolution do not matter.
  static WeightExtent convolution(std::span<const std::int64_t> shape);
  /// [k..., I/g, O] (HWIO).
  static WeightExtent convolution_output_last(std::span<const std::int64_t> shape);
  /// [I, O/g, k...], a transposed convolution of `groups` groups; they divide I.
  static WeightExtent transposed_convolution(std::span<const std::int64_t> shape, std::int64_t groups = 1);

  /// Output channels of the map. Needs a checked extent.
  [[nodiscard]] constexpr std::int64_t channels() const noexcept { return groups * block.channels; }
  /// Weights. Needs a checked extent.
  [[nodiscard]] constexpr std::int64_t size() const noexcept { return groups * block.size(); }

  friend constexpr bool operator==(const WeightExtent&, const WeightExtent&) = default;
};

/// Arguments of batch_norm_fold.
template <class T>
struct BatchNormFold {
  WeightExtent extent;                     ///< of the weights; C is extent.channels()
  std::span<const T> weight;               ///< of the map before the normalization
  std::span<const param_t<T>> bias = {};   ///< of the map, optional: absent is 0, C
  std::span<const double> mean;            ///< running mean, C
  std::span<const double> var;             ///< running variance, C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<T> folded_weight;              ///< output; may be exactly weight
  std::span<param_t<T>> folded_bias;       ///< output, C, always there; may be exactly bias
  double eps = 1e-5;
};

/// The map that gives at once what the given one and batch_norm_inference after it give:
///
///   scale = gamma / sqrt(var + eps),  weight' = weight * scale,  bias' = (bias - mean) * scale + beta
///
/// each for its output channel (docs/derivation.md B71). Outputs may not overlap any other argument, except that
/// folded_weight may be exactly weight, and folded_bias exactly bias. weight' and bias' are infinite only where their
/// own values exceed the largest double, though scale may exceed it. A map without bias has one afterwards. Padding
/// with zeros before the map stays right, since only outputs are scaled.
template <class T>
UNITVAR_API void batch_norm_fold(const BatchNormFold<T>& args);

}  // namespace unitvar
