#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "support/problem.hpp"
#include "unitvar/unitvar.hpp"

/// Refusals that follow from the data or from several arguments, and those of functions without spans.
namespace unitvar::test {
namespace {

template <class T>
class RefusedCases : public ::testing::Test {};
TYPED_TEST_SUITE(RefusedCases, AllDtypes);

TYPED_TEST(RefusedCases, NegativeEpsilonThatOutweighsOneVariance) {
  using T = TypeParam;
  Problem<T> p = make_problem<T>(Extent{3, 4, 5});
  for (std::int64_t k = 0; k < 60; ++k) {
    if (k / 5 % 4 == 2) p.x[to_size(k)] = static_cast<T>(0.01 * static_cast<double>(p.x[to_size(k)]));
  }
  Guarded<T> y(60);
  expect_error(ErrorCode::bad_epsilon, {"batch_norm_forward: var + eps is ", " + -0.01 in channel 2, want > 0"},
               [&] { batch_norm_forward<T>({.extent = p.extent, .x = p.x, .y = y.span(), .eps = -0.01}); });
  const RowExtent rows{3, 20};
  expect_error(ErrorCode::bad_epsilon, {"rms_norm_forward: mean(x^2) + eps is ", " + -9.5 in row 0, want > 0"},
               [&] { rms_norm_forward<T>({.extent = rows, .x = p.x, .y = y.span(), .eps = -9.5}); });
  EXPECT_TRUE(y.untouched());
}

TYPED_TEST(RefusedCases, OneValuePerChannelInTheFirstOrTheLastGhostBatch) {
  using T = TypeParam;
  const Problem<T> p = make_problem<T>(Extent{5, 12, 1});
  Guarded<T> y(60);
  for (const auto& of : {std::pair{1, "first"}, {2, "last"}}) {
    const int ghost = of.first;
    expect_error(ErrorCode::too_few_values,
                 {"batch_norm_ghost_forward: the " + std::string(of.second) + " ghost batch has 1 value per channel"},
                 [&] { batch_norm_ghost_forward<T>({.extent = p.extent, .ghost = ghost, .x = p.x, .y = y.span()}); });
  }
  EXPECT_TRUE(y.untouched());
}

/// (B55), (B57): x_hat = x, since mean = 0 and rstd = 1.
TYPED_TEST(RefusedCases, OneValuePerChannelNeverWhereTheStatisticsAreFrozen) {
  using T = TypeParam;
  const Problem<T> p = make_problem<T>(Extent{1, 60, 1});
  const std::vector<double> zeros(60, 0), ones(60, 1);
  std::vector<T> y_dot(60);
  std::vector<param_t<T>> grad_gamma(60);
  batch_norm_frozen_double_backward<T>({.extent = p.extent,
                                        .x = p.x,
                                        .dy = p.dy,
                                        .mean = zeros,
                                        .rstd = ones,
                                        .grad_dx = p.dy,
                                        .grad_gamma = grad_gamma});
  batch_norm_frozen_jvp<T>({.extent = p.extent, .x = p.x, .mean = zeros, .rstd = ones, .x_dot = p.dy, .y_dot = y_dot});
  const auto dy = static_cast<param_t<T>>(p.dy[7]);
  EXPECT_EQ(grad_gamma[7], dy * dy);
  EXPECT_EQ(static_cast<double>(y_dot[7]), static_cast<double>(p.dy[7]));
}

TEST(RefusedCases, AnEmptyBatchThatLeavesNoVarianceToFinish) {
  const std::vector<double> m2(4, 1);
  Guarded<double> var(4), rstd(4);
  expect_error(ErrorCode::bad_epsilon, {"finish_moments: var + eps is 0 + 0 in channel 0"},
               [&] { finish_moments(0, m2, 0, var.span(), rstd.span()); });
  EXPECT_TRUE(var.untouched() && rstd.untouched());
}

TEST(RefusedCases, GroupsThatAreNoneForAShape) {
  const std::array<std::int64_t, 3> shape = {3, 4, 5};
  expect_error(ErrorCode::bad_extent, {"Groups::channels_first: groups is 3"},
               [&] { (void)Groups::channels_first(shape, 3); });
  expect_error(ErrorCode::bad_extent, {"Groups::channels_last: groups is 2"},
               [&] { (void)Groups::channels_last(shape, 2); });
}

TEST(RefusedCases, MasksOfTensorsThatNoTypeCanHave) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const Activation& activation : {Activation::leaky_relu(0.1), Activation::clip(), Activation::identity()}) {
    for (const Extent& extent : {Extent{kMost, 1, 1}, {1, 1, kMost}, {kMost / 2 + 1, 1, 1}, {1, 1 << 30, 1L << 33}}) {
      expect_error(ErrorCode::overflow, {"batch_norm_act_mask_bytes: Extent{"},
                   [&] { (void)batch_norm_act_mask_bytes(extent, activation); });
    }
  }
  // One row of bits, and eight bytes.
  EXPECT_EQ(batch_norm_act_mask_bytes({kMost / 2, 1, 1}), (kMost / 2 + 7) / 8 + 8);
  EXPECT_EQ(batch_norm_act_mask_bytes({1 << 20, 1 << 10, 1 << 10}), (std::int64_t{1} << 37) + 8);
}

TEST(RefusedCases, AxesAndShapesThatHaveNoRows) {
  using Shape = std::vector<std::int64_t>;
  const auto refused = [](ErrorCode code, std::initializer_list<std::string> parts, const Shape& shape, int axis) {
    expect_error(code, parts, [&] { (void)RowExtent::from_axis(shape, axis); });
  };
  refused(ErrorCode::bad_argument, {"axis is 3", "-3 to 2"}, {2, 3, 4}, 3);
  refused(ErrorCode::bad_argument, {"axis is -4"}, {2, 3, 4}, -4);
  refused(ErrorCode::bad_argument, {"shape has rank 0, want 1 or more"}, {}, 0);
  refused(ErrorCode::bad_extent, {"shape[2] is 0", ">= 1"}, {2, 3, 0}, -1);
  refused(ErrorCode::bad_extent, {"shape[0] is 0", ">= 1"}, {0}, -1);
  refused(ErrorCode::bad_extent, {"shape[0] is -2"}, {-2, 3, 4}, -1);
  const std::int64_t big = std::int64_t{1} << 32;
  refused(ErrorCode::overflow, {"64 bits"}, {big, big}, -1);
}

}  // namespace
}  // namespace unitvar::test
