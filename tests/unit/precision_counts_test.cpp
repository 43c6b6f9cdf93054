#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <type_traits>
#include <vector>

#include "cpu/plan/tiling.hpp"
#include "support/dtypes.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/rows.hpp"
#include "support/run.hpp"
#include "support/weighted.hpp"
#include "unitvar/accumulator.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar {

// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for.
void PrintTo(const PrecisionCounts& c, std::ostream* to) {
  *to << c.sums_again << " of " << c.sums << " sums again, " << c.maps_in_double << " of " << c.maps
      << " maps in double";
}

}  // namespace unitvar

/// How often calls say that they left float.
namespace unitvar::test {
namespace {

using std::int64_t;

/// Channels first and last, with three tiles of each channel.
const Extent both_extents[] = {{6, 5, 1600}, {600, 5, 1}};
constexpr int64_t kTiles = 3, kChannels = 5, kAll = kTiles * kChannels;

TEST(PrecisionCounts, TheExtentsOfTheseTestsHaveThreeTiles) {
  for (const Extent& extent : both_extents) EXPECT_EQ(cpu::make_tiling(extent).tiles(), kTiles) << describe(extent);
}

/// What `call` counts on one thread.
template <class Call>
PrecisionCounts counts_of(const Call& call) {
  PrecisionCounts counts;
  call(Options{.cpu = {.threads = 1, .counts = &counts}});
  return counts;
}

template <class Problem>
PrecisionCounts counts_of_forward(const Problem& p) {
  return counts_of([&](const Options& options) { run_forward(p, options); });
}
template <class Problem>
PrecisionCounts counts_of_backward(const Problem& p) {
  const auto forward = run_forward(p);
  if constexpr (requires { forward.var; }) {
    return counts_of([&](const Options& options) { run_backward(p, forward.mean, forward.rstd, options); });
  } else {
    return counts_of([&](const Options& options) { run_backward(p, forward, options); });
  }
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

constexpr int64_t kRows = 37;
const RowExtent row_extent{kRows, 768};

/// Elements of the rows [5, 700) of 768.
template <class T>
std::vector<T> rows_between(const std::vector<T>& all) {
  return {all.begin() + 5 * 768, all.begin() + 700 * 768};
}

TYPED_TEST(PrecisionCountsOf, OrdinaryRowsStayInFloat) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    for (const double mean : {0.0, 1.0, 100.0}) {
      const auto p = make_row_problem<T>(norm, row_extent, mean);
      EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, 0, kRows, 0})) << mean;
      // Sums over rows and, for dgamma and dbeta, of rows.
      EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{2 * kRows, 0, kRows, 0})) << mean;
    }
  }
}

TYPED_TEST(PrecisionCountsOf, BackwardOfRowsCountsWhatIsAskedFor) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<T>(norm, row_extent);
    const auto f = run_forward(p);
    std::vector<T> dx(p.x.size());
    std::vector<param_t<T>> dgamma(p.gamma.size());
    EXPECT_EQ(counts_of([&](const Options& o) { run_backward_into<T>(p, p.dy, f, dx, {}, {}, o); }),
              (PrecisionCounts{kRows, 0, kRows, 0}));
    EXPECT_EQ(counts_of([&](const Options& o) { run_backward_into<T>(p, p.dy, f, {}, dgamma, {}, o); }),
              (PrecisionCounts{kRows, 0, 0, 0}));
    std::vector<T> in_place = p.dy;
    EXPECT_EQ(counts_of([&](const Options& o) { run_backward_into<T>(p, in_place, f, in_place, dgamma, {}, o); }),
              (PrecisionCounts{2 * kRows, 0, kRows, 0}));
  }
}

TYPED_TEST(PrecisionCountsOf, AHugeGammaOfOneColumnMapsAllRowsInDouble) {
  using T = TypeParam;
  const int64_t in_double = std::is_same_v<T, double> ? 0 : kRows, again = is_half<T> ? kRows : 0;
  for (const RowNorm norm : both_row_norms) {
    auto p = make_row_problem<T>(norm, row_extent);
    p.gamma[100] = static_cast<param_t<T>>(1e31);
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, 0, kRows, in_double}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{2 * kRows, again, kRows, in_double}));
  }
}

