// Weights count up to a common factor, whatever its size.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/weighted.hpp"

namespace unitvar::test {
namespace {

/// Weights 0 to 7 times a power of two, exact even where they are subnormal.
template <class P>
std::vector<P> some_weights(const Extent& extent, int exponent) {
  std::vector<P> weight;
  for (std::int64_t k = 0; k < extent.count(); ++k) {
    weight.push_back(static_cast<P>(std::ldexp(k > 2 ? static_cast<double>((k * 5 + 3) % 8) : 1.0, exponent)));
  }
  return weight;
}

TEST(WeightsOfAnySize, GiveTheBitsOfThoseAroundOne) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<double>(extent);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
        const auto want = run_weighted(p, some_weights<double>(extent, 0), options);
        for (const int exponent : {-1074, -1040, -1000, -700, 700, 1000, 1021}) {
          SCOPED_TRACE(exponent);
          const auto seen = run_weighted(p, some_weights<double>(extent, exponent), options);
          EXPECT_EQ(std::ldexp(want.forward.total, exponent), seen.forward.total);
          EXPECT_TRUE(same_bits(want.forward.y, seen.forward.y));
          EXPECT_TRUE(same_bits(want.forward.mean, seen.forward.mean));
          EXPECT_TRUE(same_bits(want.forward.var, seen.forward.var));
          EXPECT_TRUE(same_bits(want.backward.dx, seen.backward.dx));
          EXPECT_TRUE(same_bits(want.backward.dgamma, seen.backward.dgamma));
          EXPECT_TRUE(same_bits(want.backward.dbeta, seen.backward.dbeta));
        }
      }
    });
  }
}

/// Scaled to the largest, some are below the smallest double; their elements are in the batch all the same.
TEST(WeightsOfManySizes, LeaveNoPositiveOneOut) {
  for (const Extent& extent : few_extents()) {
    if (extent.count() < 16) continue;
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<double>(extent, 2);
    std::vector<double> weight;
    for (std::int64_t k = 0; k < extent.count(); ++k) {
      weight.push_back(k % 2 == 0 ? 1e300 : k % 3 == 0 ? 1e-30 : k % 3 == 1 ? 1e-300 : 0);
    }
    const auto x = as<long double>(p.x), dy = as<long double>(p.dy), w = as<long double>(weight);
    const auto want = reference::weighted_forward<long double>(
        extent, x, w, as<long double>(p.gamma), as<long double>(p.beta), p.eps, reference::Weightless::zero);
    const auto gradients = reference::weighted_backward<long double>(want.cache, dy);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const auto seen = run_weighted(p, weight, {.cpu = {.threads = 2, .isa = isa, .walk = walk}});
        EXPECT_LE(relative_l2(seen.forward.y, want.y), 1e-13);
        EXPECT_LE(relative_l2(seen.backward.dx, gradients.dx), 1e-13);
        EXPECT_LE(relative_l2(seen.backward.dgamma, gradients.dgamma), 1e-13);
        EXPECT_LE(relative_l2(seen.backward.dbeta, gradients.dbeta), 1e-13);
      }
    });
  }
}

template <class T>
class WeightsOfAnySizeBesideFloats : public ::testing::Test {};
using Floats = ::testing::Types<float, bf16, f16>;
TYPED_TEST_SUITE(WeightsOfAnySizeBesideFloats, Floats);

TYPED_TEST(WeightsOfAnySizeBesideFloats, GiveTheResultsOfThoseAroundOne) {
  using T = TypeParam;
  const double near = is_half<T> ? 2 * half_step<T> : 3e-7;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<T>(extent);
    const double terms = l2_norm(as<double>(p.dy));  // of two values, dx is 0 but for roundings
    for_each_isa([&](Isa isa) {
      const auto want = run_weighted(p, some_weights<float>(extent, 0), {.cpu = {.isa = isa}});
      for (const int exponent : {-149, -120, -60, 60, 120, 124}) {
        SCOPED_TRACE(exponent);
        const auto seen = run_weighted(p, some_weights<float>(extent, exponent), {.cpu = {.isa = isa}});
        EXPECT_LE(relative_l2(seen.forward.y, as<double>(want.forward.y)), near);
        EXPECT_LE(relative_l2(seen.backward.dx, as<double>(want.backward.dx), terms), near);
        EXPECT_LE(relative_l2(seen.backward.dgamma, as<double>(want.backward.dgamma)), 1e-6);
        EXPECT_LE(relative_l2(seen.backward.dbeta, as<double>(want.backward.dbeta)), 1e-6);
      }
    });
  }
}

}  // namespace
}  // namespace unitvar::test
