#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "cpu/plan/tiling.hpp"
#include "support/dtypes.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/precision_counts.hpp"
#include "support/run.hpp"
#include "support/weighted.hpp"
#include "unitvar/accumulator.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/schedule.hpp"

/// How often calls say that they left float.
namespace unitvar::test {
namespace {

using std::int64_t;

/// Channels first and last, with four tiles of each channel.
const Extent both_extents[] = {{8, 5, 1600}, {1200, 5, 1}};
constexpr int64_t kTiles = 4, kChannels = 5, kAll = kTiles * kChannels;

TEST(PrecisionCounts, TheExtentsOfTheseTestsHaveFourTiles) {
  for (const Extent& extent : both_extents) EXPECT_EQ(cpu::make_tiling(extent).tiles(), kTiles) << describe(extent);
}

/// Changes each element of channel c.
template <class T, class Change>
void change_channel(Problem<T>& p, int64_t c, const Change& change) {
  for (int64_t o = 0; o < p.extent.outer; ++o) {
    for (int64_t i = 0; i < p.extent.inner; ++i) {
      T& x = p.x[to_size(p.extent.index(o, c, i))];
      x = static_cast<T>(change(static_cast<double>(x)));
    }
  }
}

/// Elements of channel c that choose the shift of tile 1, three of them far off: 30 standard deviations of the tile.
template <class T>
void put_outliers(Problem<T>& p, int64_t c) {
  const cpu::Tiling tiling = cpu::make_tiling(p.extent);
  const cpu::Tile tile = tiling.tile(1);
  const auto step = static_cast<int64_t>(2048 / sizeof(T) / 4);
  for (const int64_t k : {0, 1, 2}) {
    const bool planar = tiling.shape == cpu::Shape::planar;
    p.x[to_size(p.extent.index(tile.row + (planar ? 0 : k), c, planar ? k * step : 0))] = static_cast<T>(1000.0);
  }
}

template <class T>
class PrecisionCountsOf : public testing::Test {};
TYPED_TEST_SUITE(PrecisionCountsOf, AllDtypes);

TYPED_TEST(PrecisionCountsOf, OrdinaryDataStayInFloat) {
  using T = TypeParam;
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    for (const double mean : {0.0, 1.0, 100.0}) {
      const auto p = make_problem<T>(extent, mean);
      EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, 0, kAll, 0})) << mean;
      EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, 0, kAll, 0})) << mean;
    }
  }
}

TYPED_TEST(PrecisionCountsOf, AHugeGammaMapsItsChannelInDouble) {
  using T = TypeParam;
  const int64_t in_double = std::is_same_v<T, double> ? 0 : kTiles;
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    p.gamma[2] = static_cast<param_t<T>>(1e31);
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, 0, kAll, in_double}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, 0, kAll, in_double}));
    p.gamma[2] = static_cast<param_t<T>>(1e29);
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, 0, kAll, 0}));
  }
}

/// Sums of floats in double have digits to spare for so few outliers: see the rows below.
TYPED_TEST(PrecisionCountsOf, OutliersThatMakeTheShiftAreSummedAgainInTheirTileAlone) {
  using T = TypeParam;
  const int64_t again = std::is_same_v<T, float> ? 0 : 1;
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    put_outliers(p, 3);
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, again, kAll, 0}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, 0, kAll, 0}));
  }
}

/// A sum of 0 in float does not tell whether squares underflowed.
TYPED_TEST(PrecisionCountsOf, AChannelOfOneValueIsSummedAgainWhereSumsAreFloat) {
  using T = TypeParam;
  const int64_t again = is_half<T> ? kTiles : 0;
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    change_channel(p, 1, [](double) { return 0.75; });
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, again, kAll, 0}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, again, kAll, 0}));
  }
}

TYPED_TEST(PrecisionCountsOf, AChannelWithNanGoesToDouble) {
  using T = TypeParam;
  const int64_t again = is_half<T> ? 1 : 0, in_double = std::is_same_v<T, double> ? 0 : kTiles;
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    p.x[to_size(extent.index(extent.outer - 1, 4, extent.inner - 1))] =
        static_cast<T>(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, again, kAll, in_double}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, is_half<T> ? kTiles : 0, kAll, in_double}));
  }
}

/// Data of so many standard deviations from 1 that coefficients, or squares in float, have no digits.
template <class T>
void expect_all_in_double(double scale) {
  for (const Extent& extent : both_extents) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = 1, .scale = scale});
    const int64_t again = is_half<T> ? kAll : 0;
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, again, kAll, kAll}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, again, kAll, kAll}));
  }
}

TEST(PrecisionCounts, DenormalsAreMappedInDoubleAndSummedAgainWhereSumsAreFloat) {
  expect_all_in_double<float>(1e-40);
  expect_all_in_double<bf16>(1e-40);
}

TEST(PrecisionCounts, ValuesOf1e31AreMappedInDoubleAndSummedAgainWhereSumsAreFloat) {
  expect_all_in_double<float>(1e31);
  expect_all_in_double<bf16>(1e31);
}