TYPED_TEST(PrecisionCountsOf, OutliersThatMakeTheShiftAreSummedAgainInTheirRowAlone) {
  using T = TypeParam;
  auto p = make_row_problem<T>(RowNorm::layer, row_extent);
  const int64_t step = std::min<int64_t>(row_extent.length, 2048 / static_cast<int64_t>(sizeof(T))) / 4;
  for (const int64_t k : {0, 1, 2}) p.x[to_size(5 * row_extent.length + k * step)] = static_cast<T>(1000.0);
  const int64_t again = std::is_same_v<T, float> ? 0 : 1;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, again, kRows, 0}));
  p.norm = RowNorm::rms;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, 0, kRows, 0})) << "RMS norm has no shift";
}

/// More than 1024 deviations take 2^21 values.
TEST(PrecisionCounts, ALongRowOfFloatsIsSummedAgainAboutItsMean) {
  const RowExtent extent{1, int64_t{1} << 22};
  RowProblem<float> p{RowNorm::layer, extent, std::vector<float>(to_size(extent.length)), {}, {}, {}};
  for (std::size_t k = 0; k < p.x.size(); ++k) p.x[k] = k % 2 == 0 ? 1.0F : -1.0F;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{1, 0, 1, 0}));
  for (const std::size_t k : {0, 128, 256}) p.x[k] = 1e6F;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{1, 1, 1, 0}));
}

TEST(PrecisionCounts, RowsOfDenormalsAreMappedInDoubleAndSummedAgainWhereSumsAreFloat) {
  const auto expect = [](const auto& p, int64_t again) {
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, again, kRows, kRows}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{2 * kRows, 2 * again, kRows, kRows}));
  };
  expect(make_row_problem<float>(RowNorm::layer, row_extent, 1, 1e-40), 0);
  expect(make_row_problem<bf16>(RowNorm::layer, row_extent, 1, 1e-40), kRows);
}

TYPED_TEST(PrecisionCountsOf, RowsCountTheSameOnAnyThreadsAndInstructionSetAndChangeNoBit) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    auto p = make_row_problem<T>(norm, {1024, 768});
    for (const int64_t row : {3, 4, 700}) p.x[to_size(row * 768)] = static_cast<T>(std::nan(""));
    for (int64_t k = 0; k < 768; ++k) p.x[to_size(800 * 768 + k)] = static_cast<T>(0.75);
    const auto forward = run_forward(p, {.cpu = {.threads = 1}});
    const auto backward = run_backward(p, forward, {.cpu = {.threads = 1}});
    const PrecisionCounts want_forward = counts_of_forward(p), want_backward = counts_of_backward(p);
    EXPECT_EQ(want_forward.maps_in_double, (std::is_same_v<T, double> ? 0 : 3));
    EXPECT_EQ(want_forward.sums_again, (is_half<T> ? 3 : 0) + (is_half<T> && norm == RowNorm::layer ? 1 : 0));
    for_each_isa([&](Isa isa) {
      for (const int threads : {1, 2, 3}) {
        PrecisionCounts counts, backward_counts;
        const auto f = run_forward(p, {.cpu = {.threads = threads, .isa = isa, .counts = &counts}});
        EXPECT_EQ(counts, want_forward) << threads;
        EXPECT_TRUE(same_bits(rows_between(f.y), rows_between(forward.y)));
        const auto b = run_backward(p, forward, {.cpu = {.threads = threads, .isa = isa, .counts = &backward_counts}});
        EXPECT_EQ(backward_counts, want_backward) << threads;
        EXPECT_TRUE(same_bits(rows_between(b.dx), rows_between(backward.dx)));
      }
    });
  }
}

/// With eps <= 0 the moments of all rows are taken once more, before anything is written.
TEST(PrecisionCounts, ChecksOfVariancesCountTheirSums) {
  auto p = make_row_problem<float>(RowNorm::layer, row_extent);
  p.eps = 0;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{2 * kRows, 0, kRows, 0}));
}

TEST(PrecisionCounts, AnEmptyBatchCountsNothing) {
  const auto p = make_problem<float>(Extent{0, 3, 5});
  EXPECT_EQ(counts_of_forward(p), PrecisionCounts{});
}

}  // namespace
}  // namespace unitvar::test
