// Constant channels, very large and very small numbers, an outlier, two values per channel.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

template <class T>
class ExtremeValues : public ::testing::Test {
 protected:
  static void expect_matches_reference(const Problem<T>& p) {
    const Expected<T> e = expected(p);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        SCOPED_TRACE(walk_name(walk));
        const ForwardResult<T> f = run_forward(p, {.cpu = {.isa = isa, .walk = walk}});
        EXPECT_TRUE(all_finite(f.y) && all_finite(f.mean) && all_finite(f.var) && all_finite(f.rstd));
        expect_y_relative_to_terms(f.y, e);
        expect_gradients_relative_to_terms(run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa, .walk = walk}}), e);
      }
    });
  }

  static Problem<T> scaled(const Extent& extent, double scale, double eps) {
    auto p = make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = 0.5, .scale = scale});
    p.eps = eps;
    return p;
  }
};

TYPED_TEST_SUITE(ExtremeValues, AllDtypes);

TYPED_TEST(ExtremeValues, ConstantChannelsGiveExactlyBetaAndFiniteGradients) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    for (const double of : {0.0, 0.1, -3.3, 1e6 + 0.1, -1e-3, 16777217.0, 1e30}) {
      const double value = std::min(of, largest<T>);
      SCOPED_TRACE(describe(extent) + " of " + std::to_string(value));
      Problem<T> p = make_problem<T>(extent);
      p.x.assign(p.x.size(), static_cast<T>(value));
      for_each_isa([&](Isa isa) {
        const ForwardResult<T> f = run_forward(p, {.cpu = {.isa = isa}});
        for (std::size_t k = 0; k < f.y.size(); ++k) {
          const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels);
          ASSERT_EQ(f.y[k], static_cast<T>(p.beta[c])) << k;
        }
        EXPECT_EQ(f.mean, std::vector<double>(f.mean.size(), static_cast<double>(static_cast<T>(value))));
        EXPECT_EQ(f.var, std::vector<double>(f.var.size(), 0.0));
        const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
        EXPECT_TRUE(all_finite(b.dx) && all_finite(b.dbeta));
        EXPECT_EQ(b.dgamma, std::vector<param_t<T>>(b.dgamma.size(), 0));
      });
    }
  }
}

TYPED_TEST(ExtremeValues, OneConstantChannelAmongOthers) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(extent, 2);
    const std::int64_t c = extent.channels - 1;
    for (std::int64_t o = 0; o < extent.outer; ++o) {
      for (std::int64_t i = 0; i < extent.inner; ++i) p.x[to_size(extent.index(o, c, i))] = T(0.1);
    }
    const ForwardResult<T> f = run_forward(p);
    EXPECT_EQ(channel_values(extent, f.y, c),
              std::vector<T>(to_size(extent.count()), static_cast<T>(p.beta[to_size(c)])));
    this->expect_matches_reference(p);
  }
}

TYPED_TEST(ExtremeValues, HugeInputsDoNotOverflow) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    this->expect_matches_reference(this->scaled(extent, std::min(1e30, largest<TypeParam> / 8), 1e-5));
  }
}

TYPED_TEST(ExtremeValues, TinyInputsKeepTheirDigits) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const double tiny = std::is_same_v<TypeParam, f16> ? 1e-3 : 1e-30;  // 1 / tiny is a gradient
    this->expect_matches_reference(this->scaled(extent, tiny, 1e-5));
    this->expect_matches_reference(this->scaled(extent, tiny, tiny * tiny * 1e-10));
  }
}

/// What a conversion from double to float does beyond the largest float, with a margin for the last bit.
void expect_infinite_where(const std::vector<double>& want, const std::vector<float>& seen) {
  const double largest = std::numeric_limits<float>::max();
  for (std::size_t k = 0; k < want.size(); ++k) {
    if (std::abs(want[k]) > 1.001 * largest) {
      ASSERT_EQ(seen[k], std::copysign(HUGE_VALF, want[k])) << k;
    } else if (std::abs(want[k]) < 0.999 * largest) {
      ASSERT_TRUE(std::isfinite(seen[k])) << k;
    }
  }
}

