#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// How good the reference in double is, judged by the reference in long double.
namespace unitvar::test {
namespace {

void expect_double_close_to_long_double(const Extent& extent, double mean) {
  SCOPED_TRACE(describe(extent) + " mean " + std::to_string(mean));
  const auto p = make_problem<double>(extent, mean);
  const auto narrow = expected_in<double>(p);
  const auto wide = expected_in<long double>(p);
  const double bound = std::max(1e-14, 1e-15 * mean);
  EXPECT_LE(relative_l2(narrow.forward.y, wide.forward.y), bound);
  EXPECT_LE(relative_l2(narrow.forward.cache.x_hat, wide.forward.cache.x_hat), bound);
  EXPECT_LE(relative_l2(narrow.backward.dx, wide.backward.dx), bound);
  EXPECT_LE(relative_l2(narrow.backward.dgamma, wide.backward.dgamma), bound);
  EXPECT_LE(relative_l2(narrow.backward.dbeta, wide.backward.dbeta), bound);
}

TEST(ReferencePrecision, DoubleIsWithinTheDigitsOfItsSavedMean) {
  for (const Extent& extent : {Extent::nc(60, 100), Extent::nchw(4, 3, 28, 28), Extent::nhwc(4, 14, 14, 8)}) {
    for (const double mean : {0.0, 10.0, 1e2, 1e4, 1e6}) expect_double_close_to_long_double(extent, mean);
  }
}

TEST(ReferencePrecision, ErrorDoesNotGrowWithTheNumberOfValues) {
  for (const std::int64_t n : {1000, 30000, 1000000}) expect_double_close_to_long_double(Extent::nc(n, 1), 10);
}

TEST(ReferencePrecision, ConstantChannelHasExactlyZeroVariance) {
  for (const double value : {0.1, -1e6 / 3, 1e30}) {
    const Extent extent = Extent::nc(1237, 1);
    const auto f = reference::forward<double>(extent, std::vector<double>(1237, value), {}, {}, 1e-5);
    EXPECT_EQ(f.cache.mean[0], value);
    EXPECT_EQ(f.cache.var[0], 0);
    EXPECT_EQ(f.y, std::vector<double>(1237, 0));
  }
}

TEST(ReferencePrecision, NanStaysInItsChannel) {
  Case<double> c = make_case<double>(Extent::nchw(2, 3, 2, 2), 0, 1e-5);
  c.x[to_size(c.extent.index(1, 1, 2))] = std::nan("");
  const auto f = forward_of(c);
  const auto g = reference::backward<double>(f.cache, c.dy);
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    const auto y = channel_values(c.extent, f.y, channel), dx = channel_values(c.extent, g.dx, channel);
    EXPECT_TRUE(channel == 1 ? all_nan(y) && all_nan(dx) : all_finite(y) && all_finite(dx)) << channel;
  }
}

}  // namespace
}  // namespace unitvar::test
