#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/group_norm.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/derivatives.hpp"

/// Group normalization; instance normalization is G = C. The rules at the top of unitvar/reference.hpp hold, with
/// groups in the place of channels. A group has M = groups.count() values. Statistics have N*G = groups.size()
/// elements.
namespace unitvar::reference {

/// What the forward keeps for the backward.
template <class R>
struct GroupCache {
  Groups groups;
  std::vector<R> mean;   ///< (B73), (B74), N*G
  std::vector<R> var;    ///< biased, N*G
  std::vector<R> rstd;   ///< 1 / sqrt(var + eps), N*G
  std::vector<R> x_hat;  ///< extent.size()
  std::vector<R> gamma;  ///< as given, or C ones
};

/// What the forward gives.
template <class R>
struct GroupForward {
  std::vector<R> y;  ///< extent.size()
  GroupCache<R> cache;
};

/// Forward, two passes over each group: mean, then the biased variance about that mean.
///
///   mean = sum(x) / M, var = sum((x - mean)^2) / M, x_hat = (x - mean) / sqrt(var + eps), y = gamma_c x_hat + beta_c
///
/// (B73), (B74); Wu & He 2018, Ulyanov et al. 2016.
template <class R>
UNITVAR_API GroupForward<R> group_norm_forward(const Groups& groups, std::span<const R> x, std::span<const R> gamma,
                                               std::span<const R> beta, R eps);

/// Backward:
///
///   dx = rstd * (gamma_c dy - mean(gamma dy) - x_hat * mean(gamma dy * x_hat)), means over the group,
///   dgamma_c = sum(dy * x_hat), dbeta_c = sum(dy), sums over all samples' channel c
///
/// (B75).
template <class R>
UNITVAR_API Gradients<R> group_norm_backward(const GroupCache<R>& cache, std::span<const R> dy);

/// Backward of group_norm_backward. v, u, w are grad_dx, grad_dgamma, grad_dbeta; empty is 0. With means over the
/// group, P a = a - mean(a) - x_hat * mean(a * x_hat) and gy = gamma_c dy:
///
///   p = mean(v * x_hat),  q = mean(gy * x_hat),  A = mean(v * gy) - mean(v) * mean(gy)
///   grad_dy    = gamma_c * rstd * P v + u_c * x_hat + w_c
///   grad_gamma = sum of dy * rstd * P v over all samples' channel c
///   grad_x     = rstd * P(u dy) - rstd^2 * (x_hat * (A - p q) + q * P v + p * P gy)
///
/// (B79), the gradient of (B77) by (B78).
template <class R>
UNITVAR_API DoubleGradients<R> group_norm_double_backward(const GroupCache<R>& cache, std::span<const R> dy,
                                                          std::span<const R> grad_dx, std::span<const R> grad_dgamma,
                                                          std::span<const R> grad_dbeta);

}  // namespace unitvar::reference
