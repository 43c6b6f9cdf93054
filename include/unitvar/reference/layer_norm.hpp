#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/row_extent.hpp"

/// Layer and RMS normalization of rows. The rules at the top of unitvar/reference.hpp hold, with rows in place of
/// channels. Tensors have extent.size() = rows * D elements, gamma and beta D. Statistics have one for each row.
namespace unitvar::reference {

/// What the forward of rows keeps for the backward.
template <class R>
struct RowCache {
  RowExtent extent;
  bool centered;         ///< layer normalization, which subtracts the mean
  std::vector<R> mean;   ///< 0 if not centered
  std::vector<R> var;    ///< mean square of x - mean
  std::vector<R> rstd;   ///< 1 / sqrt(var + eps)
  std::vector<R> x_hat;  ///< (x - mean) * rstd
  std::vector<R> gamma;  ///< as given, or D ones
};

/// What the forward of rows gives.
template <class R>
struct RowForward {
  std::vector<R> y;
  RowCache<R> cache;
};

/// Layer normalization:
///
///   mean = sum(x) / D, var = sum((x - mean)^2) / D, y_i = gamma_i (x_i - mean) / sqrt(var + eps) + beta_i
///
/// (B80); Ba, Kiros & Hinton 2016, equation 3.
template <class R>
UNITVAR_API RowForward<R> layer_norm_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> gamma,
                                             std::span<const R> beta, R eps);

/// RMS normalization: y_i = gamma_i x_i / sqrt(sum(x^2) / D + eps) + beta_i (B83); Zhang & Sennrich 2019, equation 4.
template <class R>
UNITVAR_API RowForward<R> rms_norm_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> gamma,
                                           std::span<const R> beta, R eps);

/// Backward of either. With g = gamma dy and means over the row,
///
///   dx = rstd (g - mean(g) - x_hat mean(g x_hat)), dgamma = sum over rows of dy x_hat, dbeta = sum over rows of dy
///
/// (B81). If the forward was not centered, mean(g) is left out (B84).
template <class R>
UNITVAR_API Gradients<R> row_norm_backward(const RowCache<R>& cache, std::span<const R> dy);

/// What the forward behind a residual gives.
template <class R>
struct RowAddForward {
  std::vector<R> h;    ///< x + residual
  RowForward<R> norm;  ///< of h
};

/// h = x + residual, and layer_norm_forward of h (B86). The library rounds h to the storage type; the reference has
/// none.
template <class R>
UNITVAR_API RowAddForward<R> layer_norm_add_forward(const RowExtent& extent, std::span<const R> x,
                                                    std::span<const R> residual, std::span<const R> gamma,
                                                    std::span<const R> beta, R eps);

/// h = x + residual, and rms_norm_forward of h (B86).
template <class R>
UNITVAR_API RowAddForward<R> rms_norm_add_forward(const RowExtent& extent, std::span<const R> x,
                                                  std::span<const R> residual, std::span<const R> gamma,
                                                  std::span<const R> beta, R eps);

/// Backward of either, where dh arrives at h from elsewhere: dx of row_norm_backward plus dh, which is the gradient of
/// x and of the residual (B87). dh has extent.size() elements, or none, which is 0.
template <class R>
UNITVAR_API Gradients<R> row_norm_add_backward(const RowCache<R>& cache, std::span<const R> dy, std::span<const R> dh);

/// Gradients of sum(v dx) + sum(p dgamma) + sum(q dbeta), the backward's results against given cotangents.
template <class R>
struct RowSecondGradients {
  std::vector<R> x, dy, gamma;
};

/// Backward of row_norm_backward: (B82), or (B85) if the forward was not centered. v has extent.size() elements, p and
/// q have D. Each may be empty, which is 0.
template <class R>
UNITVAR_API RowSecondGradients<R> row_norm_double_backward(const RowCache<R>& cache, std::span<const R> dy,
                                                           std::span<const R> v, std::span<const R> p,
                                                           std::span<const R> q);

}  // namespace unitvar::reference
