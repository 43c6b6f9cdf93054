// Group and instance norm against the reference, and the same bits however they are run.
#include <gtest/gtest.h>

#include <cfenv>
#include <limits>
#include <vector>

#include "math/group_math.hpp"
#include "ops/group_norm/group_arguments.hpp"
#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"

namespace unitvar::test {
namespace {

/// Of every kind: one value per group, odd groups, rows around the vectors, groups of more channels than a cell takes,
/// channels of several tiles, rows of more columns than a cell takes, more samples than threads.
std::vector<Groups> few_groups() {
  struct Shape {
    std::int64_t n, c, s;
    std::vector<std::int64_t> groups;
  };
  const std::vector<Shape> shapes = {{2, 3, 1, {3, 1}},     {3, 15, 49, {5, 3, 1, 15}}, {2, 8, 16, {4, 8}},
                                     {2, 6, 17, {3}},       {1, 4, 257, {2}},           {2, 21, 63, {3}},
                                     {5, 6, 64, {6, 2}},    {2, 34, 100, {1, 2}},       {33, 4, 9, {2, 1}},
                                     {2, 4, 4097, {2, 4}},  {1, 2100, 3, {1}},          {1, 1, 1, {1}},
                                     {1, 150, 70, {2, 150}}};
  std::vector<Groups> all;
  for (const Layout layout : both_layouts) {
    for (const Shape& shape : shapes) {
      for (const std::int64_t groups : shape.groups)
        all.push_back(make_groups(layout, shape.n, shape.c, shape.s, groups));
    }
  }
  return thinned(all, 3);
}

/// Large enough for threads to share, side by side or together; of short planes, results past the caches too.
std::vector<Groups> large_groups() {
  std::vector<Groups> all;
  for (const Layout layout : both_layouts) {
    all.push_back(make_groups(layout, 9, 24, 784, 4));
    all.push_back(make_groups(layout, 9, 24, 784, 0));
    all.push_back(make_groups(layout, 2, 128, 900, 1));
    all.push_back(make_groups(layout, 3, 6, 9000, 3));
    all.push_back(make_groups(layout, 4, 700, 197, 20));
  }
  return thinned(all, 3);
}

template <class T>
class GroupNormParity : public ::testing::Test {
 protected:
  static void expect_in_every_walk(const GroupProblem<T>& p) {
    SCOPED_TRACE(describe(p.groups));
    const GroupExpected<T> e = expected(p);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        SCOPED_TRACE(walk_name(walk));
        const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
        const auto forward = run_forward(p, options);
        expect_parity(forward, run_backward(p, forward, options), e);
      }
    });
  }
};
TYPED_TEST_SUITE(GroupNormParity, AllDtypes);

TYPED_TEST(GroupNormParity, MatchesReferenceInBothLayoutsAndEveryWalk) {
  for (const Groups& groups : few_groups()) this->expect_in_every_walk(make_group_problem<TypeParam>(groups, 2));
}

TYPED_TEST(GroupNormParity, MatchesReferenceOnLargeTensors) {
  for (const Groups& groups : large_groups()) {
    const auto p = make_group_problem<TypeParam>(groups, 1);
    const auto forward = run_forward(p);
    expect_parity(forward, run_backward(p, forward), expected(p));
  }
}

TYPED_TEST(GroupNormParity, KeepsItsDigitsAtLargeMeans) {
  for (const double mean : {1e3, 1e6}) {
    if (is_half<TypeParam> && mean > 6e4) continue;
    for (const Groups& groups : few_groups()) this->expect_in_every_walk(make_group_problem<TypeParam>(groups, mean));
  }
}

TYPED_TEST(GroupNormParity, ChannelsWithAGammaOfZeroStillGetTheGradientOfTheirGroup) {
  for (const Groups& groups : few_groups()) {
    auto p = make_group_problem<TypeParam>(groups, 1);
    for (std::size_t c = 0; c < p.of.gamma.size(); c += 2) p.of.gamma[c] = 0;
    this->expect_in_every_walk(p);
  }
}

