#include <gtest/gtest.h>

#include <array>
#include <initializer_list>
#include <limits>
#include <string>

#include "support/expect_error.hpp"
#include "support/groups.hpp"
#include "support/guarded.hpp"
#include "unitvar/ghost.hpp"

namespace unitvar::test {
namespace {

constexpr std::int64_t big = std::int64_t{1} << 40;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Legal calls on 3 samples of 4 channels of 5, in 2 groups; each test spoils an argument, and nothing may have been
/// written.
class GroupNormRefuses : public ::testing::Test {
 protected:
  GroupNormForward<float> forward() {
    return {.groups = p.groups,
            .x = p.of.x,
            .gamma = p.of.gamma,
            .beta = p.of.beta,
            .y = y.span(),
            .mean = mean.span(),
            .rstd = rstd.span()};
  }
  GroupNormBackward<float> backward() {
    return {.groups = p.groups,
            .x = p.of.x,
            .dy = p.of.dy,
            .mean = saved.mean,
            .rstd = saved.rstd,
            .gamma = p.of.gamma,
            .dx = y.span(),
            .dgamma = dgamma.span(),
            .dbeta = dbeta.span()};
  }
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const GroupNormForward<float>& spoilt,
               const Options& options = {}) {
    expect_error(code, {"group_norm_forward"}, [&] { group_norm_forward<float>(spoilt, options); });
    expect_error(code, parts, [&] { group_norm_forward<float>(spoilt, options); });
    EXPECT_TRUE(y.untouched() && mean.untouched() && rstd.untouched());
  }
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const GroupNormBackward<float>& spoilt,
               const Options& options = {}) {
    expect_error(code, {"group_norm_backward"}, [&] { group_norm_backward<float>(spoilt, options); });
    expect_error(code, parts, [&] { group_norm_backward<float>(spoilt, options); });
    EXPECT_TRUE(y.untouched() && dgamma.untouched() && dbeta.untouched());
  }

  GroupProblem<float> p = make_group_problem<float>(make_groups(Layout::channels_first, 3, 4, 5, 2));
  GroupForwardResult<float> saved = run_forward(p);
  Guarded<float> y{60}, dgamma{4}, dbeta{4};
  Guarded<double> mean{6}, rstd{6};
  std::vector<float> other = std::vector<float>(60);
};

TEST_F(GroupNormRefuses, NothingAboutTheLegalCalls) {
  EXPECT_NO_THROW(group_norm_forward(forward()));
  EXPECT_NO_THROW(group_norm_backward(backward()));
  EXPECT_FALSE(y.untouched() || mean.untouched() || rstd.untouched() || dgamma.untouched() || dbeta.untouched());
}

TEST_F(GroupNormRefuses, GroupsThatDoNotDivideTheChannels) {
  auto spoilt = forward();
  for (const std::int64_t groups : {3, 8, -1}) {
    spoilt.groups.groups = groups;
    refused(ErrorCode::bad_extent, {"groups is " + std::to_string(groups), "extent.channels = 4"}, spoilt);
  }
  auto gradients = backward();
  gradients.groups.groups = 3;
  refused(ErrorCode::bad_extent, {"groups is 3"}, gradients);
}

TEST_F(GroupNormRefuses, SamplesThatDoNotDivideTheRows) {
  auto spoilt = forward();
  for (const std::int64_t rows : {2, 0, -3}) {
    spoilt.groups.sample_rows = rows;
    refused(ErrorCode::bad_extent, {"sample_rows is " + std::to_string(rows), "extent.outer = 3"}, spoilt);
  }
}

TEST_F(GroupNormRefuses, BadExtents) {
  auto spoilt = forward();
  spoilt.groups.extent = {3, 0, 5};
  refused(ErrorCode::bad_extent, {"extent.channels is 0"}, spoilt);
  spoilt.groups.extent = {big, big, 5};
  refused(ErrorCode::overflow, {"exceeds 64 bits"}, spoilt);
  const std::array<std::int64_t, 3> shape = {3, 4, 5};
  expect_error(ErrorCode::bad_extent, {"Groups::channels_first", "groups is 3"},
               [&] { static_cast<void>(Groups::channels_first(shape, 3)); });
  expect_error(ErrorCode::bad_extent, {"Groups::channels_last", "groups is 2"},
               [&] { static_cast<void>(Groups::channels_last(shape, 2)); });
}

