#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"

/// The derivatives that the closed forms are made of: the seven partials, the sum that ties them together, and the
/// Jacobian. They are of one channel of n values. The rules at the top of unitvar/reference.hpp hold; the partials are
/// formulas of numbers and throw nothing.
namespace unitvar::reference {

/// @name Partials
/// "BatchNorm - Part 2: Backward Pass", 13 October 2023: six by number, the seventh "and, finally". Each holds the
/// other arguments of its function constant: dx_hat/dx leaves mean and var where they are.
/// @{

/// dy_i / dx_hat_i = gamma (B16).
template <class R>
UNITVAR_API R partial_y_x_hat(R gamma);
/// dx_hat_i / dx_i = rstd, with mean and var held (B17).
template <class R>
UNITVAR_API R partial_x_hat_x(R rstd);
/// dx_hat_i / dvar = -1/2 (x_i - mean) rstd^3 (B18).
template <class R>
UNITVAR_API R partial_x_hat_var(R x_i, R mean, R rstd);
/// dvar / dx_i = 2/n (x_i - mean) for the biased var; with mean held, and also with it not held, by (B21) (B19).
template <class R>
UNITVAR_API R partial_var_x(R x_i, R mean, std::int64_t n);
/// dx_hat_i / dmean = -rstd, with var held (B20).
template <class R>
UNITVAR_API R partial_x_hat_mean(R rstd);
/// dvar / dmean = -2/n sum(x - mean), summed, not assumed: 0 up to rounding if mean is the mean of x (B21).
template <class R>
UNITVAR_API R partial_var_mean(std::span<const R> x, R mean);
/// dmean / dx_i = 1/n (B22).
template <class R>
UNITVAR_API R partial_mean_x(std::int64_t n);
/// @}

/// drstd / dx_i = -1/n rstd^3 (x_i - mean) (B23); A. Talwar, "Calculus for Batch Normalization", 1 June 2017, equation
/// (2.3).
template <class R>
UNITVAR_API R partial_rstd_x(R x_i, R mean, R rstd, std::int64_t n);

/// Backward pass as the chain rule over the partials, nothing simplified:
///
///   dL/dvar  = sum_j dx_hat_j * dx_hat_j/dvar
///   dL/dmean = sum_j dx_hat_j * dx_hat_j/dmean + dL/dvar * dvar/dmean
///   dx_i     = dx_hat_i * dx_hat_i/dx_i + dL/dmean * dmean/dx_i + dL/dvar * dvar/dx_i
///
/// with dx_hat_i = dy_i * dy_i/dx_hat_i (B26); the same post as the partials. `x` is the forward's input.
template <class R>
UNITVAR_API Gradients<R> backward_partials(const Cache<R>& cache, std::span<const R> x, std::span<const R> dy);

/// Jacobian of x_hat for one channel, by the product rule on (x - mu) (v + eps)^(-1/2):
///
///   dx_hat_k/dx_i = (1(k = i) - 1/n) (v + eps)^(-1/2) - 1/n (x_k - mu) (x_i - mu) (v + eps)^(-3/2)
///
/// (B24); "Derivative of BatchNorm operation w.r.t X", V. Kadulin, 13 October 2022. `v` is the biased variance. Returns
/// n x n, row k, column i, at k * n + i.
template <class R>
UNITVAR_API std::vector<R> jacobian_x_hat(std::span<const R> x, R mean, R v, R eps);

/// Jacobian of y for one channel:
///
///   dy_k/dx_i = gamma * rstd * (1(k = i) - 1/n - x_hat_k x_hat_i / n)
///
/// (B25); Talwar, equation (2.4). Returns n x n, row k, column i, at k * n + i; it is symmetric.
template <class R>
UNITVAR_API std::vector<R> jacobian(std::span<const R> x_hat, R gamma, R rstd);

/// Backward pass with dx = Jacobian^T dy, the chain rule over the batch as it stands (B12); Talwar, equation 1. Time
/// and memory are N^2 a channel: for small N.
template <class R>
UNITVAR_API Gradients<R> backward_jacobian(const Cache<R>& cache, std::span<const R> dy);

}  // namespace unitvar::reference
