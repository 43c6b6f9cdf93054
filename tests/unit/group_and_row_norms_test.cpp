#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "support/groups.hpp"
#include "support/rows.hpp"
#include "unitvar/ghost.hpp"

namespace unitvar::test {
namespace {

TEST(GroupNorm, TakesAnEpsBelowZeroWhereTheVariancesAllowIt) {
  for (const Layout layout : both_layouts) {
    auto p = make_group_problem<float>(make_groups(layout, 3, 4, 50, 2));
    p.of.eps = -1e-3;
    const auto e = expected(p);
    expect_within<float>(Quantity::y, relative_l2(run_forward(p).y, e.forward.y), e.mean_over_std);
  }
}

TEST(GroupNorm, OfAnEmptyBatchIsEmptyAndItsParameterGradientsAreZero) {
  for (const Layout layout : both_layouts) {
    const auto p = make_group_problem<float>(make_groups(layout, 0, 4, 5, 2));
    const auto forward = run_forward(p);
    EXPECT_TRUE(forward.mean.empty());
    const auto backward = run_backward(p, forward);
    EXPECT_EQ(backward.dgamma, std::vector<float>(4));
    EXPECT_EQ(backward.dbeta, std::vector<float>(4));
  }
}

TEST(GroupNorm, GivesEachOutputAloneTheBitsItHasInCompany) {
  for (const Layout layout : both_layouts) {
    const auto p = make_group_problem<float>(make_groups(layout, 3, 6, 49, 2), 3);
    const auto forward = run_forward(p);
    const auto all = run_backward(p, forward);
    const GroupNormBackward<float> args{.groups = p.groups,
                                        .x = p.of.x,
                                        .dy = p.of.dy,
                                        .mean = forward.mean,
                                        .rstd = forward.rstd,
                                        .gamma = p.of.gamma};
    std::vector<float> dx(p.of.x.size()), dgamma(6), dbeta(6);
    auto alone = args;
    alone.dx = dx;
    group_norm_backward(alone);
    alone = args, alone.dgamma = dgamma;
    group_norm_backward(alone);
    alone = args, alone.dbeta = dbeta;
    group_norm_backward(alone);
    EXPECT_NO_THROW(group_norm_backward(args));
    EXPECT_EQ(dx, all.dx);
    EXPECT_EQ(dgamma, all.dgamma);
    EXPECT_EQ(dbeta, all.dbeta);
  }
}

TEST(Groups, AreCountedPerSample) {
  const Groups first = Groups::channels_first(std::array<std::int64_t, 4>{2, 6, 3, 5}, 3);
  EXPECT_EQ(first, (Groups{{2, 6, 15}, 1, 3}));
  const Groups last = Groups::channels_last(std::array<std::int64_t, 4>{2, 3, 5, 6}, 3);
  EXPECT_EQ(last, (Groups{{30, 6, 1}, 15, 3}));
  for (const Groups& groups : {first, last}) {
    EXPECT_EQ(2, groups.samples());
    EXPECT_EQ(2, groups.group_channels());
    EXPECT_EQ(6, groups.size());
    EXPECT_EQ(30, groups.count());
  }
  EXPECT_EQ(6, (Groups{{2, 6, 15}}).per_sample()) << "instances";
}

TEST(BatchNormGhost, OfAnEmptyBatchIsEmptyAndItsParameterGradientsAreZero) {
  std::vector<float> none, dgamma(4, 1), dbeta(4, 1);
  const Extent extent{0, 4, 3};
  EXPECT_EQ(0, ghost_batches(extent, 2));
  EXPECT_NO_THROW(batch_norm_ghost_forward<float>({.extent = extent, .ghost = 2, .x = none, .y = none}));
  batch_norm_ghost_backward<float>(
      {.extent = extent, .ghost = 2, .x = none, .dy = none, .mean = {}, .rstd = {}, .dgamma = dgamma, .dbeta = dbeta});
  EXPECT_EQ(dgamma, std::vector<float>(4));
  EXPECT_EQ(dbeta, std::vector<float>(4));
}

TEST(RowNorms, NegativeEpsilonIsLegalWhileVarianceOutweighsIt) {
  auto p = make_row_problem<float>(RowNorm::layer, {3, 100});
  p.eps = -0.25;
  expect_results(run_forward(p), run_backward(p, run_forward(p)), expected(p));
}

TEST(RowNorms, AnEmptyBatchGivesZeroParameterGradients) {
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<float>(norm, {0, 20});
    const auto f = run_forward(p);
    EXPECT_TRUE(f.y.empty());
    std::vector<float> dgamma(20, 7), dbeta(20, 7);
    run_backward_into<float>(p, p.dy, f, {}, dgamma, dbeta);
    EXPECT_EQ(dgamma, std::vector<float>(20, 0));
    EXPECT_EQ(dbeta, std::vector<float>(20, 0));
  }
}

TEST(RowExtents, FromAxisMultipliesTheAxesBeforeAndFromIt) {
  const std::array<std::int64_t, 4> shape = {2, 3, 4, 5};
  EXPECT_EQ(RowExtent::from_axis(shape), (RowExtent{24, 5}));
  EXPECT_EQ(RowExtent::from_axis(shape, -2), (RowExtent{6, 20}));
  EXPECT_EQ(RowExtent::from_axis(shape, 1), (RowExtent{2, 60}));
  EXPECT_EQ(RowExtent::from_axis(shape, 0), (RowExtent{1, 120}));
  EXPECT_EQ(RowExtent::from_axis(std::array<std::int64_t, 2>{0, 5}), (RowExtent{0, 5}));
  EXPECT_EQ(RowExtent::from_axis(std::array<std::int64_t, 1>{5}), (RowExtent{1, 5}));
}

}  // namespace
}  // namespace unitvar::test
