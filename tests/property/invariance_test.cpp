// How the outputs answer to a shift or a scale of the input.
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

/// Values that stay exact in T when shifted or scaled below: multiples of 1/64 within +-4.
template <class T>
Problem<T> exact_problem(const Extent& extent) {
  Problem<T> p = make_problem<T>(extent);
  for (T& v : p.x) v = static_cast<T>(std::round(std::clamp(static_cast<double>(v), -4.0, 4.0) * 64) / 64);
  return p;
}

template <class T>
std::vector<T> transformed(std::vector<T> values, double factor, double shift) {
  for (T& v : values) v = static_cast<T>(static_cast<double>(v) * factor + shift);
  return values;
}

template <class T>
class Invariance : public ::testing::Test {
 protected:
  /// x becomes factor * x + shift, eps becomes factor^2 * eps.
  static void expect_same_up_to_scale(const Problem<T>& p, double factor, double shift) {
    SCOPED_TRACE(describe(p.extent) + " factor " + std::to_string(factor) + " shift " + std::to_string(shift));
    Problem<T> q = p;
    q.x = transformed(p.x, factor, shift);
    q.eps = factor * factor * p.eps;
    const double ratio = std::abs(shift / factor);
    const double sign = factor < 0 ? -1 : 1;
    for_each_isa([&](Isa isa) {
      const Options options{.cpu = {.isa = isa}};
      const auto y = run_forward(p, options).y, y_moved = run_forward(transformed_gamma(q, sign), options).y;
      EXPECT_LE(relative_l2(y_moved, widened(y)), tolerance<T>(Quantity::y, ratio));
      const auto g = run_backward(p, options), g_moved = run_backward(q, options);
      EXPECT_LE(relative_l2(transformed(g_moved.dx, factor, 0), widened(transformed(g.dx, sign, 0))),
                2 * tolerance<T>(Quantity::dx, ratio));
      EXPECT_LE(relative_l2(g_moved.dgamma, widened(transformed(g.dgamma, sign, 0))),
                tolerance<T>(Quantity::dgamma, ratio));
      EXPECT_TRUE(same_bits(g_moved.dbeta, g.dbeta));
    });
  }

 private:
  static Problem<T> transformed_gamma(Problem<T> p, double sign) {
    p.gamma = transformed(p.gamma, sign, 0);
    return p;
  }
  static std::vector<long double> widened(const std::vector<T>& values) { return {values.begin(), values.end()}; }
};

using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Invariance, Dtypes);

TYPED_TEST(Invariance, AShiftOfXChangesNoOutput) {
  for (const Extent& extent : few_extents()) {
    for (const double shift : {1.0, -1000.0, 65536.0}) {
      this->expect_same_up_to_scale(exact_problem<TypeParam>(extent), 1, shift);
    }
  }
}

TYPED_TEST(Invariance, AScaleOfXLeavesYAndDividesDx) {
  for (const Extent& extent : few_extents()) {
    for (const double factor : {2.0, 0.125, 1048576.0, -1.0, -4.0}) {
      this->expect_same_up_to_scale(exact_problem<TypeParam>(extent), factor, 0);
    }
  }
}

TYPED_TEST(Invariance, APowerOfTwoScaleChangesNoBit) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 3);
    auto q = p;
    q.x = transformed(p.x, 1024, 0), q.eps = p.eps * 1024 * 1024;
    const auto forward = run_forward(p), scaled = run_forward(q);
    EXPECT_TRUE(same_bits(scaled.y, forward.y));
    EXPECT_TRUE(same_bits(transformed(run_backward(q).dx, 1024, 0), run_backward(p).dx));
  }
}

TYPED_TEST(Invariance, GammaAndBetaActOnYAsWritten) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<TypeParam>(ProblemSpec{.extent = extent, .gamma = false, .beta = false});
    const auto x_hat = run_forward(p).y;
    p.gamma.assign(to_size(extent.channels), TypeParam(-4));
    const auto y = run_forward(p).y;
    for (std::size_t k = 0; k < y.size(); ++k) ASSERT_EQ(y[k], -4 * x_hat[k]) << k;
    p.gamma.assign(to_size(extent.channels), 0), p.beta.assign(to_size(extent.channels), TypeParam(0.7));
    EXPECT_EQ(run_forward(p).y, std::vector<TypeParam>(y.size(), TypeParam(0.7)));
    EXPECT_EQ(run_backward(p).dx, std::vector<TypeParam>(y.size(), TypeParam(0)));
  }
}

}  // namespace
}  // namespace unitvar::test
