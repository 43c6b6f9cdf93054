#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization with what usually follows it, in the same passes over memory: an addition (the residual of a
/// block) and an activation a.
///
///   v = gamma * (x - mean) * rstd + beta + residual,  y = a(v)
///
/// The residual is added, and the activation taken, before y is rounded to T. NaN stays NaN.
///
/// The backward pass needs a'(v). ReLU, leaky ReLU and clip need one bit of each element: the forward leaves it in
/// `mask`. The order of the bits depends on the extent alone: a mask made on one machine serves on another. It is not
/// part of the interface. Hard-swish and SiLU need v: the backward computes it again from x, beta and the residual,
/// with the forward's bits, so nothing else of the tensor's size is kept. The identity needs neither.
///
///   constexpr auto relu = unitvar::Activation::relu();
///   std::vector<std::uint8_t> mask(unitvar::batch_norm_act_mask_bytes(e, relu));
///   unitvar::batch_norm_act_forward<float>({.extent = e, .x = x, .y = y, .mask = mask, .mean = mean, .rstd = rstd});
///   unitvar::batch_norm_act_backward<float>(
///       {.extent = e, .x = x, .dy = dy, .mask = mask, .mean = mean, .rstd = rstd, .dx = dx});
///
/// The rules at the top of batch_norm.hpp hold here too: layout, optional spans, errors, overlap, threads, ranks, bits,
/// accuracy. The exponential in SiLU is the library's own, with a relative error of y below 3e-7 in float and 1e-15 in
/// double, and the same bits on every instruction set. An activation whose numbers are not finite, or a clip whose low
/// is not below its high, is bad_argument.
namespace unitvar {

/// What follows the normalization: y = a(v). (docs/derivation.md B46, B88 to B91)
///
/// | kind       | a(v)                           | a'(v)                                  | backward needs |
/// |------------|--------------------------------|----------------------------------------|----------------|
/// | identity   | v                              | 1                                      | nothing        |
/// | leaky_relu | v > 0 ? v : negative_slope * v | v > 0 ? 1 : negative_slope             | the mask       |
/// | clip       | min(max(v, low), high)         | low < v < high ? 1 : 0                 | the mask       |
/// | hard_swish | v * min(max(v + 3, 0), 6) / 6  | v <= -3 ? 0 : v >= 3 ? 1 : v / 3 + 1/2 | v              |
/// | silu       | v * s, s = 1 / (1 + exp(-v))   | s * (1 + v * (1 - s))                  | v              |
///
/// ReLU is leaky_relu with slope 0, and ReLU6 clip(0, 6). Hard-swish is MobileNetV3's (arXiv:1905.02244), SiLU the
/// swish of arXiv:1710.05941 with beta = 1.
struct Activation {
  enum class Kind : std::uint8_t { identity, leaky_relu, clip, hard_swish, silu };
  Kind kind = Kind::leaky_relu;
  double negative_slope = 0;  ///< of leaky_relu
  double low = 0, high = 6;   ///< of clip

  static constexpr Activation identity() noexcept { return {.kind = Kind::identity}; }
  static constexpr Activation relu() noexcept { return {}; }
  static constexpr Activation leaky_relu(double negative_slope) noexcept { return {.negative_slope = negative_slope}; }
  static constexpr Activation clip(double low = 0, double high = 6) noexcept {
    return {.kind = Kind::clip, .low = low, .high = high};
  }
  static constexpr Activation hard_swish() noexcept { return {.kind = Kind::hard_swish}; }
  static constexpr Activation silu() noexcept { return {.kind = Kind::silu}; }

  /// Whether the backward needs the mask.
  [[nodiscard]] constexpr bool has_mask() const noexcept { return kind == Kind::leaky_relu || kind == Kind::clip; }
  /// Whether the backward computes v again.
  [[nodiscard]] constexpr bool is_recomputed() const noexcept { return kind == Kind::hard_swish || kind == Kind::silu; }
};

/// Bytes of the mask of a tensor: a bit for each element, rounded up to a byte for each row, and eight more; 0 for an
/// activation that has no mask. Throws Error: bad_extent; overflow, if a tensor of 16-bit elements exceeds 64 bits.
UNITVAR_API std::int64_t batch_norm_act_mask_bytes(const Extent& extent, const Activation& activation = {});

/// Arguments of batch_norm_act_forward.
template <class T>
struct BatchNormActForward {
  Extent extent;
  std::span<const T> x;                    ///< input
  std::span<const T> residual = {};        ///< optional, as many elements as x
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<T> y;                          ///< output; may be exactly the residual
  std::span<std::uint8_t> mask = {};       ///< output, optional, batch_norm_act_mask_bytes(extent, activation) bytes
  std::span<double> mean = {};             ///< output, optional: batch mean, C
  std::span<double> var = {};              ///< output, optional: biased batch variance, C
  std::span<double> rstd = {};             ///< output, optional, C
  double eps = 1e-5;
  Activation activation = {};
};

/// Training forward: batch_norm_forward, then the sum and the activation (docs/derivation.md B46, B47, B88, B90, B91).
/// It takes the plain layer's passes over memory, and one more read for the residual.
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
  Activation activation = {};
};