TEST_F(GroupNormRefuses, WrongLengths) {
  const std::vector<double> five(5);
  const std::vector<float> three(3);
  auto spoilt = forward();
  spoilt.x = spoilt.x.first(59);
  refused(ErrorCode::wrong_length, {"x has 59", "60"}, spoilt);
  spoilt = forward(), spoilt.y = spoilt.y.first(59);
  refused(ErrorCode::wrong_length, {"y has 59", "60"}, spoilt);
  spoilt = forward(), spoilt.gamma = three;
  refused(ErrorCode::wrong_length, {"gamma has 3", "C = 4"}, spoilt);
  spoilt = forward(), spoilt.beta = three;
  refused(ErrorCode::wrong_length, {"beta has 3", "C = 4"}, spoilt);
  spoilt = forward(), spoilt.mean = spoilt.mean.first(4);
  refused(ErrorCode::wrong_length, {"mean has 4", "N*G = 6"}, spoilt);
  spoilt = forward(), spoilt.rstd = spoilt.rstd.first(4);
  refused(ErrorCode::wrong_length, {"rstd has 4", "N*G = 6"}, spoilt);
  auto gradients = backward();
  gradients.dy = gradients.dy.first(59);
  refused(ErrorCode::wrong_length, {"dy has 59"}, gradients);
  gradients = backward(), gradients.mean = five;
  refused(ErrorCode::wrong_length, {"mean has 5", "N*G = 6"}, gradients);
  gradients = backward(), gradients.rstd = {};
  refused(ErrorCode::wrong_length, {"rstd has 0", "N*G = 6"}, gradients);
  gradients = backward(), gradients.dgamma = gradients.dgamma.first(3);
  refused(ErrorCode::wrong_length, {"dgamma has 3", "C = 4"}, gradients);
}

TEST_F(GroupNormRefuses, OutputsThatOverlapInputs) {
  auto spoilt = forward();
  spoilt.x = y.span();
  refused(ErrorCode::overlap, {"y overlaps x"}, spoilt);
  auto gradients = backward();
  gradients.x = y.span();
  refused(ErrorCode::overlap, {"dx overlaps x"}, gradients);
}

TEST_F(GroupNormRefuses, AnEpsThatLeavesAGroupWithoutAVarianceBeforeItWritesAny) {
  auto spoilt = forward();
  spoilt.eps = nan;
  refused(ErrorCode::bad_epsilon, {"eps is nan"}, spoilt);
  std::fill_n(p.of.x.begin() + 50, 10, 2.5F);  // the last group
  for (const Layout layout : both_layouts) {
    spoilt.groups = make_groups(layout, 3, 4, 5, 2);
    if (layout == Layout::channels_last) {
      for (std::size_t k = 40; k < 60; ++k) p.of.x[k] = k % 4 < 2 ? p.of.x[k] : 2.5F;
    }
    for (const double eps : {0.0, -1e-3}) {
      spoilt.eps = eps;
      refused(ErrorCode::bad_epsilon, {"var + eps is 0 + ", "channel 5"}, spoilt);
    }
  }
}

TEST_F(GroupNormRefuses, BadOptions) {
  refused(ErrorCode::bad_argument, {"options.cpu.threads is -1"}, forward(), {.cpu = {.threads = -1}});
  refused(ErrorCode::bad_argument, {"options.cpu.threads is -1"}, backward(), {.cpu = {.threads = -1}});
}

TEST_F(GroupNormRefuses, GroupsOfSeveralChannelsAsInstances) {
  expect_error(ErrorCode::bad_extent, {"instance_norm_forward", "groups is 2", "4"},
               [&] { instance_norm_forward(forward()); });
  expect_error(ErrorCode::bad_extent, {"instance_norm_backward", "groups is 2", "4"},
               [&] { instance_norm_backward(backward()); });
  EXPECT_TRUE(y.untouched());
}