TYPED_TEST(GroupNormParity, MatchesReferenceWithoutGammaOrBeta) {
  for (const Groups& groups : few_groups()) {
    auto p = make_group_problem<TypeParam>(groups, 1);
    p.of.gamma.clear();
    p.of.beta.clear();
    this->expect_in_every_walk(p);
  }
}

TYPED_TEST(GroupNormParity, SavesMeanAndRstdOfEachGroup) {
  for (const Groups& groups : few_groups()) {
    SCOPED_TRACE(describe(groups));
    const auto p = make_group_problem<TypeParam>(groups, 100);
    const auto forward = run_forward(p);
    const auto e = expected(p);
    const auto& cache = e.forward.cache;
    for (std::size_t k = 0; k < forward.mean.size(); ++k) {
      const auto off = static_cast<double>(std::abs(forward.mean[k] - cache.mean[k]) * cache.rstd[k]);
      // Of a single value even eps makes a fine std.
      if (groups.count() > 1) expect_within<TypeParam>(Quantity::mean, off, e.mean_over_std);
    }
    expect_within<TypeParam>(Quantity::rstd, worst_relative(forward.rstd, cache.rstd), e.mean_over_std);
  }
}

TYPED_TEST(GroupNormParity, AllGammasOfZeroStopTheInputGradient) {
  auto p = make_group_problem<TypeParam>(make_groups(Layout::channels_first, 2, 6, 17, 2));
  p.of.gamma.assign(6, 0);
  const auto backward = run_backward(p, run_forward(p));
  for (const TypeParam dx : backward.dx) EXPECT_EQ(0, static_cast<double>(dx));
}

TYPED_TEST(GroupNormParity, AGroupOfOneValueIsItsBeta) {
  for (const Layout layout : both_layouts) {
    const auto p = make_group_problem<TypeParam>(make_groups(layout, 3, 5, 1, 5), 1e3);
    const auto forward = run_forward(p);
    for (std::size_t k = 0; k < forward.y.size(); ++k) EXPECT_EQ(forward.y[k], TypeParam(p.of.beta[k % 5]));
    for (const TypeParam dx : run_backward(p, forward).dx) EXPECT_EQ(0, static_cast<double>(dx));
  }
}

TYPED_TEST(GroupNormParity, InstanceNormIsGroupNormWithOneChannelPerGroup) {
  using T = TypeParam;
  for (const Layout layout : both_layouts) {
    auto p = make_group_problem<T>(make_groups(layout, 3, 5, 49, 5));
    const auto forward = run_forward(p);
    const auto backward = run_backward(p, forward);
    const Groups instances = make_groups(layout, 3, 5, 49, 0);
    std::vector<T> y(p.of.x.size()), dx(y.size());
    instance_norm_forward<T>({.groups = instances, .x = p.of.x, .gamma = p.of.gamma, .beta = p.of.beta, .y = y});
    instance_norm_backward<T>({.groups = instances,
                               .x = p.of.x,
                               .dy = p.of.dy,
                               .mean = forward.mean,
                               .rstd = forward.rstd,
                               .gamma = p.of.gamma,
                               .dx = dx});
    EXPECT_TRUE(same_bits(y, forward.y));
    EXPECT_TRUE(same_bits(dx, backward.dx));
  }
}

template <class T>
class GroupNormBits : public ::testing::Test {
 protected:
  static void expect_same(const GroupProblem<T>& p, const std::vector<int>& threads) {
    SCOPED_TRACE(describe(p.groups));
    const auto forward = run_forward(p, {.cpu = {.threads = 1}});
    const auto backward = run_backward(p, forward, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        for (const int count : threads) {
          const Options options{.cpu = {.threads = count, .isa = isa, .walk = walk}};
          SCOPED_TRACE(describe(options));
          const auto f = run_forward(p, options);
          ASSERT_TRUE(same_bits(f.y, forward.y));
          ASSERT_TRUE(same_bits(f.mean, forward.mean));
          ASSERT_TRUE(same_bits(f.rstd, forward.rstd));
          const auto b = run_backward(p, forward, options);
          ASSERT_TRUE(same_bits(b.dx, backward.dx));
          ASSERT_TRUE(same_bits(b.dgamma, backward.dgamma));
          ASSERT_TRUE(same_bits(b.dbeta, backward.dbeta));
        }
      }
    });
  }
};
TYPED_TEST_SUITE(GroupNormBits, AllDtypes);

