#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/options.hpp"
#include "unitvar/row_extent.hpp"

/// Layer and RMS normalization behind a residual addition, as between the blocks of a transformer:
///
///   h = x + residual,  y = norm(h)
///
/// in one pass over memory, which reads two tensors and writes two. Both results are returned: h is what the next
/// addition takes.
///
///   const unitvar::RowExtent extent{.rows = 4096, .length = 768};
///   unitvar::rms_norm_add_forward<float>(
///       {.extent = extent, .x = x, .residual = h, .gamma = gamma, .y = y, .h = h, .rstd = rstd});
///
/// h is rounded to T once, and the h that is normalized is the one that is returned. So y, mean and rstd have the bits
/// of layer_norm_forward or rms_norm_forward on h, and the backward needs h alone.
///
/// The rules at the top of unitvar/layer_norm.hpp hold for these functions too: shapes, dtypes, optional spans,
/// one_plus_gamma, errors, memory, threads, bits and accuracy. What may overlap stands at each argument.
///
/// Memory: besides, each thread of a forward keeps 16 KiB of h, or one row if that is more.
///
/// The second derivatives are those of layer_norm_double_backward and rms_norm_double_backward with h as x. The
/// gradient for dh is grad_dx.
namespace unitvar {

/// Arguments of layer_norm_add_forward.
template <class T>
struct LayerNormAddForward {
  RowExtent extent;
  std::span<const T> x;                    ///< input
  std::span<const T> residual;             ///< input, added to x
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, D
  std::span<const param_t<T>> beta = {};   ///< shift, optional, D
  std::span<T> y;                          ///< output: h normalized; may be exactly x or exactly the residual
  std::span<T> h;               ///< output: x + residual; may be exactly x or exactly the residual, if y is not
  std::span<double> mean = {};  ///< output, optional: each row's mean of h
  std::span<double> rstd = {};  ///< output, optional: 1 / sqrt(var + eps) with the biased var of the row of h
  double eps = 1e-5;            ///< finite; var + eps must be > 0
  bool one_plus_gamma = false;  ///< 1 + gamma takes gamma's place
};

/// Adds a residual and normalizes each row of the sum by its own mean and biased variance.
///
///   h = x + residual, rounded to T
///   mean = sum(h) / D,  var = sum((h - mean)^2) / D,  y_i = gamma_i * (h_i - mean) / sqrt(var + eps) + beta_i
///
/// (docs/derivation.md B86). With eps <= 0 all variances are checked before the first write.
template <class T>
UNITVAR_API void layer_norm_add_forward(const LayerNormAddForward<T>& args, const Options& options = {});

/// Arguments of layer_norm_add_backward.
template <class T>
struct LayerNormAddBackward {
  RowExtent extent;
  std::span<const T> h;                    ///< the forward's sum
  std::span<const T> dy;                   ///< dL/dy
  std::span<const T> dh = {};              ///< optional: what arrives at h from all but y; absent is 0
  std::span<const double> mean;            ///< saved by the forward
  std::span<const double> rstd;            ///< saved by the forward
  std::span<const param_t<T>> gamma = {};  ///< optional, D
  std::span<T> dx = {};               ///< output, optional: dL/dx and dL/dresidual; may be exactly dy or exactly dh
  std::span<param_t<T>> dgamma = {};  ///< output, optional: dL/dgamma, D
  std::span<param_t<T>> dbeta = {};   ///< output, optional: dL/dbeta, D
  bool one_plus_gamma = false;        ///< as in the forward
};

/// Backward of layer_norm_add_forward. x and the residual have the same gradient, dx. With g = gamma * dy and
/// h_hat = (h - mean) * rstd,
///
///   dx     = rstd * (g - sum(g) / D - h_hat * sum(g * h_hat) / D) + dh    sums over the row
///   dgamma = sum(dy * h_hat),  dbeta = sum(dy)                            sums over the rows, for each column
///
/// (docs/derivation.md B87). dx is rounded to T once, after dh is added. Its error is in relation to
/// gamma * dy * rstd and to dh. Without dh it has the bits of layer_norm_backward.
template <class T>
UNITVAR_API void layer_norm_add_backward(const LayerNormAddBackward<T>& args, const Options& options = {});

/// Arguments of rms_norm_add_forward.
template <class T>
struct RmsNormAddForward {
  RowExtent extent;
  std::span<const T> x;                    ///< input
  std::span<const T> residual;             ///< input, added to x
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, D
  std::span<const param_t<T>> beta = {};   ///< shift, optional, D
  std::span<T> y;                          ///< output: h normalized; may be exactly x or exactly the residual
  std::span<T> h;               ///< output: x + residual; may be exactly x or exactly the residual, if y is not
  std::span<double> rstd = {};  ///< output, optional: each row's 1 / sqrt(mean(h^2) + eps)
  double eps = 1e-5;            ///< finite; mean(h^2) + eps must be > 0
  bool one_plus_gamma = false;  ///< 1 + gamma takes gamma's place
};

/// Adds a residual and normalizes each row of the sum by its root mean square.
///
///   h = x + residual, rounded to T
///   y_i = gamma_i * h_i / sqrt(sum(h^2) / D + eps) + beta_i
///
/// (docs/derivation.md B86). With eps <= 0 all rows are checked before the first write.
template <class T>
UNITVAR_API void rms_norm_add_forward(const RmsNormAddForward<T>& args, const Options& options = {});

/// Arguments of rms_norm_add_backward.
template <class T>
struct RmsNormAddBackward {
  RowExtent extent;
  std::span<const T> h;                    ///< the forward's sum
  std::span<const T> dy;                   ///< dL/dy
  std::span<const T> dh = {};              ///< optional: what arrives at h from all but y; absent is 0
  std::span<const double> rstd;            ///< saved by the forward
  std::span<const param_t<T>> gamma = {};  ///< optional, D
  std::span<T> dx = {};               ///< output, optional: dL/dx and dL/dresidual; may be exactly dy or exactly dh
  std::span<param_t<T>> dgamma = {};  ///< output, optional: dL/dgamma, D
  std::span<param_t<T>> dbeta = {};   ///< output, optional: dL/dbeta, D
  bool one_plus_gamma = false;        ///< as in the forward
};

/// Backward of rms_norm_add_forward: as layer_norm_add_backward, with h_hat = h * rstd and
///
///   dx = rstd * (g - h_hat * sum(g * h_hat) / D) + dh    sum over the row
///
/// (docs/derivation.md B87).
template <class T>
UNITVAR_API void rms_norm_add_backward(const RmsNormAddBackward<T>& args, const Options& options = {});

}  // namespace unitvar