TEST_F(GroupNormRefuses, WrongLengthsAndOverlapsOfTheDoubleBackward) {
  const GroupNormDoubleBackward<float> args{.groups = p.groups,
                                            .x = p.of.x,
                                            .dy = p.of.dy,
                                            .mean = saved.mean,
                                            .rstd = saved.rstd,
                                            .gamma = p.of.gamma,
                                            .grad_dx = other,
                                            .grad_x = y.span(),
                                            .grad_gamma = dgamma.span()};
  const auto double_refused = [&](ErrorCode code, std::initializer_list<std::string> parts,
                                  const GroupNormDoubleBackward<float>& spoilt, const Options& options = {}) {
    expect_error(code, parts, [&] { group_norm_double_backward<float>(spoilt, options); });
    EXPECT_TRUE(y.untouched() && dgamma.untouched());
  };
  const std::vector<float> three(3);
  auto spoilt = args;
  spoilt.grad_dx = spoilt.grad_dx.first(59);
  double_refused(ErrorCode::wrong_length, {"group_norm_double_backward", "grad_dx has 59", "60"}, spoilt);
  spoilt = args, spoilt.grad_dgamma = three;
  double_refused(ErrorCode::wrong_length, {"grad_dgamma has 3", "C = 4"}, spoilt);
  spoilt = args, spoilt.grad_dbeta = three;
  double_refused(ErrorCode::wrong_length, {"grad_dbeta has 3", "C = 4"}, spoilt);
  spoilt = args, spoilt.rstd = spoilt.rstd.first(4);
  double_refused(ErrorCode::wrong_length, {"rstd has 4", "N*G = 6"}, spoilt);
  spoilt = args, spoilt.grad_dx = y.span();
  double_refused(ErrorCode::overlap, {"grad_x overlaps grad_dx"}, spoilt);
  spoilt = args, spoilt.groups.groups = 3;
  double_refused(ErrorCode::bad_extent, {"groups is 3"}, spoilt);
  double_refused(ErrorCode::bad_argument, {"options.cpu.threads is -1"}, args, {.cpu = {.threads = -1}});
  expect_error(ErrorCode::bad_extent, {"instance_norm_double_backward", "groups is 2"},
               [&] { instance_norm_double_backward(args); });
  EXPECT_TRUE(y.untouched());
  EXPECT_NO_THROW(group_norm_double_backward(args));
}

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

/// The same for ghost batches of 2 of 5 rows.
class BatchNormGhostRefuses : public ::testing::Test {
 protected:
  BatchNormGhostForward<float> forward() {
    return {
        .extent = p.extent, .ghost = 2, .x = p.x, .gamma = p.gamma, .beta = p.beta, .y = y.span(), .mean = mean.span()};
  }
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const BatchNormGhostForward<float>& spoilt) {
    expect_error(code, {"batch_norm_ghost_forward"}, [&] { batch_norm_ghost_forward<float>(spoilt); });
    expect_error(code, parts, [&] { batch_norm_ghost_forward<float>(spoilt); });
    EXPECT_TRUE(y.untouched() && mean.untouched());
  }

  Problem<float> p = make_problem<float>(Extent{5, 4, 3});
  Guarded<float> y{60};
  Guarded<double> mean{12};
};

TEST_F(BatchNormGhostRefuses, NothingAboutTheLegalCall) { EXPECT_NO_THROW(batch_norm_ghost_forward(forward())); }

TEST_F(BatchNormGhostRefuses, GhostsWithoutRows) {
  auto spoilt = forward();
  for (const std::int64_t ghost : {0, -2}) {
    spoilt.ghost = ghost;
    refused(ErrorCode::bad_argument, {"ghost is " + std::to_string(ghost)}, spoilt);
  }
}

TEST_F(BatchNormGhostRefuses, WrongLengths) {
  auto spoilt = forward();
  spoilt.mean = spoilt.mean.first(8);
  refused(ErrorCode::wrong_length, {"mean has 8", "B*C = 12"}, spoilt);
}

TEST_F(BatchNormGhostRefuses, OneValuePerChannelInTheFirstOrTheLastGhostBatch) {
  auto spoilt = forward();
  spoilt.extent = {5, 12, 1}, spoilt.gamma = {}, spoilt.beta = {}, spoilt.mean = {};
  refused(ErrorCode::too_few_values, {"last", "1 value per channel"}, spoilt);
  spoilt.ghost = 1;
  refused(ErrorCode::too_few_values, {"first", "1 value per channel"}, spoilt);
}

TEST_F(BatchNormGhostRefuses, AnEpsThatLeavesAGhostBatchWithoutAVarianceBeforeItWritesAny) {
  auto spoilt = forward();
  std::fill_n(p.x.begin() + 48 + 9, 3, 2.5F);  // channel 3 of the last one
  spoilt.eps = -1e-9;
  refused(ErrorCode::bad_epsilon, {"var + eps is 0 + ", "channel 11"}, spoilt);
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

}  // namespace
}  // namespace unitvar::test
