#include <gtest/gtest.h>

#include "gradient/cases.hpp"
#include "support/expect_error.hpp"

/// What the reference refuses, and what it takes although the library does not.
namespace unitvar::test {
namespace {

using namespace reference;

const Extent extent = Extent::nc(4, 2);
const std::vector<double> eight = {1, 2, 3, 4, 5, 6, 7, 9}, two = {1, 1}, three = {1, 1, 1};

TEST(ReferenceRefusals, LengthsThatDoNotFitTheExtent) {
  const auto wrong = ErrorCode::wrong_length;
  const auto cache = forward<double>(extent, eight, {}, {}, 1e-5).cache;
  expect_error(wrong, {"reference::forward: x has 2 elements, want 8"},
               [&] { (void)forward<double>(extent, two, {}, {}, 1e-5); });
  expect_error(wrong, {"reference::forward: gamma has 3 elements, want 2"},
               [&] { (void)forward<double>(extent, eight, three, {}, 1e-5); });
  expect_error(wrong, {"reference::forward: beta has 3"},
               [&] { (void)forward<double>(extent, eight, {}, three, 1e-5); });
  expect_error(wrong, {"reference::inference: var has 3"},
               [&] { (void)inference<double>(extent, eight, two, three, {}, {}, 1e-5); });
  expect_error(wrong, {"backward_one_line: dy has 2"}, [&] { (void)backward<double>(cache, two); });
  expect_error(wrong, {"backward_jacobian: dy has 2"}, [&] { (void)backward_jacobian<double>(cache, two); });
  expect_error(wrong, {"backward_partials: x has 2"}, [&] { (void)backward_partials<double>(cache, two, eight); });
  expect_error(wrong, {"backward_matrix_form: v has 3"},
               [&] { (void)backward_matrix_form<double>(extent, eight, two, three, {}, 1e-5, eight); });
  expect_error(wrong, {"backward_phases_form: mean has 3"},
               [&] { (void)backward_phases_form<double>(extent, eight, three, two, {}, eight); });
  expect_error(wrong, {"staged_forward: x has 2"}, [&] { (void)staged_forward<double>(extent, two, {}, {}, 1e-5); });
  expect_error(wrong, {"identity_parameters: var has 3"}, [&] { (void)identity_parameters<double>(two, three, 1e-5); });
}

TEST(ReferenceRefusals, CacheThatWasTakenApart) {
  auto cache = forward<double>(extent, eight, {}, {}, 1e-5).cache;
  cache.x_hat.pop_back();
  expect_error(ErrorCode::wrong_length, {"cache.x_hat has 7"}, [&] { (void)backward<double>(cache, eight); });
  auto stages = staged_forward<double>(extent, eight, {}, {}, 1e-5);
  stages.sqrtvar.clear();
  expect_error(ErrorCode::wrong_length, {"stages.sqrtvar has 0"},
               [&] { (void)staged_backward<double>(stages, eight); });
}

TEST(ReferenceRefusals, EpsilonThatLeavesNoRoot) {
  const auto bad = ErrorCode::bad_epsilon;
  const std::vector<double> constant(8, 3);
  expect_error(bad, {"reference::forward: var + eps", "channel 0"},
               [&] { (void)forward<double>(extent, constant, {}, {}, 0); });
  expect_error(bad, {"eps is not finite"}, [&] { (void)forward<double>(extent, eight, {}, {}, std::nan("")); });
  expect_error(bad, {"reference::inference"}, [&] {
    (void)inference<double>(extent, eight, two, std::vector<double>{1, -2}, {}, {}, 1);
  });
  expect_error(bad, {"staged_forward"}, [&] { (void)staged_forward<double>(extent, constant, {}, {}, -1); });
  expect_error(bad, {"jacobian_x_hat"}, [&] { (void)jacobian_x_hat<double>(two, 1.0, 0.0, 0.0); });
}

TEST(ReferenceRefusals, ExtentThatIsNone) {
  expect_error(ErrorCode::bad_extent, {"reference::forward"}, [&] {
    (void)forward<double>(Extent{4, 0, 1}, {}, {}, {}, 1e-5);
  });
  expect_error(ErrorCode::too_few_values, {"unbiased_variance: count is 1"},
               [&] { (void)unbiased_variance(moments<double>(std::vector<double>{3})); });
}

TEST(ReferenceRefusals, OneValuePerChannelIsTakenAndGivesBeta) {
  const std::vector<double> beta = {4, 5};
  const auto f = forward<double>(Extent::nc(1, 2), std::vector<double>{7, 8}, {}, beta, 1e-5);
  EXPECT_EQ(f.y, beta);
  EXPECT_EQ(backward<double>(f.cache, std::vector<double>{1, 2}).dx, (std::vector<double>{0, 0}));
}

TEST(ReferenceRefusals, EmptyBatchIsTakenAndGivesZeroParameterGradients) {
  const auto f = forward<double>(Extent::nc(0, 2), {}, {}, {}, 0.25);
  EXPECT_EQ(f.cache.rstd, (std::vector<double>{2, 2}));
  for (const auto& g : {backward<double>(f.cache, {}), backward_partials<double>(f.cache, {}, {}),
                        backward_jacobian<double>(f.cache, {}), backward_sums_form<double>(f.cache, {})}) {
    EXPECT_TRUE(g.dx.empty());
    EXPECT_EQ(g.dgamma, (std::vector<double>{0, 0}));
    EXPECT_EQ(g.dbeta, (std::vector<double>{0, 0}));
  }
}

}  // namespace
}  // namespace unitvar::test
