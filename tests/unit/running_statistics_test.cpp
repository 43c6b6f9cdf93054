#include "unitvar/running_statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/expect_error.hpp"

namespace unitvar::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

class RunningStatisticsUpdate : public ::testing::Test {
 protected:
  void update(const RunningPolicy& policy, double batch_count = 5) {
    update_running_statistics({.mean = mean, .var = var, .batches_tracked = &batches}, batch_count, batch_mean,
                              batch_var, policy);
  }

  void expect_running(const std::vector<double>& want_mean, const std::vector<double>& want_var) const {
    for (std::size_t c = 0; c < mean.size(); ++c) {
      EXPECT_NEAR(mean[c], want_mean[c], 1e-14) << c;
      EXPECT_NEAR(var[c], want_var[c], 1e-14) << c;
    }
  }

  void expect_unchanged() const {
    EXPECT_EQ(mean, (std::vector<double>{1, -2}));
    EXPECT_EQ(var, (std::vector<double>{4, 0.5}));
    EXPECT_EQ(batches, 3);
  }

  std::vector<double> mean = {1, -2}, var = {4, 0.5};
  std::int64_t batches = 3;
  const std::vector<double> batch_mean = {3, 6}, batch_var = {0.8, 1.6};  // unbiased with N = 5: 1, 2
};

TEST_F(RunningStatisticsUpdate, ByDefaultMomentumWeighsTheNewBatchAndVarianceIsUnbiased) {
  update({});
  expect_running({0.9 * 1 + 0.1 * 3, 0.9 * -2 + 0.1 * 6}, {0.9 * 4 + 0.1 * 1, 0.9 * 0.5 + 0.1 * 2});
}

TEST_F(RunningStatisticsUpdate, TheOtherSenseWeighsTheOldValue) {
  update({.momentum = 0.9, .sense = MomentumSense::weight_of_old});
  expect_running({0.9 * 1 + 0.1 * 3, 0.9 * -2 + 0.1 * 6}, {0.9 * 4 + 0.1 * 1, 0.9 * 0.5 + 0.1 * 2});
}

TEST_F(RunningStatisticsUpdate, TheSensesDifferWhenMomentumIsNotOneHalf) {
  update({.momentum = 0.25, .sense = MomentumSense::weight_of_old});
  expect_running({0.25 * 1 + 0.75 * 3, 0.25 * -2 + 0.75 * 6}, {0.25 * 4 + 0.75 * 1, 0.25 * 0.5 + 0.75 * 2});
}

TEST_F(RunningStatisticsUpdate, BiasedVarianceEntersAsItIs) {
  update({.variance = VarianceKind::biased});
  expect_running({0.9 * 1 + 0.1 * 3, 0.9 * -2 + 0.1 * 6}, {0.9 * 4 + 0.1 * 0.8, 0.9 * 0.5 + 0.1 * 1.6});
}

TEST_F(RunningStatisticsUpdate, NegativeMomentumIsLegal) {
  update({.momentum = -0.5});
  expect_running({1.5 * 1 - 0.5 * 3, 1.5 * -2 - 0.5 * 6}, {1.5 * 4 - 0.5 * 1, 1.5 * 0.5 - 0.5 * 2});
}

TEST_F(RunningStatisticsUpdate, MomentumOneTakesTheBatchAndMomentumZeroKeepsTheOld) {
  update({.momentum = 0});
  expect_running({1, -2}, {4, 0.5});
  update({.momentum = 1});
  expect_running({3, 6}, {1, 2});
}

TEST_F(RunningStatisticsUpdate, EachUpdateCountsOneBatch) {
  update({});
  update({.average = RunningAverage::cumulative});
  EXPECT_EQ(batches, 5);
}

TEST_F(RunningStatisticsUpdate, ACounterIsOptionalForTheExponentialAverage) {
  update_running_statistics({.mean = mean, .var = var}, 5, batch_mean, batch_var, {});
  expect_running({1.2, -1.2}, {3.7, 0.65});
}

TEST_F(RunningStatisticsUpdate, TheCumulativeAverageIsThePlainMeanOfAllBatches) {
  batches = 0;
  const RunningPolicy policy{.average = RunningAverage::cumulative, .momentum = nan};
  double sum_mean = 0, sum_var = 0;
  for (int k = 1; k <= 20; ++k) {
    const std::vector<double> m = {k * 1.5, 0}, v = {1.0 / k, 4};
    update_running_statistics({.mean = mean, .var = var, .batches_tracked = &batches}, 5, m, v, policy);
    sum_mean += m[0], sum_var += v[0] * 5 / 4;
    EXPECT_NEAR(mean[0], sum_mean / k, 1e-13);
    EXPECT_NEAR(var[0], sum_var / k, 1e-13);
  }
  EXPECT_EQ(batches, 20);
  EXPECT_NEAR(mean[1], 0, 1e-14);
  EXPECT_NEAR(var[1], 5, 1e-13);
}

