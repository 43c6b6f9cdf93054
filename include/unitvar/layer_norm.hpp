#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/options.hpp"
#include "unitvar/row_extent.hpp"

/// Layer and RMS normalization as free functions on the caller's memory. Each row of D contiguous elements is
/// normalized by itself. gamma and beta have a value for each element of a row.
///
///   const unitvar::RowExtent extent{.rows = 4096, .length = 768};
///   unitvar::layer_norm_forward<float>(
///       {.extent = extent, .x = x, .gamma = gamma, .beta = beta, .y = y, .mean = mean, .rstd = rstd});
///
/// T is the storage type: float, double, bf16 or f16. Statistics are summed and saved in double, whatever T is.
/// Parameters and their gradients are param_t<T>, float for the 16-bit types. Single elements are computed in double
/// for double, and in float for all else. Where float would lose digits, a row is computed in double
/// (docs/numerics.md).
///
/// Common to all functions:
/// - Tensors are contiguous and aligned for their type, of extent.size() = rows * D elements, D = extent.length.
/// Parameters have D elements.
///   Statistics have one element for each row.
/// - A span marked "optional" may be empty: an absent gamma is 1, an absent beta is 0, and an absent output is not
///   computed.
/// - one_plus_gamma: rows are scaled by 1 + gamma, as in networks that keep gamma around 0. The sum is formed in
///   param_t<T>, so it is never rounded to 16 bits. It costs a copy of gamma. An absent gamma scales by 1 all the same.
///   dgamma is the gradient for the gamma that is given.
/// - Errors are thrown as Error before anything is written: null_data, wrong_length, bad_extent, overflow,
///   bad_epsilon, overlap, bad_argument, unsupported_isa.
/// - Outputs may not overlap any other argument, except where a function says so. Inputs may overlap one another.
/// - D = 1 is legal (layer normalization then gives y = beta), and so is an empty batch: rows = 0 gives
///   dgamma = dbeta = 0.
/// - Memory: an absent parameter costs 16 KiB at most, however long a row is. From 8 rows on, parameters of bf16 are
///   copied, 4 * D bytes each. Where dgamma or dbeta is asked for, their sums need up to 4 * (log2(rows) + 3) * D
///   doubles for each thread.
/// - Re-entrant; no global state. Up to options.cpu.threads OpenMP threads share the rows. options.cpu.walk has no
///   effect: a row goes through all passes while it is cached.
/// - The result has the same bits for every thread count and instruction set, and for all floating-point settings of
///   the caller. The sign and payload of a NaN are not part of that (options.hpp).
/// - Ranks: statistics are of one row, so a communicator is ignored. dgamma and dbeta are of the rank's rows.
/// - NaN and Inf in one row reach that row's results alone, and, in its columns, dgamma and dbeta.
///
/// Accuracy, as relative L2 error against the double formula on the same inputs (tests/parity), while |mean|/std <=
/// 1e6:
/// - float: <= 3e-7. double: <= max(1e-14, 1e-15 |mean|/std).
/// - bf16 and f16: each y and dx is a step of the type at most from the double formula's, rounded once. dgamma and
///   dbeta: <= 1e-6.
/// - For float, bf16 and f16, dx's error is in relation to gamma * dy * rstd, of which it may be a small difference.
/// - Data of few distinct values keep all this (docs/numerics.md).
///
/// ONNX: LayerNormalization-17 gives Y, Mean, InvStdDev = y, mean, rstd for RowExtent::from_axis(shape, axis), with
/// Scale = gamma, B = beta, epsilon = eps. Its stash_type asks for statistics in float at least; these are double.
/// RMSNormalization-23 is rms_norm_forward without beta.
namespace unitvar {

/// Arguments of layer_norm_forward.
template <class T>
struct LayerNormForward {
  RowExtent extent;
  std::span<const T> x;                    ///< input
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, D
  std::span<const param_t<T>> beta = {};   ///< shift, optional, D
  std::span<T> y;                          ///< output; may be exactly x, if no backward needs it
  std::span<double> mean = {};             ///< output, optional: each row's mean
  std::span<double> rstd = {};             ///< output, optional: 1 / sqrt(var + eps) with the row's biased var
  double eps = 1e-5;                       ///< finite; var + eps must be > 0
  bool one_plus_gamma = false;             ///< 1 + gamma takes gamma's place
};

/// Normalizes each row by its own mean and biased variance.
///
///   mean = sum(x) / D,  var = sum((x - mean)^2) / D,  y_i = gamma_i * (x_i - mean) / sqrt(var + eps) + beta_i
///
/// (Ba, Kiros & Hinton 2016, equation 3; docs/derivation.md B80). With eps <= 0 all variances are checked before the
/// first write.
template <class T>
UNITVAR_API void layer_norm_forward(const LayerNormForward<T>& args, const Options& options = {});

/// Arguments of layer_norm_backward.
template <class T>
struct LayerNormBackward {
  RowExtent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward
  std::span<const double> rstd;            ///< saved by the forward
  std::span<const param_t<T>> gamma = {};  ///< optional, D
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, D
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, D
  bool one_plus_gamma = false;             ///< as in the forward
};

/// Backward of layer_norm_forward. With g = gamma * dy and x_hat = (x - mean) * rstd,
///
///   dx     = rstd * (g - sum(g) / D - x_hat * sum(g * x_hat) / D)    sums over the row
///   dgamma = sum(dy * x_hat),  dbeta = sum(dy)                       sums over the rows, for each column
///
/// (docs/derivation.md B81).
template <class T>
UNITVAR_API void layer_norm_backward(const LayerNormBackward<T>& args, const Options& options = {});

/// Arguments of layer_norm_double_backward. grad_ names the gradient of a second loss. Gradients for the backward's
/// outputs are inputs here; gradients for its inputs are outputs.
template <class T>
struct LayerNormDoubleBackward {
  RowExtent extent;
  std::span<const T> x;                          ///< the forward's input
  std::span<const T> dy;                         ///< what the backward was given
  std::span<const double> mean;                  ///< saved by the forward
  std::span<const double> rstd;                  ///< saved by the forward
  std::span<const param_t<T>> gamma = {};        ///< optional, D
  std::span<const T> grad_dx = {};               ///< v, optional: absent is 0
  std::span<const param_t<T>> grad_dgamma = {};  ///< p, optional, D: absent is 0
  std::span<const param_t<T>> grad_dbeta = {};   ///< q, optional, D: absent is 0
  std::span<T> grad_x = {};                      ///< output, optional
  std::span<T> grad_dy = {};                     ///< output, optional
  std::span<param_t<T>> grad_gamma = {};         ///< output, optional, D
  bool one_plus_gamma = false;                   ///< as in the forward
};

/// Backward of layer_norm_backward. v, p, q are grad_dx, grad_dgamma, grad_dbeta; g = gamma * dy. With means over the
/// row and P h = h - mean(h) - x_hat * mean(h * x_hat):
///
///   w          = rstd * P v
///   grad_dy    = gamma * w + p * x_hat + q
///   grad_gamma = sum(dy * w)                           sum over the rows, for each column
///   e          = p * dy - rstd * (g * mean(v * x_hat) + v * mean(g * x_hat))
///   grad_x     = rstd * (P e - x_hat * mean(g * w))
///
/// (docs/derivation.md B82). Nothing depends on beta. All arithmetic is in double, and results are rounded once to T.
/// Of doubles, g and w must be finite: results are NaN or infinite otherwise. gamma * rstd is not computed, and need
/// not be finite.
template <class T>
UNITVAR_API void layer_norm_double_backward(const LayerNormDoubleBackward<T>& args, const Options& options = {});

/// Arguments of rms_norm_forward.
template <class T>
struct RmsNormForward {
  RowExtent extent;
  std::span<const T> x;                    ///< input
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, D
  std::span<const param_t<T>> beta = {};   ///< shift, optional, D
  std::span<T> y;                          ///< output; may be exactly x, if no backward needs it
  std::span<double> rstd = {};             ///< output, optional: each row's 1 / sqrt(mean(x^2) + eps)
  double eps = 1e-5;                       ///< finite; mean(x^2) + eps must be > 0
  bool one_plus_gamma = false;             ///< 1 + gamma takes gamma's place
};

/// Normalizes each row by its root mean square.
///
///   y_i = gamma_i * x_i / sqrt(sum(x^2) / D + eps) + beta_i
///
/// (Zhang & Sennrich 2019, equation 4; docs/derivation.md B83). With eps <= 0 all rows are checked before the first
/// write.
template <class T>
UNITVAR_API void rms_norm_forward(const RmsNormForward<T>& args, const Options& options = {});

/// Arguments of rms_norm_backward.
template <class T>
struct RmsNormBackward {
  RowExtent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> rstd;            ///< saved by the forward
  std::span<const param_t<T>> gamma = {};  ///< optional, D
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, D
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, D
  bool one_plus_gamma = false;             ///< as in the forward
};

/// Backward of rms_norm_forward. With g = gamma * dy and x_hat = x * rstd,
///
///   dx     = rstd * (g - x_hat * sum(g * x_hat) / D)    sum over the row
///   dgamma = sum(dy * x_hat),  dbeta = sum(dy)          sums over the rows, for each column
///
/// (docs/derivation.md B84).
template <class T>
UNITVAR_API void rms_norm_backward(const RmsNormBackward<T>& args, const Options& options = {});

/// Arguments of rms_norm_double_backward. grad_ names the gradient of a second loss. Gradients for the backward's
/// outputs are inputs here; gradients for its inputs are outputs.
template <class T>
struct RmsNormDoubleBackward {
  RowExtent extent;
  std::span<const T> x;                          ///< the forward's input
  std::span<const T> dy;                         ///< what the backward was given
  std::span<const double> rstd;                  ///< saved by the forward
  std::span<const param_t<T>> gamma = {};        ///< optional, D
  std::span<const T> grad_dx = {};               ///< v, optional: absent is 0
  std::span<const param_t<T>> grad_dgamma = {};  ///< p, optional, D: absent is 0
  std::span<const param_t<T>> grad_dbeta = {};   ///< q, optional, D: absent is 0
  std::span<T> grad_x = {};                      ///< output, optional
  std::span<T> grad_dy = {};                     ///< output, optional
  std::span<param_t<T>> grad_gamma = {};         ///< output, optional, D
  bool one_plus_gamma = false;                   ///< as in the forward
};

/// Backward of rms_norm_backward: as layer_norm_double_backward, with P h = h - x_hat * mean(h * x_hat)
/// (docs/derivation.md B85).
template <class T>
UNITVAR_API void rms_norm_double_backward(const RmsNormDoubleBackward<T>& args, const Options& options = {});

}  // namespace unitvar