TYPED_TEST(GroupNormBits, AreTheSameForEveryThreadCountInstructionSetAndWalk) {
  for (const Groups& groups : few_groups()) this->expect_same(make_group_problem<TypeParam>(groups, 10), {1, 3});
  for (const Groups& groups : large_groups()) this->expect_same(make_group_problem<TypeParam>(groups, 10), {2, 7});
}

TYPED_TEST(GroupNormBits, AreTheSameWithGammasOfZeroAndOutliers) {
  for (const Groups& groups : large_groups()) {
    auto p = make_group_problem<TypeParam>(groups, 1);
    for (std::size_t c = 0; c < p.of.gamma.size(); c += 3) p.of.gamma[c] = 0;
    for (std::size_t k = 0; k < p.of.x.size(); k += 5000) p.of.x[k] = TypeParam(6e4);
    this->expect_same(p, {3});
  }
}

/// The elements of one group, in the order of memory.
template <class T>
std::vector<T> group_values(const Groups& g, const std::vector<T>& values, std::int64_t group) {
  const Extent& e = g.extent;
  const std::int64_t sample = group / g.per_sample(), first = group % g.per_sample() * g.group_channels();
  std::vector<T> of_group;
  for (std::int64_t o = sample * g.sample_rows; o < (sample + 1) * g.sample_rows; ++o) {
    for (std::int64_t c = first; c < first + g.group_channels(); ++c) {
      for (std::int64_t i = 0; i < e.inner; ++i) of_group.push_back(values[to_size(e.index(o, c, i))]);
    }
  }
  return of_group;
}

TYPED_TEST(GroupNormBits, NanAndInfInOneGroupReachItsResultsAlone) {
  using T = TypeParam;
  for (const double poison : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const Layout layout : both_layouts) {
      const Groups groups = make_groups(layout, 3, 12, 50, 4);
      const auto clean = make_group_problem<T>(groups, 1);
      const auto forward = run_forward(clean);
      auto p = clean;
      const std::int64_t hit = 5;  // sample 1, group 1: channels 3, 4, 5
      p.of.x[to_size(groups.extent.index(groups.sample_rows, 4, groups.extent.inner - 1))] = T(poison);
      const auto seen = run_forward(p);
      const auto dx = run_backward(p, seen), clean_dx = run_backward(clean, forward);
      for (std::int64_t k = 0; k < groups.size(); ++k) {
        if (k == hit) {
          EXPECT_TRUE(all_nan(group_values(groups, dx.dx, k)));
          continue;
        }
        EXPECT_TRUE(same_bits(group_values(groups, seen.y, k), group_values(groups, forward.y, k)));
        EXPECT_TRUE(same_bits(group_values(groups, dx.dx, k), group_values(groups, clean_dx.dx, k)));
      }
      for (std::size_t c = 0; c < 12; ++c) EXPECT_EQ(std::isnan(dx.dgamma[c]), c >= 3 && c < 6) << c;
    }
  }
}

TYPED_TEST(GroupNormBits, StayInsideMemoryThatEndsOrStartsAtAForbiddenPage) {
  using T = TypeParam;
  for (const Groups& groups : few_groups()) {
    SCOPED_TRACE(describe(groups));
    const auto p = make_group_problem<T>(groups, 1);
    const auto want = run_forward(p);
    const auto gradients = run_backward(p, want);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : {Walk::resident, Walk::streamed}) {
        for (const Fence fence : {Fence::before, Fence::after}) {
          const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
          Fenced<T> x(p.of.x, fence), dy(p.of.dy, fence), y(p.of.x.size(), fence), dx(p.of.x.size(), fence);
          Fenced<param_t<T>> gamma(p.of.gamma, fence), beta(p.of.beta, fence), dgamma(p.of.gamma.size(), fence),
              dbeta(p.of.gamma.size(), fence);
          Fenced<double> mean(want.mean.size(), fence), rstd(want.mean.size(), fence);
          group_norm_forward<T>({.groups = groups,
                                 .x = x.span(),
                                 .gamma = gamma.span(),
                                 .beta = beta.span(),
                                 .y = y.span(),
                                 .mean = mean.span(),
                                 .rstd = rstd.span()},
                                options);
          EXPECT_TRUE(same_bits(y.values(), want.y));
          group_norm_backward<T>({.groups = groups,
                                  .x = x.span(),
                                  .dy = dy.span(),
                                  .mean = mean.span(),
                                  .rstd = rstd.span(),
                                  .gamma = gamma.span(),
                                  .dx = dx.span(),
                                  .dgamma = dgamma.span(),
                                  .dbeta = dbeta.span()},
                                 options);
          EXPECT_TRUE(same_bits(dx.values(), gradients.dx));
          EXPECT_TRUE(same_bits(dgamma.values(), gradients.dgamma));
          EXPECT_TRUE(same_bits(dbeta.values(), gradients.dbeta));
        }
      }
    });
  }
}

