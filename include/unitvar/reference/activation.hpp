#pragma once
#include <span>
#include <vector>

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

}  // namespace unitvar::reference
