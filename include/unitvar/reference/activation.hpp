#pragma once
#include <span>
#include <vector>

#include "unitvar/activation.hpp"
#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"

/// The leaky ReLU behind a normalization, with a residual added in between. The rules at the top of
/// unitvar/reference.hpp hold. `slope` is the derivative below zero: 0 for the ReLU, 1 for none at all; Error
/// (bad_argument) unless it is finite.
namespace unitvar::reference {

/// What the activation gives, and what its backward needs to know: one bit per element.
template <class R>
struct Activated {
  std::vector<R> y;
  std::vector<bool> mask;  ///< whether the element was above zero before the activation
};

/// The activation of a sum: h of any length, z as long or empty (= 0).
///
///   mask = h + z > 0,  y = mask ? h + z : slope * (h + z)
///
/// (B46), (B47). A NaN is not above zero, and stays NaN.
template <class R>
UNITVAR_API Activated<R> activation(std::span<const R> h, std::span<const R> z, R slope);

/// Gradient of the sum h + z, hence of h and of z alike: dy where the mask is set, slope * dy elsewhere (B48).
template <class R>
UNITVAR_API std::vector<R> activation_backward(const std::vector<bool>& mask, R slope, std::span<const R> dy);

/// What the fused training forward gives.
template <class R>
struct FusedForward {
  std::vector<R> y;        ///< extent.size()
  std::vector<bool> mask;  ///< extent.size()
  Cache<R> cache;
};

/// Training forward, residual and activation: y = act(gamma * x_hat + beta + z) (B46), (B47).
template <class R>
UNITVAR_API FusedForward<R> fused_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                          std::span<const R> beta, R eps, std::span<const R> z, R slope);

/// What the fused backward gives.
template <class R>
struct FusedGradients {
  std::vector<R> dx;      ///< extent.size()
  std::vector<R> dgamma;  ///< C
  std::vector<R> dbeta;   ///< C
  std::vector<R> dz;      ///< extent.size()
};

/// Backward of fused_forward: dz = g (B48), and the plain backward of g in the place of dy (B49).
template <class R>
UNITVAR_API FusedGradients<R> fused_backward(const Cache<R>& cache, const std::vector<bool>& mask, R slope,
                                             std::span<const R> dy);

/// Any activation as a function of one value, and its first and second derivatives. At a kink the derivative is that of
/// the side on which the value lies by the conditions of the table at unitvar::Activation; the second derivative there
/// is 0. (B46), (B88) to (B91)
template <class R>
UNITVAR_API R activation_value(const Activation& activation, R v);
template <class R>
UNITVAR_API R activation_derivative(const Activation& activation, R v);
template <class R>
UNITVAR_API R activation_second_derivative(const Activation& activation, R v);

/// What the training forward in front of any activation gives.
template <class R>
struct ActForward {
  std::vector<R> y;  ///< extent.size()
  std::vector<R> v;  ///< extent.size(), in front of the activation
  Cache<R> cache;
};

/// Training forward, residual and any activation: v = gamma * x_hat + beta + z, y = a(v).
template <class R>
UNITVAR_API ActForward<R> act_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                      std::span<const R> beta, R eps, std::span<const R> z,
                                      const Activation& activation);

/// Backward of act_forward: dz = g = a'(v) * dy, and the plain backward of g (B49).
template <class R>
UNITVAR_API FusedGradients<R> act_backward(const Cache<R>& cache, std::span<const R> v, const Activation& activation,
                                           std::span<const R> dy);

/// What the backward of act_backward gives.
template <class R>
struct ActDoubleGradients {
  std::vector<R> grad_x;      ///< extent.size()
  std::vector<R> grad_dy;     ///< extent.size()
  std::vector<R> grad_z;      ///< extent.size()
  std::vector<R> grad_gamma;  ///< C
  std::vector<R> grad_beta;   ///< C
};

/// The cotangents of act_backward's results, each of which may be empty, which is 0.
template <class R>
struct ActCotangents {
  std::span<const R> dx, dz;         ///< extent.size()
  std::span<const R> dgamma, dbeta;  ///< C
};

/// Backward of act_backward (B92).
template <class R>
UNITVAR_API ActDoubleGradients<R> act_double_backward(const Cache<R>& cache, std::span<const R> v,
                                                      const Activation& activation, std::span<const R> dy,
                                                      const ActCotangents<R>& of);

}  // namespace unitvar::reference