TEST(PrecisionCounts, CallsThatFollowOneAnotherAddUp) {
  const auto p = make_problem<float>(both_extents[0]);
  const PrecisionCounts counts = counts_of([&](const Options& options) {
    run_forward(p, options);
    run_forward(p, options);
  });
  EXPECT_EQ(counts, (PrecisionCounts{2 * kAll, 0, 2 * kAll, 0}));
}

/// One of each kind of channel that leaves float, enough for three threads.
template <class T>
Problem<T> make_mixed_problem() {
  auto p = make_problem<T>(Extent{32, 64, 784});
  p.gamma[2] = static_cast<param_t<T>>(1e31);
  p.gamma[40] = static_cast<param_t<T>>(1e31);
  put_outliers(p, 7);
  change_channel(p, 63, [](double) { return 0.75; });
  return p;
}

TYPED_TEST(PrecisionCountsOf, CountsAreTheSameOnAnyThreadsWalkAndInstructionSetAndChangeNoBit) {
  using T = TypeParam;
  const auto p = make_mixed_problem<T>();
  const auto forward = run_forward(p, {.cpu = {.threads = 1}});
  const auto backward = run_backward(p, forward.mean, forward.rstd, {.cpu = {.threads = 1}});
  const PrecisionCounts want_forward = counts_of_forward(p), want_backward = counts_of_backward(p);
  EXPECT_EQ(want_forward.maps_in_double > 0, (!std::is_same_v<T, double>));
  EXPECT_EQ(want_forward.sums_again > 0, (!std::is_same_v<T, float>));
  for_each_isa([&](Isa isa) {
    for (const int threads : {1, 2, 3}) {
      for (const Walk walk : {Walk::resident, Walk::streamed}) {
        PrecisionCounts counts, backward_counts;
        const Options options{.cpu = {.threads = threads, .isa = isa, .walk = walk, .counts = &counts}};
        SCOPED_TRACE(describe(options));
        ASSERT_EQ(explain(p.extent, sizeof(T), Pass::forward, options).threads, threads);
        const auto f = run_forward(p, options);
        EXPECT_EQ(counts, want_forward);
        EXPECT_TRUE(same_bits(f.y, forward.y));
        const auto b =
            run_backward(p, forward.mean, forward.rstd,
                         {.cpu = {.threads = threads, .isa = isa, .walk = walk, .counts = &backward_counts}});
        EXPECT_EQ(backward_counts, want_backward);
        EXPECT_TRUE(same_bits(b.dx, backward.dx));
        EXPECT_TRUE(same_bits(b.dgamma, backward.dgamma));
      }
    }
  });
}

/// Second passes alone are cut by the threads.
TEST(PrecisionCounts, OfInferenceAreTheSameOnAnyThreads) {
  auto p = make_problem<float>(Extent{784, 512, 1});
  p.gamma[2] = 1e31F;
  const auto f = run_forward(p);
  for (const int threads : {1, 2, 3, 4, 7}) {
    PrecisionCounts counts;
    run_inference(p, f.mean, f.var, {.cpu = {.threads = threads, .counts = &counts}});
    EXPECT_EQ(counts, (PrecisionCounts{0, 0, 2 * 512, 2})) << threads;
  }
}

TEST(PrecisionCounts, EachVariantOfBatchNormCountsItsPhases) {
  const Extent extent = both_extents[0];
  const auto p = make_problem<float>(extent);
  const auto f = run_forward(p);
  std::vector<float> out(p.x.size()), more(p.x.size()), gradient(to_size(kChannels));
  const auto expect = [](const char* what, const PrecisionCounts& want, const auto& call) {
    EXPECT_EQ(counts_of(call), want) << what;
  };
  expect("inference", {0, 0, kAll, 0}, [&](const Options& o) { run_inference(p, f.mean, f.var, o); });
  expect("backward without dx", {kAll, 0, 0, 0}, [&](const Options& o) {
    batch_norm_backward<float>(
        {.extent = extent, .x = p.x, .dy = p.dy, .mean = f.mean, .rstd = f.rstd, .gamma = p.gamma, .dgamma = gradient},
        o);
  });
  expect("frozen backward without sums", {0, 0, kAll, 0}, [&](const Options& o) {
    batch_norm_frozen_backward<float>({.extent = extent,
                                       .x = p.x,
                                       .dy = p.dy,
                                       .mean = f.mean,
                                       .var = f.var,
                                       .gamma = p.gamma,
                                       .dx = out,
                                       .eps = p.eps},
                                      o);
  });
  expect("moments", {kAll, 0, 0, 0}, [&](const Options& o) {
    std::vector<double> mean(to_size(kChannels)), m2(mean);
    moments<float>({.extent = extent, .x = p.x, .mean = mean, .m2 = m2}, o);
  });
  expect("double backward: sums of three pairs, and two maps", {3 * kAll, 0, 2 * kAll, 0}, [&](const Options& o) {
    batch_norm_double_backward<float>({.extent = extent,
                                       .x = p.x,
                                       .dy = p.dy,
                                       .mean = f.mean,
                                       .rstd = f.rstd,
                                       .gamma = p.gamma,
                                       .grad_dx = p.dy,
                                       .grad_x = out,
                                       .grad_dy = more},
                                      o);
  });
}