TYPED_TEST(GroupNormBits, OfDxAreTheSameInPlaceOfDy) {
  using T = TypeParam;
  for (const Groups& groups : large_groups()) {
    auto p = make_group_problem<T>(groups, 1);
    p.of.gamma[1] = 0;
    const auto forward = run_forward(p);
    const auto want = run_backward(p, forward);
    std::vector<T> dx = p.of.dy;
    group_norm_backward<T>({.groups = groups,
                            .x = p.of.x,
                            .dy = dx,
                            .mean = forward.mean,
                            .rstd = forward.rstd,
                            .gamma = p.of.gamma,
                            .dx = dx});
    EXPECT_TRUE(same_bits(dx, want.dx));
  }
}

/// A program that traps divisions by zero must not die of a channel that is switched off. Calls restore the exception
/// flags, and so this looks at what they call.
template <class T>
void expect_no_division_by_gamma() {
  const Groups groups = make_groups(Layout::channels_first, 3, 8, 33, 2);
  const math::Partition partition = ops::partition_of(groups);
  const auto parts = to_size(partition.parts());
  std::vector<param_t<T>> gamma(8, 0.5);
  for (const std::size_t c : {1U, 4U, 5U, 6U, 7U}) gamma[c] = 0;  // one of the first group, all of the second
  const std::vector<double> rstd(parts, 2.0), sum_dy(parts, 3.0), sum_dy_xmu(parts, -5.0);
  std::vector<double> mean_dy(parts), slope(parts), scale(parts), factor(parts);
  const math::GroupGradientFinish<param_t<T>> finish{
      .values = 4 * 33,
      .group_parts = partition.group_parts,
      .parameters = partition.parameters,
      .rstd = rstd.data(),
      .gamma = gamma.data(),
      .sum_dy = sum_dy.data(),
      .sum_dy_xmu = sum_dy_xmu.data(),
      .to = {mean_dy.data(), slope.data(), math::ScaleArrays::of<param_t<T>>(scale.data(), factor.data())}};
  std::feclearexcept(FE_ALL_EXCEPT);
  for (std::int64_t g = 0; g < partition.groups(); ++g) finish(g);
  EXPECT_EQ(0, std::fetestexcept(FE_DIVBYZERO | FE_INVALID));
  for (std::size_t k = 0; k < parts; ++k) {
    // sums of gamma dy and gamma dy (x - mean): of three channels, or none
    const double mean = k % 8 < 4 ? 3 * 0.5 * 3 / (4 * 33.0) : 0, along = k % 8 < 4 ? 3 * 0.5 * -5 * 4 / (4 * 33.0) : 0;
    const bool divides = gamma[k % 8] != 0;
    EXPECT_EQ(divides ? 0.5 * 2 : 0, scale[k]) << k;
    EXPECT_DOUBLE_EQ(divides ? mean / 0.5 : -mean * 2, mean_dy[k]) << k;
    EXPECT_DOUBLE_EQ(divides ? along / 0.5 : -along * 2, slope[k]) << k;
  }
}

TEST(GroupGradientFinish, AGammaOfZeroIsNoDivisor) {
  expect_no_division_by_gamma<float>();
  expect_no_division_by_gamma<double>();
}

}  // namespace
}  // namespace unitvar::test
