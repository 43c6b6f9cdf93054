#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"

/// Every derivative beyond the backward pass: gradients through the returned statistics, the backward of the backward,
/// and forward mode. The rules at the top of unitvar/reference.hpp hold.
///
/// A name with grad_ is the gradient of one more loss for what follows in the name. grad_dx is an input, the gradient
/// for the backward's dx; grad_x is an output, the gradient for its x. A name with _dot is a tangent: y_dot is how fast
/// y moves when x moves by x_dot. A cotangent or tangent that is an input may be empty, which is 0.
namespace unitvar::reference {

/// Backward of a loss of y and of the returned batch mean and biased variance too:
///
///   dx_i += dmean / N + 2 (x_i - mean) dvar / N
///
/// (B50). dmean, dvar: C each, or empty. For the unbiased variance, M2 / (N - 1), pass dvar * N / (N - 1).
template <class R>
UNITVAR_API Gradients<R> statistics_backward(const Cache<R>& cache, std::span<const R> dy, std::span<const R> dmean,
                                             std::span<const R> dvar);

/// What the backward of a backward pass gives.
template <class R>
struct DoubleGradients {
  std::vector<R> grad_x;      ///< extent.size()
  std::vector<R> grad_dy;     ///< extent.size()
  std::vector<R> grad_gamma;  ///< C
};

/// Backward of backward(). With v, u, w for grad_dx, grad_dgamma, grad_dbeta, and
/// P a = a - mean(a) - x_hat * mean(a * x_hat):
///
///   p = mean(v * x_hat),  q = mean(dy * x_hat),  A = mean(v * dy) - mean(v) * mean(dy)             (B51)
///   grad_dy    = gamma * rstd * P v + u * x_hat + w                                                (B52)
///   grad_gamma = N * rstd * (A - p q)                                                              (B53)
///   grad_x     = rstd * P(u dy) - gamma * rstd^2 * (x_hat * (A - p q) + q * P v + p * P dy)        (B54)
///
/// dx does not depend on beta, so beta has no gradient.
template <class R>
UNITVAR_API DoubleGradients<R> double_backward(const Cache<R>& cache, std::span<const R> dy, std::span<const R> grad_dx,
                                               std::span<const R> grad_dgamma, std::span<const R> grad_dbeta);

/// Backward of backward_frozen():
///
///   grad_dy = gamma * rstd * v + u * x_hat + w,  grad_gamma = rstd * sum(v * dy),  grad_x = u * rstd * dy
///
/// (B55). `mean` and `rstd` are the statistics that the forward used, C each.
template <class R>
UNITVAR_API DoubleGradients<R> frozen_double_backward(const Extent& extent, std::span<const R> x,
                                                      std::span<const R> mean, std::span<const R> rstd,
                                                      std::span<const R> gamma, std::span<const R> dy,
                                                      std::span<const R> grad_dx, std::span<const R> grad_dgamma,
                                                      std::span<const R> grad_dbeta);

/// What forward mode gives.
template <class R>
struct Tangents {
  std::vector<R> y_dot;     ///< extent.size()
  std::vector<R> mean_dot;  ///< C
  std::vector<R> var_dot;   ///< C, of the biased variance
};

/// Forward mode through forward():
///
///   mean_dot = mean(x_dot),  var_dot = 2 mean((x - mean) * x_dot)
///   y_dot    = gamma * rstd * P x_dot + gamma_dot * x_hat + beta_dot
///
/// (B56).
template <class R>
UNITVAR_API Tangents<R> jvp(const Cache<R>& cache, std::span<const R> x_dot, std::span<const R> gamma_dot,
                            std::span<const R> beta_dot);

/// Forward mode through inference(), whose statistics are constants; returns y_dot:
///
///   y_dot = gamma * rstd * x_dot + gamma_dot * x_hat + beta_dot
///
/// (B57).
template <class R>
UNITVAR_API std::vector<R> frozen_jvp(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                      std::span<const R> rstd, std::span<const R> gamma, std::span<const R> x_dot,
                                      std::span<const R> gamma_dot, std::span<const R> beta_dot);

}  // namespace unitvar::reference