/// Inference: batch_norm_inference, then the sum and the activation (docs/derivation.md B6, B46).
template <class T>
UNITVAR_API void batch_norm_act_inference(const BatchNormActInference<T>& args, const Options& options = {});

/// Arguments of batch_norm_act_backward.
template <class T>
struct BatchNormActBackward {
  Extent extent;
  std::span<const T> x;                     ///< the forward's input
  std::span<const T> dy;                    ///< dL/dy
  std::span<const std::uint8_t> mask = {};  ///< the forward's; empty if the activation has none
  std::span<const T> residual = {};         ///< the forward's, for hard-swish and SiLU; the others do not read it
  std::span<const double> mean;             ///< saved by the forward, C
  std::span<const double> rstd;             ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};   ///< optional
  std::span<const param_t<T>> beta = {};    ///< the forward's, for hard-swish and SiLU; the others do not read it
  std::span<T> dx = {};                     ///< output, optional: dL/dx; may be exactly dy
  std::span<T> dresidual = {};              ///< output, optional: dL/dresidual
  std::span<param_t<T>> dgamma = {};        ///< output, optional, C
  std::span<param_t<T>> dbeta = {};         ///< output, optional, C
  Activation activation = {};               ///< the forward's
};

/// Backward of batch_norm_act_forward. With g = a'(v) * dy,
///
///   dresidual = g,  dbeta = sum(g),  dgamma = sum(g * x_hat),
///   dx = gamma * rstd * (g - dbeta / N - x_hat * dgamma / N)
///
/// (docs/derivation.md B48, B49, B89, B91). dresidual is written in the pass that writes dx. If dx is not asked for, it
/// takes a pass of its own. It depends on mean and rstd through v alone: dresidual by itself is the gradient in front
/// of the activation for inference, too, whose mean and var are given ones; then one value per channel is legal.
///
/// Hard-swish and SiLU write g to dresidual, or to dx, in the first pass. So 16-bit types round g once before dx is
/// computed from it. If neither is asked for, or ranks share the batch, they take memory of the tensor's size for the
/// time of the call. So does the identity on ranks, if dx takes the place of dy and dresidual is asked for.
template <class T>
UNITVAR_API void batch_norm_act_backward(const BatchNormActBackward<T>& args, const Options& options = {});

/// Arguments of batch_norm_act_double_backward and batch_norm_act_frozen_double_backward.
template <class T>
struct BatchNormActDoubleBackward {
  Extent extent;
  std::span<const T> x;                          ///< the forward's input
  std::span<const T> dy;                         ///< what the backward was given
  std::span<const T> residual = {};              ///< the forward's, of any activation
  std::span<const double> mean;                  ///< what the forward saved, or was given, C
  std::span<const double> rstd;                  ///< the same
  std::span<const param_t<T>> gamma = {};        ///< optional
  std::span<const param_t<T>> beta = {};         ///< optional
  std::span<const T> grad_dx = {};               ///< gradient with respect to dx, optional
  std::span<const T> grad_dresidual = {};        ///< with respect to dresidual, optional
  std::span<const param_t<T>> grad_dgamma = {};  ///< optional
  std::span<const param_t<T>> grad_dbeta = {};   ///< optional
  std::span<T> grad_x = {};                      ///< output, optional
  std::span<T> grad_dy = {};                     ///< output, optional
  std::span<T> grad_residual = {};               ///< output, optional: 0 but for hard-swish and SiLU
  std::span<param_t<T>> grad_gamma = {};         ///< output, optional
  std::span<param_t<T>> grad_beta = {};          ///< output, optional: 0 but for hard-swish and SiLU
  Activation activation = {};
};

/// Backward of batch_norm_act_backward. Let t be what batch_norm_double_backward gives for grad_dy, plus
/// grad_dresidual:
///
///   grad_dy = a'(v) * t,  h = a''(v) * dy * t = grad_residual,  grad_beta = sum(h)
///
/// grad_x and grad_gamma are those of batch_norm_double_backward with g = a'(v) * dy in the place of dy, plus dx and
/// dgamma of batch_norm_backward with h in its place (docs/derivation.md B92). It takes memory of twice the
/// tensor's size for the time of the call. No mask is needed. 16-bit types round g, t and h.
template <class T>
UNITVAR_API void batch_norm_act_double_backward(const BatchNormActDoubleBackward<T>& args, const Options& options = {});

/// The same behind inference by given (running) statistics: batch_norm_frozen_double_backward, and dx = gamma * rstd *
/// h (docs/derivation.md B42, B55, B92).
template <class T>
UNITVAR_API void batch_norm_act_frozen_double_backward(const BatchNormActDoubleBackward<T>& args,
                                                       const Options& options = {});

}  // namespace unitvar
