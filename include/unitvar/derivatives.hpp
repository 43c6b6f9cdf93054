#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// The derivatives of batch normalization beyond its backward pass: gradients through the returned statistics, the
/// backward of the backward, and forward mode.
///
/// A name with grad_ is the gradient of one more loss for what follows in the name. grad_dx is an input, the gradient
/// for the backward's dx; grad_x is an output, the gradient for its x. A name with _dot is a tangent: y_dot is how fast
/// y moves when x moves by x_dot. Formulas write mean() for the average over a channel, and
///
///   x_hat = (x - mean) * rstd,  P a = a - mean(a) - x_hat * mean(a * x_hat)
///
/// The gradient of a penalty on dx, with mean and rstd of the forward:
///
///   unitvar::batch_norm_double_backward<float>({.extent = extent, .x = x, .dy = dy, .mean = mean, .rstd = rstd,
///                                               .grad_dx = v, .grad_x = grad_x, .grad_dy = grad_dy});
///
/// Common to all functions here:
/// - Tensors are contiguous, of extent.size() elements in the order of Extent. Parameters, statistics and what belongs
///   to them have C elements. T is float, double, bf16 or f16; parameters are param_t<T>, statistics double.
/// - A span marked "optional" may be empty. An absent gamma is 1, and any other absent input is 0. An absent output is
///   not computed, nor what only it would need.
/// - Errors are thrown as Error before anything is written: null_data, wrong_length, bad_extent, overflow,
///   too_few_values, overlap, bad_argument, unsupported_isa.
/// - Outputs may not overlap any other argument, except where a function says so. Inputs may overlap one another.
/// - Re-entrant; no global state. Up to options.cpu.threads OpenMP threads work inside a call. The result has the same
///   bits for every thread count, instruction set and walk.
/// - Ranks: with options.communicator, means and N are those of all ranks' batches (communicator.hpp). Functions of
///   frozen statistics ignore it.
/// - NaN and Inf in one channel reach that channel's results alone. gamma * rstd must be finite, of doubles too: what
///   it enters is NaN or infinite otherwise.
/// - An empty batch gives empty tensors, and 0 for what belongs to channels. N = 1 is refused (too_few_values) where
///   the statistics are the batch's, and legal where they are frozen.
/// - Memory is passed over once for each pair of tensors whose products are summed, and once for each tensor that is
///   written. The pairs of the double backward are (x, dy), (x, v) and (dy, v).
///
/// Accuracy, as relative L2 error against the double formula on the same inputs (tests/gradient). It holds while
/// |mean|/std <= 1e4 in x, and the other tensors have no mean beyond their standard deviation:
/// - float: <= 3e-7. double: <= max(1e-14, 1e-15 |mean|/std).
/// - Where the terms of a result all but cancel (few values per channel), the error is relative to these terms.
/// - bf16 and f16: tensors are rounded once, and what belongs to channels has an error <= 1e-6.
namespace unitvar {

/// Arguments of batch_norm_statistics_backward.
template <class T>
struct BatchNormStatisticsBackward {
  Extent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward, C
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<const double> dmean = {};      ///< dL/dmean of the returned batch mean, optional
  std::span<const double> dvar = {};       ///< dL/dvar of the returned biased variance, optional
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta
};

/// Backward of the training forward for a loss of y and of the returned mean and biased variance too:
///
///   dbeta = sum(dy),  dgamma = sum(dy * x_hat)
///   dx    = gamma * rstd * P dy + dmean / N + 2 (x - mean) dvar / N
///
/// (docs/derivation.md B14, B15, B27, B50), dx in one pass. For a loss of the unbiased variance, pass its gradient
/// times N / (N - 1) as dvar.
template <class T>
UNITVAR_API void batch_norm_statistics_backward(const BatchNormStatisticsBackward<T>& args,
                                                const Options& options = {});

/// Arguments of batch_norm_double_backward and batch_norm_frozen_double_backward.
template <class T>
struct BatchNormDoubleBackward {
  Extent extent;
  std::span<const T> x;                          ///< the forward's input
  std::span<const T> dy;                         ///< what the backward was given
  std::span<const double> mean;                  ///< what the forward saved, or was given, C
  std::span<const double> rstd;                  ///< the same
  std::span<const param_t<T>> gamma = {};        ///< optional
  std::span<const T> grad_dx = {};               ///< v, optional
  std::span<const param_t<T>> grad_dgamma = {};  ///< u, optional
  std::span<const param_t<T>> grad_dbeta = {};   ///< w, optional
  std::span<T> grad_x = {};                      ///< output, optional
  std::span<T> grad_dy = {};                     ///< output, optional
  std::span<param_t<T>> grad_gamma = {};         ///< output, optional
};

/// Backward of batch_norm_backward. With v, u, w for grad_dx, grad_dgamma, grad_dbeta:
///
///   p = mean(v * x_hat),  q = mean(dy * x_hat),  A = mean(v * dy) - mean(v) * mean(dy)
///   grad_dy    = gamma * rstd * P v + u * x_hat + w
///   grad_gamma = N * rstd * (A - p q)
///   grad_x     = u * rstd * P dy - gamma * rstd^2 * (x_hat * (A - p q) + q * P v + p * P dy)
///
/// (docs/derivation.md B51 to B54). Nothing depends on beta.
template <class T>
UNITVAR_API void batch_norm_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options = {});

/// Backward of batch_norm_frozen_backward, whose statistics are given (running) ones:
///
///   grad_dy = gamma * rstd * v + u * x_hat + w,  grad_gamma = rstd * sum(v * dy),  grad_x = u * rstd * dy
///
/// (docs/derivation.md B55).
template <class T>
UNITVAR_API void batch_norm_frozen_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options = {});

/// Arguments of batch_norm_jvp and batch_norm_frozen_jvp.
template <class T>
struct BatchNormJvp {
  Extent extent;
  std::span<const T> x;                        ///< the forward's input
  std::span<const double> mean;                ///< what the forward saved, or was given, C
  std::span<const double> rstd;                ///< the same
  std::span<const param_t<T>> gamma = {};      ///< optional
  std::span<const T> x_dot = {};               ///< optional
  std::span<const param_t<T>> gamma_dot = {};  ///< optional
  std::span<const param_t<T>> beta_dot = {};   ///< optional
  std::span<T> y_dot = {};                     ///< output, optional
  std::span<double> mean_dot = {};             ///< output, optional
  std::span<double> var_dot = {};              ///< output, optional: of the biased variance
};

/// Forward mode through the training forward:
///
///   mean_dot = mean(x_dot),  var_dot = 2 mean((x - mean) * x_dot)
///   y_dot    = gamma * rstd * P x_dot + gamma_dot * x_hat + beta_dot
///
/// (docs/derivation.md B56).
template <class T>
UNITVAR_API void batch_norm_jvp(const BatchNormJvp<T>& args, const Options& options = {});

/// Forward mode through inference by given (running) statistics, which do not move: mean_dot = var_dot = 0, and
///
///   y_dot = gamma * rstd * x_dot + gamma_dot * x_hat + beta_dot
///
/// (docs/derivation.md B57).
template <class T>
UNITVAR_API void batch_norm_frozen_jvp(const BatchNormJvp<T>& args, const Options& options = {});

}  // namespace unitvar