TEST_F(RunningStatisticsUpdate, AnEmptyBatchChangesNothingNotEvenTheCounter) {
  update({}, 0);
  update({.average = RunningAverage::cumulative}, 0);
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, OneValuePerChannelIsLegalForBiasedVarianceOnly) {
  expect_error(ErrorCode::too_few_values, {"update_running_statistics: count is 1,"}, [&] { update({}, 1); });
  expect_error(ErrorCode::too_few_values, {"update_running_statistics: count is 0.5,"}, [&] { update({}, 0.5); });
  expect_unchanged();
  update({.variance = VarianceKind::biased}, 1);
  expect_running({1.2, -1.2}, {3.68, 0.61});
}

TEST_F(RunningStatisticsUpdate, MomentumThatIsNotFiniteIsRefused) {
  expect_error(ErrorCode::bad_argument, {"update_running_statistics", "momentum", "nan"},
               [&] { update({.momentum = nan}); });
  expect_error(ErrorCode::bad_argument, {"update_running_statistics", "momentum", "inf"},
               [&] { update({.momentum = inf, .sense = MomentumSense::weight_of_old}); });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, ANegativeOrNanCountIsRefused) {
  expect_error(ErrorCode::bad_argument, {"update_running_statistics", "count", "-2"}, [&] { update({}, -2); });
  expect_error(ErrorCode::bad_argument, {"update_running_statistics", "count", "nan"}, [&] { update({}, nan); });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, TheCumulativeAverageNeedsACounter) {
  expect_error(ErrorCode::bad_argument, {"update_running_statistics", "batches_tracked"}, [&] {
    update_running_statistics({.mean = mean, .var = var}, 5, batch_mean, batch_var,
                              {.average = RunningAverage::cumulative});
  });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, ACounterThatIsNegativeOrCannotBeIncrementedIsRefused) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const RunningAverage average : {RunningAverage::exponential, RunningAverage::cumulative}) {
    for (const std::int64_t bad :
         {std::int64_t{-1}, std::int64_t{-7}, std::numeric_limits<std::int64_t>::min(), kMost}) {
      const std::string is = " is " + std::to_string(bad) + ", want 0 to 9223372036854775806";
      std::int64_t tracked = bad, skipped = bad;
      expect_error(ErrorCode::bad_argument, {"update_running_statistics: running.batches_tracked" + is}, [&] {
        update_running_statistics({.mean = mean, .var = var, .batches_tracked = &tracked}, 5, batch_mean, batch_var,
                                  {.average = average});
      });
      expect_error(ErrorCode::bad_argument, {"update_running_statistics: running.batches_skipped" + is}, [&] {
        update_running_statistics({.mean = mean, .var = var, .batches_tracked = &batches, .batches_skipped = &skipped},
                                  5, batch_mean, batch_var, {.average = average, .skip_nonfinite = true});
      });
      EXPECT_TRUE(tracked == bad && skipped == bad);
      expect_unchanged();
    }
  }
  std::int64_t last = kMost - 1;
  update_running_statistics({.mean = mean, .var = var, .batches_tracked = &last}, 5, batch_mean, batch_var,
                            {.average = RunningAverage::cumulative});
  EXPECT_EQ(last, kMost);
}