TEST(PrecisionCounts, ALinearMapGoesToDoubleWithItsCoefficients) {
  auto p = make_problem<float>(both_extents[1]);
  p.gamma[1] = 1e31F;
  const auto f = run_forward(p);
  std::vector<float> out(p.x.size());
  const PrecisionCounts counts = counts_of([&](const Options& options) {
    batch_norm_double_backward<float>({.extent = p.extent,
                                       .x = p.x,
                                       .dy = p.dy,
                                       .mean = f.mean,
                                       .rstd = f.rstd,
                                       .gamma = p.gamma,
                                       .grad_dx = p.dy,
                                       .grad_dy = out},
                                      options);
  });
  EXPECT_EQ(counts.maps, kAll);
  EXPECT_EQ(counts.maps_in_double, kTiles);
}

TEST(PrecisionCounts, TilesWithoutWeightsCountToo) {
  const Extent extent{2, 3, 4096};
  const auto p = make_problem<float>(extent);
  std::vector<float> weight(to_size(extent.outer * extent.inner), 1.0F);
  std::fill(weight.begin() + 4096, weight.end(), 0.0F);
  ASSERT_EQ(cpu::make_tiling(extent, true).tiles(), 2);
  EXPECT_EQ(counts_of([&](const Options& options) { run_weighted_forward(p, weight, options); }),
            (PrecisionCounts{6, 0, 6, 0}));
}

TEST(PrecisionCounts, AGammaThatTakesTwoStepsCountsOnce) {
  auto p = make_problem<double>(ProblemSpec{.extent = both_extents[0], .scale = 1e-10});
  p.eps = 0;
  p.gamma[2] = 1e305;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kAll, 0, kAll, 0}));
  EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{kAll, 0, kAll, 0}));
}

TYPED_TEST(PrecisionCountsOf, SubBatchesOfGroupNormAddUp) {
  using T = TypeParam;
  constexpr int64_t samples = 16, channels = 8, points = 5000;  // two tiles of each sample's channel
  for (const Layout layout : both_layouts) {
    auto p = make_group_problem<T>(make_groups(layout, samples, channels, points, 4));
    SCOPED_TRACE(describe(p.groups));
    const Extent& e = p.groups.extent;
    const Extent sample{p.groups.sample_rows, channels, e.inner};
    const int64_t all = samples * channels * cpu::make_tiling(sample).tiles();
    p.of.gamma[3] = static_cast<param_t<T>>(1e31);
    const int64_t in_double = std::is_same_v<T, double> ? 0 : all / channels;
    for (const int threads : {1, 2, 3}) {
      PrecisionCounts forward_counts, backward_counts;
      const auto f = run_forward(p, {.cpu = {.threads = threads, .counts = &forward_counts}});
      run_backward(p, f, {.cpu = {.threads = threads, .counts = &backward_counts}});
      EXPECT_EQ(forward_counts, (PrecisionCounts{all, 0, all, in_double})) << threads;
      EXPECT_EQ(backward_counts.sums, all) << threads;
      EXPECT_EQ(backward_counts.maps, all) << threads;
      EXPECT_GE(backward_counts.maps_in_double, in_double) << threads;
    }
  }
}

TYPED_TEST(PrecisionCountsOf, AccumulatorsCountAsThePhasesDo) {
  using T = TypeParam;
  auto p = make_problem<T>(both_extents[0]);
  change_channel(p, 1, [](double) { return 0.75; });
  put_outliers(p, 3);
  std::vector<double> mean(to_size(kChannels)), second(mean), sum_dy(mean);
  const PrecisionCounts want = counts_of(
      [&](const Options& options) { moments<T>({.extent = p.extent, .x = p.x, .mean = mean, .m2 = second}, options); });
  const PrecisionCounts seen = counts_of([&](const Options& options) {
    MomentsAccumulator<T> accumulator(p.extent, options);
    for (int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, kChannels, p.x);
    accumulator.finish(mean, second);
  });
  EXPECT_EQ(seen, want);
  EXPECT_EQ(want.sums, kAll);
  EXPECT_EQ(want.sums_again, (is_half<T> ? kTiles : 0) + (std::is_same_v<T, float> ? 0 : 1));
  const PrecisionCounts gradients = counts_of([&](const Options& options) {
    GradientSumsAccumulator<T> accumulator(p.extent, mean, options);
    for (int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, kChannels, p.x, p.dy);
    accumulator.finish(sum_dy, second);
  });
  EXPECT_EQ(gradients, (PrecisionCounts{kAll, is_half<T> ? kTiles : 0, 0, 0}));
}

TEST(PrecisionCounts, AnEmptyBatchCountsNothing) {
  const auto p = make_problem<float>(Extent{0, 3, 5});
  EXPECT_EQ(counts_of_forward(p), PrecisionCounts{});
}

}  // namespace
}  // namespace unitvar::test
