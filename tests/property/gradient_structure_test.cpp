// What the gradients must satisfy whatever the data are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/run.hpp"
#include "support/tolerance.hpp"

namespace unitvar::test {
namespace {

constexpr double mean_over_std = 2;

template <class T>
constexpr double within = tolerance<T>(Quantity::dx, mean_over_std);

/// Sums that the formula makes zero, and the size of the terms they are made of.
template <class T>
struct ChannelSums {
  double dx = 0, dx_x_hat = 0, size = 0;

  ChannelSums(const Problem<T>& p, const ForwardResult<T>& f, const std::vector<T>& gradient, std::int64_t c) {
    const std::vector<T> x = channel_values(p.extent, p.x, c), g = channel_values(p.extent, gradient, c);
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double x_hat = (static_cast<double>(x[k]) - f.mean[to_size(c)]) * f.rstd[to_size(c)];
      dx += static_cast<double>(g[k]);
      dx_x_hat += static_cast<double>(g[k]) * x_hat;
      size += std::abs(static_cast<double>(g[k])) * std::max(1.0, std::abs(x_hat));
    }
  }
};

template <class T>
class GradientStructure : public ::testing::Test {};
using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GradientStructure, Dtypes);

TYPED_TEST(GradientStructure, DxIsOrthogonalToOneAndToXHat) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(extent, mean_over_std);
    p.eps = 1e-18;
    for_each_isa([&](Isa isa) {
      const ForwardResult<T> f = run_forward(p, {.cpu = {.isa = isa}});
      const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
      for (std::int64_t c = 0; c < extent.channels; ++c) {
        const ChannelSums<T> sums(p, f, b.dx, c);
        const double terms = std::abs(f.rstd[to_size(c)]) * static_cast<double>(extent.count());
        ASSERT_LE(std::abs(sums.dx), within<T> * (sums.size + terms)) << "channel " << c;
        ASSERT_LE(std::abs(sums.dx_x_hat), within<T> * (sums.size + terms)) << "channel " << c;
      }
    });
  }
}

TYPED_TEST(GradientStructure, AConstantDyHasNoEffectOnX) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(extent, mean_over_std);
    p.dy.assign(p.dy.size(), T(0.7));
    for_each_isa([&](Isa isa) {
      const ForwardResult<T> f = run_forward(p, {.cpu = {.isa = isa}});
      const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
      for (std::size_t k = 0; k < b.dx.size(); ++k) {
        const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels);
        ASSERT_LE(std::abs(static_cast<double>(b.dx[k])), (std::is_same_v<T, float> ? 3e-7 : 1e-13) * f.rstd[c]) << k;
      }
      for (const T dbeta : b.dbeta) {
        EXPECT_NEAR(static_cast<double>(dbeta) / static_cast<double>(extent.count()), 0.7, 0.7 * within<T>);
      }
    });
  }
}

TYPED_TEST(GradientStructure, ADyAlongXHatHasNoEffectOnX) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(ProblemSpec{.extent = extent, .gamma = false, .beta = false});
    p.eps = 1e-18;
    const ForwardResult<T> f = run_forward(p);
    p.dy = f.y;
    const BackwardResult<T> b = run_backward(p, f.mean, f.rstd);
    for (std::size_t k = 0; k < b.dx.size(); ++k) {
      const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels);
      ASSERT_LE(std::abs(static_cast<double>(b.dx[k])), within<T> * 10 * f.rstd[c]) << k;
    }
    for (const T dgamma : b.dgamma) {
      EXPECT_NEAR(static_cast<double>(dgamma) / static_cast<double>(extent.count()), 1, within<T>);
    }
  }
}

TYPED_TEST(GradientStructure, GradientsAreLinearInDy) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const Problem<T> p = make_problem<T>(extent, mean_over_std);
    Problem<T> q = p, sum = p;
    Random random(5);
    q.dy = normal_values<T>(extent.size(), random);
    for (std::size_t k = 0; k < sum.dy.size(); ++k) sum.dy[k] = p.dy[k] + q.dy[k];
    const ForwardResult<T> f = run_forward(p);
    const auto a = run_backward(p, f.mean, f.rstd), b = run_backward(q, f.mean, f.rstd);
    const auto both = run_backward(sum, f.mean, f.rstd);
    const auto added = [](const auto& u, const auto& v) {
      std::vector<long double> w(u.begin(), u.end());
      for (std::size_t k = 0; k < w.size(); ++k) w[k] += v[k];
      return w;
    };
    const auto terms = std::sqrt(static_cast<long double>(extent.size()));
    // Three results, each within its own tolerance, of a sum that is rounded itself.
    EXPECT_LE(relative_l2(both.dbeta, added(a.dbeta, b.dbeta), terms), 2 * within<T>);
    EXPECT_LE(relative_l2(both.dgamma, added(a.dgamma, b.dgamma), terms), 2 * within<T>);
    const auto dx = added(a.dx, b.dx);
    const double largest_rstd = *std::max_element(f.rstd.begin(), f.rstd.end());
    EXPECT_LE(relative_l2(both.dx, dx, l2_norm(dx) + terms * largest_rstd), within<T>);
  }
}

TYPED_TEST(GradientStructure, APowerOfTwoFactorOfDyPassesThroughBitForBit) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const Problem<T> p = make_problem<T>(extent, mean_over_std);
    Problem<T> q = p;
    for (T& v : q.dy) v *= T(-8);
    BackwardResult<T> a = run_backward(p);
    for (auto* values : {&a.dx, &a.dgamma, &a.dbeta}) {
      for (T& v : *values) v *= T(-8);
    }
    const BackwardResult<T> b = run_backward(q);
    EXPECT_EQ(b.dx, a.dx);
    EXPECT_EQ(b.dgamma, a.dgamma);
    EXPECT_EQ(b.dbeta, a.dbeta);
  }
}

TYPED_TEST(GradientStructure, ADyOfZeroGivesZeros) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    Problem<T> p = make_problem<T>(extent, mean_over_std);
    p.dy.assign(p.dy.size(), T(0));
    const BackwardResult<T> b = run_backward(p);
    EXPECT_EQ(b.dx, std::vector<T>(b.dx.size(), T(0)));
    EXPECT_EQ(b.dgamma, std::vector<T>(b.dgamma.size(), T(0)));
    EXPECT_EQ(b.dbeta, std::vector<T>(b.dbeta.size(), T(0)));
  }
}

}  // namespace
}  // namespace unitvar::test
