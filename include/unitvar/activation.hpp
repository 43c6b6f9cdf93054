#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization with what usually follows it, in the same passes over memory: an addition (the residual of a
/// ResNet block) and ReLU or leaky ReLU.
///
///   v = gamma * (x - mean) * rstd + beta + residual,  y = v > 0 ? v : negative_slope * v
///
/// negative_slope = 0 is ReLU; any finite number is legal. NaN stays NaN. The residual is added, and the activation
/// taken, before y is rounded to T. The backward pass needs to know where v was positive. The forward leaves a bit for
/// each element in `mask`. The order of the bits depends on the extent alone: a mask made on one machine serves on
/// another. It is not part of the interface.
///
///   std::vector<std::uint8_t> mask(unitvar::batch_norm_act_mask_bytes(e));
///   unitvar::batch_norm_act_forward<float>({.extent = e, .x = x, .y = y, .mask = mask, .mean = mean, .rstd = rstd});
///   unitvar::batch_norm_act_backward<float>(
///       {.extent = e, .x = x, .dy = dy, .mask = mask, .mean = mean, .rstd = rstd, .dx = dx});
///
/// The rules at the top of batch_norm.hpp hold here too: layout, optional spans, errors, overlap, threads, ranks, bits,
/// accuracy. negative_slope that is not finite is bad_argument.
namespace unitvar {

/// Bytes of the mask of a tensor: a bit for each element, rounded up to a byte for each row, and eight more. Throws
/// Error (bad_extent, overflow).
UNITVAR_API std::int64_t batch_norm_act_mask_bytes(const Extent& extent);

/// Arguments of batch_norm_act_forward.
template <class T>
struct BatchNormActForward {
  Extent extent;
  std::span<const T> x;                    ///< input
  std::span<const T> residual = {};        ///< optional, as many elements as x
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<T> y;                          ///< output; may be exactly the residual
  std::span<std::uint8_t> mask = {};  ///< output, optional, batch_norm_act_mask_bytes(extent): what the backward needs
  std::span<double> mean = {};        ///< output, optional: batch mean, C
  std::span<double> var = {};         ///< output, optional: biased batch variance, C
  std::span<double> rstd = {};        ///< output, optional, C
  double eps = 1e-5;
  double negative_slope = 0;
};

/// Training forward: batch_norm_forward, then the sum and the activation (docs/derivation.md B46, B47). It takes the
/// plain layer's passes over memory, and one more read for the residual.
template <class T>
UNITVAR_API void batch_norm_act_forward(const BatchNormActForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_act_inference.
template <class T>
struct BatchNormActInference {
  Extent extent;
  std::span<const T> x;
  std::span<const T> residual = {};        ///< optional
  std::span<const double> mean;            ///< running mean, C
  std::span<const double> var;             ///< running variance, C; the caller's choice of biased or unbiased
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<const param_t<T>> beta = {};   ///< optional
  std::span<T> y;                          ///< output; may be exactly x
  double eps = 1e-5;
  double negative_slope = 0;
};

/// Inference: batch_norm_inference, then the sum and the activation (docs/derivation.md B6, B46).
template <class T>
UNITVAR_API void batch_norm_act_inference(const BatchNormActInference<T>& args, const Options& options = {});

/// Arguments of batch_norm_act_backward.
template <class T>
struct BatchNormActBackward {
  Extent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const std::uint8_t> mask;      ///< the forward's
  std::span<const double> mean;            ///< saved by the forward, C
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<T> dresidual = {};             ///< output, optional: dL/dresidual
  std::span<param_t<T>> dgamma = {};       ///< output, optional, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional, C
  double negative_slope = 0;               ///< the forward's
};

/// Backward of batch_norm_act_forward. With g = mask ? dy : negative_slope * dy,
///
///   dresidual = g,  dbeta = sum(g),  dgamma = sum(g * x_hat),
///   dx = gamma * rstd * (g - dbeta / N - x_hat * dgamma / N)
///
/// (docs/derivation.md B48, B49). dresidual is written in the pass that writes dx. If dx is not asked for, it takes a
/// pass of its own.
template <class T>
UNITVAR_API void batch_norm_act_backward(const BatchNormActBackward<T>& args, const Options& options = {});

}  // namespace unitvar
