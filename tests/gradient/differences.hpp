#pragma once
#include <functional>
#include <string>
#include <vector>

#include "gradient/cases.hpp"

/// Comparison with numeric differentiation of a function in long double.
namespace unitvar::test {

using Wide = std::vector<long double>;
using WideFunction = std::function<long double(const Wide&)>;

template <class R>
R dot(const std::vector<R>& a, const std::vector<R>& b) {
  return loss_of(a, b);
}

/// How far f is from its value at `at`, rounded to double after the subtraction: its derivative is that of f, and
/// however small, it is not drowned by the rounding of f.
inline ScalarFunction change_of(const WideFunction& f, const std::vector<double>& at) {
  return [f, base = f(as<long double>(at))](std::span<const double> x) {
    return static_cast<double>(f({x.begin(), x.end()}) - base);
  };
}

/// Expects `analytic` to be the gradient of f at `at`.
inline void expect_gradient_of(const WideFunction& f, std::vector<double> at, const Wide& analytic,
                               const std::string& what, const DifferenceOptions& options = {}) {
  EXPECT_LE(gradcheck(change_of(f, at), at, as<double>(analytic), options).l2_error, 1e-9) << what;
}

/// The derivative of f along a line, at 0.
inline double slope_at_zero(const std::function<long double(long double)>& f) {
  std::vector<double> t = {0};
  return numeric_gradient(change_of([&](const Wide& at) { return f(at[0]); }, t), t, {.step = 0x1p-6}).value[0];
}

inline Wide moved(const Wide& x, long double t, const Wide& along) {
  Wide result(x);
  for (std::size_t k = 0; k < x.size(); ++k) result[k] += t * along[k];
  return result;
}

inline Wide random_wide(std::int64_t size, Random& random) {
  return as<long double>(normal_values<double>(size, random));
}

/// Fewer than all_cases(), of every kind.
inline std::vector<Case<double>> some_cases() {
  std::vector<Case<double>> cases;
  for (const Extent& e : small_extents()) {
    for (const double mean : {0.0, -1000.0}) {
      for (const double eps : {1e-8, 1e-3, 0.5}) cases.push_back(make_case<double>(e, mean, eps));
    }
  }
  return cases;
}

}  // namespace unitvar::test
