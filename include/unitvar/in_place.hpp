#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization that overwrites its input: y takes the place of x, alone or behind a leaky ReLU. The backward
/// pass computes x_hat from y (Rota Bulo, Porzi & Kontschieder 2018, In-Place ABN; docs/derivation.md B58 to B61):
///
///   x_hat = (v - beta) / gamma,  v = y > 0 ? y : y / negative_slope
///
/// A network keeps y for the next layer anyway. It then keeps no x: of a block of normalization and activation, one
/// tensor instead of two.
///
///   unitvar::batch_norm_in_place_forward<float>(
///       {.extent = extent, .x = x, .gamma = gamma, .beta = beta, .rstd = rstd, .negative_slope = 0.01});
///   unitvar::batch_norm_in_place_backward<float>({.extent = extent, .y = x, .dy = dy, .rstd = rstd, .gamma = gamma,
///                                                 .beta = beta, .dx = dx, .negative_slope = 0.01});
///
/// The price is digits. y holds x_hat beside beta. A rounding error of y is 1 + |beta| / |gamma| times as large in
/// x_hat as when x_hat is computed from x. So log10 of that many decimal digits are lost (B61). A y below T's smallest
/// normal number n (6e-5 for f16) loses more: log10(n / (|gamma| * min(negative_slope, 1))) in all. A channel that
/// would lose more than max_lost_digits is refused by name, before anything is written.
///
/// A slope that cannot be inverted is refused too. It and its reciprocal must be normal numbers of the type that T is
/// computed in (f64 for f64, else f32). And y must be finite for any x. So
/// max(negative_slope, 1) * (|gamma| * sqrt(N - 1) + |beta|), with N values a channel, must not exceed T's largest
/// number. Of several ranks, N is this rank's share times their number.
///
/// The rules at the top of batch_norm.hpp hold here too, except for accuracy. dx and dgamma keep the promise given
/// there times 1 + |beta| / |gamma| of the worst channel. Those of bf16 and f16, whose y is rounded to a step, are
/// within 1 + |beta| / |gamma| steps relative to rms(x_hat) = 1.
namespace unitvar {

/// Arguments of batch_norm_in_place_forward.
template <class T>
struct BatchNormInPlaceForward {
  Extent extent;
  std::span<T> x;                          ///< input, and output y
  std::span<const param_t<T>> gamma = {};  ///< optional, C; 1 / gamma must be finite
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<double> mean = {};             ///< output, optional: batch mean, C
  std::span<double> var = {};              ///< output, optional: biased batch variance, C
  std::span<double> rstd = {};             ///< output, optional, C: what the backward needs
  double eps = 1e-5;
  double negative_slope = 1;   ///< of the leaky ReLU behind it; > 0, and as said above; 1 is none
  double max_lost_digits = 1;  ///< decimal digits of x_hat that the backward may lose
};

/// Training forward in place: batch_norm_forward, then y = v > 0 ? v : negative_slope * v (B46), written over x.
/// Throws Error (bad_argument) if gamma or 1 / gamma is not finite in a channel, or if y might not be finite. It throws
/// the same if a channel would lose more than max_lost_digits, or if negative_slope cannot be inverted.
template <class T>
UNITVAR_API void batch_norm_in_place_forward(const BatchNormInPlaceForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_in_place_backward.
template <class T>
struct BatchNormInPlaceBackward {
  Extent extent;
  std::span<const T> y;                    ///< what the forward made of x
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< the forward's
  std::span<const param_t<T>> beta = {};   ///< the forward's
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional, C
  double negative_slope = 1;               ///< the forward's
  double max_lost_digits = 1;              ///< as the forward's: checked again, with the gamma and beta of now
};

/// Backward from y instead of x (B60): with g = y > 0 ? dy : negative_slope * dy and v as above,
///
///   dbeta = sum(g),  dgamma = sum(g * (v - beta)) / gamma,
///   dx = gamma * rstd * (g - dbeta / N - (v - beta) / gamma * dgamma / N)
///
/// It takes the same passes over memory as batch_norm_backward, and throws what the forward throws. gamma and beta must
/// be those of the forward: an optimizer's step between the two makes the result wrong.
template <class T>
UNITVAR_API void batch_norm_in_place_backward(const BatchNormInPlaceBackward<T>& args, const Options& options = {});

}  // namespace unitvar