TEST_F(RunningStatisticsUpdate, CountersMayNotOverlapStatisticsOrEachOther) {
  auto* const within = reinterpret_cast<std::int64_t*>(mean.data() + 1);
  expect_error(ErrorCode::overlap, {"running.mean overlaps running.batches_tracked"}, [&] {
    update_running_statistics({.mean = mean, .var = var, .batches_tracked = within}, 5, batch_mean, batch_var);
  });
  expect_error(ErrorCode::overlap, {"running.batches_tracked overlaps running.batches_skipped"}, [&] {
    update_running_statistics({.mean = mean, .var = var, .batches_tracked = &batches, .batches_skipped = &batches}, 5,
                              batch_mean, batch_var);
  });
  auto* const misaligned = reinterpret_cast<std::int64_t*>(reinterpret_cast<char*>(&batches) + 4);
  expect_error(ErrorCode::bad_argument, {"running.batches_skipped is misaligned", "8 plus 4"}, [&] {
    update_running_statistics({.mean = mean, .var = var, .batches_skipped = misaligned}, 5, batch_mean, batch_var);
  });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, LengthsMustAgree) {
  const std::vector<double> longer(3, 1.0);
  const RunningStatistics running{.mean = mean, .var = var, .batches_tracked = &batches};
  expect_error(ErrorCode::wrong_length, {"update_running_statistics", "mean", "3", "2"},
               [&] { update_running_statistics(running, 5, longer, batch_var); });
  expect_error(ErrorCode::wrong_length, {"update_running_statistics", "var", "3", "2"},
               [&] { update_running_statistics(running, 5, batch_mean, longer); });
  const RunningStatistics shorter{.mean = mean, .var = std::span(var).first(1), .batches_tracked = &batches};
  expect_error(ErrorCode::wrong_length, {"update_running_statistics", "var", "1", "2"},
               [&] { update_running_statistics(shorter, 5, batch_mean, batch_var); });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, NullDataIsRefused) {
  const std::span<const double> nowhere(static_cast<const double*>(nullptr), 2);
  const RunningStatistics running{.mean = mean, .var = var, .batches_tracked = &batches};
  expect_error(ErrorCode::null_data, {"update_running_statistics", "mean"},
               [&] { update_running_statistics(running, 5, nowhere, batch_var); });
  expect_error(ErrorCode::null_data, {"update_running_statistics", "var"},
               [&] { update_running_statistics(running, 5, batch_mean, nowhere); });
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, RunningStatisticsMayNotOverlapEachOtherOrTheBatch) {
  std::vector<double> memory = {1, 2, 3};
  const std::span<double> all(memory);
  const RunningStatistics overlapping{.mean = all.first(2), .var = all.last(2), .batches_tracked = &batches};
  expect_error(ErrorCode::overlap, {"update_running_statistics"},
               [&] { update_running_statistics(overlapping, 5, batch_mean, batch_var); });
  const RunningStatistics running{.mean = mean, .var = var, .batches_tracked = &batches};
  expect_error(ErrorCode::overlap, {"update_running_statistics", "mean"},
               [&] { update_running_statistics(running, 5, mean, batch_var); });
  expect_error(ErrorCode::overlap, {"update_running_statistics", "var"},
               [&] { update_running_statistics(running, 5, batch_mean, var); });
  EXPECT_EQ(memory, (std::vector<double>{1, 2, 3}));
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, ANanBatchReachesItsOwnChannelAlone) {
  const std::vector<double> m = {nan, 6}, v = {nan, 1.6};
  update_running_statistics({.mean = mean, .var = var}, 5, m, v);
  EXPECT_TRUE(std::isnan(mean[0]) && std::isnan(var[0]));
  EXPECT_NEAR(mean[1], -1.2, 1e-14);
  EXPECT_NEAR(var[1], 0.65, 1e-14);
}

TEST_F(RunningStatisticsUpdate, SkippingABatchThatIsNotFiniteCountsItAndChangesNothingElse) {
  std::int64_t skipped = 0;
  const RunningStatistics running{.mean = mean, .var = var, .batches_tracked = &batches, .batches_skipped = &skipped};
  const RunningPolicy policy{.skip_nonfinite = true};
  const std::vector<double> bad_mean = {3, nan}, bad_var = {inf, 1.6};
  EXPECT_EQ(update_running_statistics(running, 5, bad_mean, batch_var, policy), RunningUpdate::skipped);
  EXPECT_EQ(update_running_statistics(running, 5, batch_mean, bad_var, policy), RunningUpdate::skipped);
  EXPECT_EQ(skipped, 2);
  EXPECT_EQ(update_running_statistics({.mean = mean, .var = var}, 5, bad_mean, batch_var, policy),
            RunningUpdate::skipped);
  expect_unchanged();
}

TEST_F(RunningStatisticsUpdate, SkippingLeavesOrdinaryBatchesAsTheyAre) {
  std::int64_t skipped = 0;
  const RunningStatistics running{.mean = mean, .var = var, .batches_tracked = &batches, .batches_skipped = &skipped};
  EXPECT_EQ(update_running_statistics(running, 0, batch_mean, batch_var, {.skip_nonfinite = true}),
            RunningUpdate::empty);
  expect_unchanged();
  EXPECT_EQ(update_running_statistics(running, 5, batch_mean, batch_var, {.skip_nonfinite = true}),
            RunningUpdate::updated);
  expect_running({1.2, -1.2}, {3.7, 0.65});
  EXPECT_EQ(batches, 4);
  EXPECT_EQ(skipped, 0);
}

}  // namespace
}  // namespace unitvar::test
