#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "support/oracle.hpp"
#include "support/problem.hpp"
#include "support/shapes.hpp"
#include "unitvar/gradcheck.hpp"
#include "unitvar/reference.hpp"

/// The problems on which every equation is tried: dense random dy; shapes, means, eps and signs of gamma of every kind.
namespace unitvar::test {

/// Inputs in the arithmetic R of the test. Not const: numeric differentiation moves x and puts it back.
template <class R>
struct Case {
  std::string name;
  Extent extent;
  std::vector<R> x, dy, gamma, beta;
  R eps = 0;
};

template <class R>
std::ostream& operator<<(std::ostream& out, const Case<R>& c) {
  return out << c.name;
}

inline std::vector<Extent> small_extents() {
  return {Extent::nc(2, 1),
          Extent::nc(2, 5),
          Extent::nc(3, 2),
          Extent::nc(7, 1),
          Extent::nc(16, 4),
          Extent::nc(33, 3),
          Extent::ncl(1, 2, 5),
          Extent::nchw(2, 3, 3, 2),
          Extent::nchw(3, 2, 1, 1),
          Extent::nhwc(2, 2, 3, 4),
          Extent::nlc(3, 4, 2),
          Extent::ncdhw(2, 2, 2, 1, 3),
          Extent::ndhwc(1, 2, 2, 2, 3)};
}

/// gamma of both signs, and 0 in every third channel; one channel alone gets a negative one.
inline std::vector<double> gamma_of_any_sign(std::int64_t channels, Random& random) {
  std::vector<double> gamma;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double size = random.uniform(0.5, 2);
    gamma.push_back(c % 3 == 2 ? 0 : c % 2 == 0 ? -size : size);
  }
  return gamma;
}

/// The values of one channel are at least 1/4 apart where there are but two or three, so that its variance is not tiny.
inline void spread_out(const Extent& e, std::vector<double>& x) {
  if (e.count() > 3) return;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const auto row = static_cast<double>(k / to_size(e.inner * e.channels)) + static_cast<double>(k % to_size(e.inner));
    x[k] = x[k] / 8 + row;
  }
}

template <class R>
Case<R> make_case(const Extent& e, double mean, double eps) {
  Problem<double> p = make_problem<double>(ProblemSpec{.extent = e});
  Random random(static_cast<std::uint64_t>(1 + e.size()));
  spread_out(e, p.x);
  for (double& value : p.x) value += mean;
  return {describe(e) + " mean " + std::to_string(mean) + " eps " + std::to_string(eps),
          e,
          as<R>(p.x),
          as<R>(p.dy),
          as<R>(gamma_of_any_sign(e.channels, random)),
          as<R>(p.beta),
          static_cast<R>(eps)};
}

/// Every small extent with means 0, 10 and 1000 and several eps.
template <class R>
std::vector<Case<R>> all_cases() {
  std::vector<Case<R>> cases;
  for (const Extent& e : small_extents()) {
    for (const double mean : {0.0, 10.0, -1000.0}) {
      for (const double eps : {1e-8, 1e-5, 1e-3, 0.5}) cases.push_back(make_case<R>(e, mean, eps));
    }
  }
  return cases;
}

template <class R>
reference::Forward<R> forward_of(const Case<R>& c) {
  return reference::forward<R>(c.extent, c.x, c.gamma, c.beta, c.eps);
}

/// y as a function of x, in double.
inline VectorFunction y_of_x(const Case<double>& c) {
  return [&c](std::span<const double> x, std::span<double> y) {
    const auto f = reference::forward<double>(c.extent, x, c.gamma, c.beta, c.eps);
    std::copy(f.y.begin(), f.y.end(), y.begin());
  };
}

template <class To, class From>
Case<To> as_case(const Case<From>& c) {
  return {c.name, c.extent, as<To>(c.x), as<To>(c.dy), as<To>(c.gamma), as<To>(c.beta), static_cast<To>(c.eps)};
}

/// y as a function of x, less the y of the case itself, in long double and rounded after the subtraction: its
/// derivative is that of y, and however small, it is not drowned by the rounding of y.
inline VectorFunction change_of_y(const Case<double>& c) {
  const auto wide = as_case<long double>(c);
  return [wide, base = forward_of(wide).y](std::span<const double> x, std::span<double> change) {
    Case<long double> moved = wide;
    moved.x.assign(x.begin(), x.end());
    const auto y = forward_of(moved).y;
    for (std::size_t k = 0; k < y.size(); ++k) change[k] = static_cast<double>(y[k] - base[k]);
  };
}

/// L = sum(dy * y) in the arithmetic R.
template <class R>
R loss_of(const std::vector<R>& dy, const std::vector<R>& y) {
  R sum = 0;
  for (std::size_t k = 0; k < y.size(); ++k) sum += dy[k] * y[k];
  return sum;
}

/// The size of the terms that dx is the difference of, |gamma rstd dy|. With two values per channel they cancel but for
/// eps / (var + eps) of them (B41), and no form in double can be right relative to what is left.
template <class R>
R terms_of_dx(const reference::Cache<R>& cache, const std::vector<R>& dy) {
  R sum = 0;
  for (std::size_t e = 0; e < dy.size(); ++e) {
    const std::size_t c = e / to_size(cache.extent.inner) % to_size(cache.extent.channels);
    const R term = cache.gamma[c] * cache.rstd[c] * dy[e];
    sum += term * term;
  }
  return std::sqrt(sum);
}

/// |actual - expected| <= tolerance, without leaving long double for it.
inline void expect_near(long double actual, long double expected, long double tolerance) {
  EXPECT_LE(std::abs(actual - expected), tolerance) << actual << ", want " << expected;
}

template <class R>
void expect_same_gradients(const reference::Gradients<R>& actual, const reference::Gradients<R>& expected,
                           R terms_of_dx, double tolerance) {
  EXPECT_LE(relative_l2(actual.dx, expected.dx, terms_of_dx), tolerance) << "dx";
  EXPECT_LE(relative_l2(actual.dgamma, expected.dgamma), tolerance) << "dgamma";
  EXPECT_LE(relative_l2(actual.dbeta, expected.dbeta), tolerance) << "dbeta";
}

}  // namespace unitvar::test
