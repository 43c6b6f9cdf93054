#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "unitvar/api.hpp"

/// Numeric differentiation of any function, in double: central differences with Richardson extrapolation, to check
/// gradients by. Knows nothing of normalization.
///
///   const auto f = [&](std::span<const double> x) { return loss(x); };
///   const auto report = unitvar::gradcheck(f, x, analytic);  // report.max_rel_error
///
/// Common to all functions here:
/// - x is perturbed in place, one element at a time, and restored bit for bit, also if the function throws. The
///   function is called with x itself, so it may as well read it through another name for the same memory.
/// - Errors are thrown as Error before the first call of the function: null_data, wrong_length, bad_argument (no
///   function, options out of range, an x that is not finite).
/// - Accuracy, for a function that is smooth within `step` of x: about 1e-15 |f| / step, plus the function's own
///   rounding divided by step. Each value comes with an estimate of its error.
/// - Cost: up to 2 * levels calls for each element of x, one at a time, in the calling thread. No global state.
namespace unitvar {

using ScalarFunction = std::function<double(std::span<const double> x)>;
/// Writes all of y; y has as many elements as the caller of numeric_jacobian or numeric_vjp says.
using VectorFunction = std::function<void(std::span<const double> x, std::span<double> y)>;

/// How the differences are taken.
struct DifferenceOptions {
  /// Largest step h; those after it are h/2, h/4, ... It should be a fraction of the length over which the function
  /// changes its course. It is absolute: |x| does not matter. A step below 2^-46 |x| would be lost beside x; then
  /// 2^-26 |x| is taken.
  double step = 0.125;
  /// Steps at most, 2 to 30. The table stops by itself where rounding takes over.
  int levels = 10;
};

/// A gradient and the extrapolation table's own estimate of its absolute error, n elements each. Where the function was
/// not finite at any step the value is NaN and the error infinite.
struct NumericGradient {
  std::vector<double> value;
  std::vector<double> error;
};

/// Gradient of a scalar function by Ridders' method:
///
///   D(h, 0) = (f(x + h) - f(x - h)) / (2 h),   D(h, j) = D(h, j-1) + (D(h, j-1) - D(2h, j-1)) / (4^j - 1)
///
/// taking the entry whose estimated error is least (Richardson 1911, Ridders 1982; docs/derivation.md B43, B44).
[[nodiscard]] UNITVAR_API NumericGradient numeric_gradient(const ScalarFunction& f, std::span<double> x,
                                                           const DifferenceOptions& options = {});

/// A Jacobian dy_k/dx_i at k * columns + i, and the estimated error of each element.
struct NumericJacobian {
  std::size_t rows = 0;     ///< elements of y
  std::size_t columns = 0;  ///< elements of x
  std::vector<double> value;
  std::vector<double> error;
};

/// Jacobian of a function of `outputs` values, element by element as numeric_gradient (B43, B44).
[[nodiscard]] UNITVAR_API NumericJacobian numeric_jacobian(const VectorFunction& f, std::size_t outputs,
                                                           std::span<double> x, const DifferenceOptions& options = {});

/// Gradient of sum(dy * f(x)) for a given dy: what a backward pass returns for dx (CS231n's
/// eval_numerical_gradient_array). f gives dy.size() values; the sum is taken in long double.
/// dy may not overlap x, which moves.
[[nodiscard]] UNITVAR_API NumericGradient numeric_vjp(const VectorFunction& f, std::span<double> x,
                                                      std::span<const double> dy,
                                                      const DifferenceOptions& options = {});

/// Largest |a - b| / max(1e-8, |a| + |b|): the rel_error of CS231n (B45). 0 for no elements, infinity if a NaN or an
/// infinity stands on either side. Throws Error (wrong_length) unless both have the same length.
[[nodiscard]] UNITVAR_API double rel_error(std::span<const double> a, std::span<const double> b);

/// |a - b| / max(1e-8, |b|) in the L2 norm (B45); the same rules as rel_error.
[[nodiscard]] UNITVAR_API double l2_error(std::span<const double> a, std::span<const double> b);

/// What gradcheck saw.
struct GradcheckReport {
  double max_rel_error = 0;      ///< rel_error(analytic, numeric)
  double l2_error = 0;           ///< l2_error(analytic, numeric)
  std::size_t worst = 0;         ///< index of the element that max_rel_error comes from
  double analytic_at_worst = 0;  ///< the two values there
  double numeric_at_worst = 0;
  double error_at_worst = 0;  ///< the estimated absolute error of numeric_at_worst
  double largest_error = 0;   ///< the largest estimated absolute error of any numeric element
};

/// Compares an analytic gradient of a scalar function with numeric_gradient. `analytic` has x.size() elements.
[[nodiscard]] UNITVAR_API GradcheckReport gradcheck(const ScalarFunction& f, std::span<double> x,
                                                    std::span<const double> analytic,
                                                    const DifferenceOptions& options = {});

/// Compares an analytic dx = J^T dy of a vector function with numeric_vjp.
[[nodiscard]] UNITVAR_API GradcheckReport gradcheck(const VectorFunction& f, std::span<double> x,
                                                    std::span<const double> dy, std::span<const double> analytic,
                                                    const DifferenceOptions& options = {});

}  // namespace unitvar
