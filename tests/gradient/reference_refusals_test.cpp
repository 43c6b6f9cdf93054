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

TEST(ReferenceRefusals, LengthsOfWhatTheOtherDerivativesTake) {
  const auto wrong = ErrorCode::wrong_length;
  const auto cache = forward<double>(extent, eight, {}, {}, 1e-5).cache;
  expect_error(wrong, {"reference::statistics_backward: dvar has 3 elements, want 2"},
               [&] { (void)statistics_backward<double>(cache, eight, two, three); });
  expect_error(wrong, {"reference::double_backward: grad_dx has 2 elements, want 8"},
               [&] { (void)double_backward<double>(cache, eight, two, two, two); });
  expect_error(wrong, {"reference::double_backward: grad_dbeta has 3"},
               [&] { (void)double_backward<double>(cache, eight, eight, two, three); });
  expect_error(wrong, {"reference::frozen_double_backward: rstd has 3"},
               [&] { (void)frozen_double_backward<double>(extent, eight, two, three, {}, eight, eight, {}, {}); });
  expect_error(wrong, {"reference::jvp: gamma_dot has 3"}, [&] { (void)jvp<double>(cache, eight, three, two); });
  expect_error(wrong, {"reference::frozen_jvp: x_dot has 2"},
               [&] { (void)frozen_jvp<double>(extent, eight, two, two, {}, two, {}, {}); });
}

TEST(ReferenceRefusals, LengthsOfWhatTheVariantsTake) {
  const auto wrong = ErrorCode::wrong_length;
  const std::vector<bool> mask(2);
  expect_error(wrong, {"reference::activation: z has 2 elements, want 8"},
               [&] { (void)activation<double>(eight, two, 0); });
  expect_error(wrong, {"reference::activation_backward: dy has 8 elements, want 2"},
               [&] { (void)activation_backward<double>(mask, 0, eight); });
  expect_error(wrong, {"reference::weighted_forward: weight has 8 elements, want 4"},
               [&] { (void)weighted_forward<double>(extent, eight, eight, {}, {}, 1e-5, Weightless::zero); });
  expect_error(wrong, {"reference::backward_from_output: rstd has 3"},
               [&] { (void)backward_from_output<double>(extent, eight, three, {}, {}, 1, eight); });
  expect_error(wrong, {"reference::ghost_backward: dy has 2"}, [&] {
    (void)ghost_backward<double>(ghost_forward<double>(extent, 2, eight, {}, {}, 1e-5).caches, two);
  });
  expect_error(wrong, {"reference::renorm_forward: running_var has 3"}, [&] {
    (void)renorm_forward<double>(extent, eight, {}, {}, 1e-5, {two, three, 2, 1});
  });
  expect_error(wrong, {"reference::fold: weight has 3 elements, want 2"},
               [&] { (void)fold<double>(three, {}, two, two, {}, {}, 1e-5); });
}

TEST(ReferenceRefusals, NumbersOutsideTheirRange) {
  const auto bad = ErrorCode::bad_argument;
  const std::vector<double> negative = {1, 1, -1, 1}, endless = {1, 1, 1, INFINITY};
  for (const auto& weight : {negative, endless}) {
    expect_error(bad, {"reference::weighted_forward: weight["},
                 [&] { (void)weighted_forward<double>(extent, eight, weight, {}, {}, 1e-5, Weightless::zero); });
  }
  expect_error(bad, {"reference::activation: slope"}, [&] { (void)activation<double>(eight, {}, NAN); });
  expect_error(bad, {"reference::recover_x_hat: slope is 0"},
               [&] { (void)recover_x_hat<double>(extent, eight, two, two, 0); });
  expect_error(bad, {"reference::recover_x_hat: gamma[1] is 0"}, [&] {
    (void)recover_x_hat<double>(extent, eight, std::vector<double>{1, 0}, two, 1);
  });
  expect_error(bad, {"reference::ghost_forward: ghost is 0"},
               [&] { (void)ghost_forward<double>(extent, 0, eight, {}, {}, 1e-5); });
  expect_error(bad, {"reference::ghost_backward: there is no"}, [&] { (void)ghost_backward<double>({}, {}); });
  expect_error(bad, {"reference::renorm_forward: r_max"}, [&] {
    (void)renorm_forward<double>(extent, eight, {}, {}, 1e-5, {two, two, 0.5, 1});
  });
  expect_error(bad, {"reference::renorm_forward: d_max"}, [&] {
    (void)renorm_forward<double>(extent, eight, {}, {}, 1e-5, {two, two, 2, -1});
  });
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