TEST(ExtremeFloats, DenormalInputsAreNotFlushed) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<float>(ProblemSpec{.extent = extent, .scale = 2e-40});
    p.eps = 1e-90;
    const Expected<float> e = expected(p);
    for_each_isa([&](Isa isa) {
      const ForwardResult<float> f = run_forward(p, {.cpu = {.isa = isa}});
      expect_y_relative_to_terms(f.y, e);
      const BackwardResult<float> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
      expect_within<float>(Quantity::dgamma, relative_l2(b.dgamma, e.backward.dgamma, e.dgamma_scale), 0);
    });
  }
}

TEST(ExtremeFloats, TheLargestFiniteNumbersStayFinite) {
  const float largest = std::numeric_limits<float>::max();
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<float>(extent);
    for (float& v : p.x) v = v < 0 ? -largest : largest;
    p.x[0] = largest / 3;
    const Expected<float> e = expected(p);
    for_each_isa([&](Isa isa) {
      const ForwardResult<float> f = run_forward(p, {.cpu = {.isa = isa}});
      EXPECT_TRUE(all_finite(f.var));
      expect_y_relative_to_terms(f.y, e);
    });
  }
}

TEST(ExtremeFloats, ResultsBeyondTheLargestFloatAreInfinite) {
  for (const Extent& extent : few_extents()) {
    if (extent.count() == 2) continue;  // dx is zero there but for rounding errors, which become infinite as well
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<float>(extent);
    for (float& v : p.gamma) v = 3e38F;
    for (float& v : p.dy) v = v < 0 ? -3e38F : 3e38F;
    const auto want = expected(p);
    for_each_isa([&](Isa isa) {
      const ForwardResult<float> f = run_forward(p, {.cpu = {.isa = isa}});
      const BackwardResult<float> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
      expect_infinite_where(want.forward.y, f.y);
      expect_infinite_where(want.backward.dx, b.dx);
      expect_infinite_where(want.backward.dbeta, b.dbeta);
    });
  }
}

TEST(ExtremeDoubles, LargeMagnitudesWhoseSquaresFit) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<double>(ProblemSpec{.extent = extent, .scale = 1e145});
    const Expected<double> e = expected(p);
    for_each_isa([&](Isa isa) { expect_y_relative_to_terms(run_forward(p, {.cpu = {.isa = isa}}).y, e); });
  }
}

TYPED_TEST(ExtremeValues, AnOutlierAsFirstElementDoesNotSpoilTheOthers) {
  using T = TypeParam;
  using R = oracle_t<T>;
  std::vector<Extent> extents = few_extents();
  extents.push_back({1, 2, 50000});
  extents.push_back({20000, 3, 1});
  for (const Extent& extent : extents) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(ProblemSpec{.extent = extent, .gamma = false, .beta = false});
    for (std::int64_t c = 0; c < extent.channels; ++c)
      p.x[to_size(extent.index(0, c, 0))] = T(std::min(1e6, largest<T>));
    const Expected<T> e = expected(p);
    std::vector<R> want = e.forward.y;
    for (std::int64_t c = 0; c < extent.channels; ++c) want[to_size(extent.index(0, c, 0))] = 0;
    this->expect_matches_reference(p);
    for_each_isa([&](Isa isa) {
      std::vector<T> y = run_forward(p, {.cpu = {.isa = isa}}).y;
      for (std::int64_t c = 0; c < extent.channels; ++c) y[to_size(extent.index(0, c, 0))] = T(0);
      expect_within<T>(Quantity::y, relative_l2(y, want), 0);
    });
  }
}

TYPED_TEST(ExtremeValues, TwoValuesPerChannelBecomePlusAndMinusOne) {
  using T = TypeParam;
  for (const Extent& extent : {Extent{2, 100, 1}, Extent{1, 33, 2}}) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(ProblemSpec{.extent = extent, .gamma = false, .beta = false});
    p.eps = 1e-30;
    for_each_isa([&](Isa isa) {
      for (const T y : run_forward(p, {.cpu = {.isa = isa}}).y) ASSERT_NEAR(std::abs(static_cast<double>(y)), 1, 3e-7);
    });
    p.eps = 1e-5;
    this->expect_matches_reference(p);
  }
}

TYPED_TEST(ExtremeValues, ANegativeEpsilonIsLegalWhileVarianceOutweighsIt) {
  for (const Extent& extent : {Extent{60, 33, 1}, Extent{5, 3, 784}}) {
    SCOPED_TRACE(describe(extent));
    this->expect_matches_reference(this->scaled(extent, 2, -0.5));
  }
}

}  // namespace
}  // namespace unitvar::test
