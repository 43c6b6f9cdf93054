#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/forward.hpp"

/// Backward passes by a closed form for dx, every form as its author gives it. In exact arithmetic they are one.
/// The rules at the top of unitvar/reference.hpp hold; dy = dL/dy has extent.size() elements.
namespace unitvar::reference {

/// What a backward pass gives.
template <class R>
struct Gradients {
  std::vector<R> dx;      ///< extent.size()
  std::vector<R> dgamma;  ///< C
  std::vector<R> dbeta;   ///< C
};

/// The backward pass: backward_one_line, the form that the library's kernels follow.
template <class R>
UNITVAR_API Gradients<R> backward(const Cache<R>& cache, std::span<const R> dy);

/// Closed form in the means of dy and dy * x_hat, "in a single line":
///
///   dx = gamma * rstd * (dy - mean(dy) - x_hat * mean(dy * x_hat))
///
/// (B27); A. Talwar, "Calculus for Batch Normalization", 1 June 2017, from its Jacobian (2.4).
template <class R>
UNITVAR_API Gradients<R> backward_one_line(const Cache<R>& cache, std::span<const R> dy);

/// Closed form with the factor 1/m (m = N) and dx_hat = gamma * dy:
///
///   dx = rstd / m * (m dx_hat - sum(dx_hat) - x_hat * sum(dx_hat * x_hat))
///
/// (B28); "BatchNorm - Part 2: Backward Pass", 13 October 2023.
template <class R>
UNITVAR_API Gradients<R> backward_dx_hat_form(const Cache<R>& cache, std::span<const R> dy);

/// Closed form in the parameter gradients, batchnorm_backward_alt:
///
///   dx = gamma * rstd / N * (N dy - x_hat * dgamma - dbeta)
///
/// (B29); P. Costa, post on deriving the batch norm gradient expression, edited 17 December 2016.
template <class R>
UNITVAR_API Gradients<R> backward_sums_form(const Cache<R>& cache, std::span<const R> dy);

/// Closed form in X - mu and v, without x_hat and without a cache:
///
///   dx = gamma (v + eps)^(-1/2) (-1/N sum(dy) - (X - mu) (v + eps)^(-1) 1/N sum((x - mu) dy) + dy)
///
/// (B30); "Derivative of BatchNorm operation w.r.t X", V. Kadulin, 13 October 2022. `mean` and `v`, the biased
/// variance, are those of the batch, C each. dgamma = (v + eps)^(-1/2) sum((x - mu) dy).
template <class R>
UNITVAR_API Gradients<R> backward_matrix_form(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                              std::span<const R> v, std::span<const R> gamma, R eps,
                                              std::span<const R> dy);

/// Closed form in plain sums about the mean, which add over tiles, threads and ranks:
///
///   sum_dy = sum(dy), sum_dy_xmu = sum(dy * (x - mean)), dbeta = sum_dy, dgamma = rstd * sum_dy_xmu
///   dx = gamma * rstd * (dy - sum_dy / N - (x - mean) * rstd^2 * sum_dy_xmu / N)
///
/// (B31): (B30) with the sums named; the form of gradient_sums and input_gradient in unitvar/phases.hpp.
template <class R>
UNITVAR_API Gradients<R> backward_phases_form(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                              std::span<const R> rstd, std::span<const R> gamma, std::span<const R> dy);

/// Backward of inference(): the statistics are constants, so nothing flows through them.
///
///   dx = gamma * rstd * dy, dgamma = sum(dy * (x - mean) * rstd), dbeta = sum(dy)
///
/// (B42). `mean` and `rstd` are the statistics that the forward used, C each.
template <class R>
UNITVAR_API Gradients<R> backward_frozen(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                         std::span<const R> rstd, std::span<const R> gamma, std::span<const R> dy);

}  // namespace unitvar::reference
