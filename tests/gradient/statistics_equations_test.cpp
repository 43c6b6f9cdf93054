#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// (B7), (B8) in the reference.
namespace unitvar::test {
namespace {

using reference::merge;
using reference::Moments;
using reference::moments;

std::vector<double> sample(std::size_t n, double mean) {
  Random random(n);
  return normal_values<double>(static_cast<std::int64_t>(n), random, mean);
}

void expect_same_moments(const Moments<double>& a, const Moments<double>& b, double tolerance) {
  EXPECT_EQ(a.count, b.count);
  EXPECT_NEAR(a.mean, b.mean, tolerance);
  EXPECT_NEAR(a.m2, b.m2, tolerance * (1 + b.m2));
}

TEST(StatisticsEquations, B8MergeOfTwoPartsIsTheMomentsOfTheWhole) {
  const auto x = sample(100, 3);
  const std::span<const double> all = x;
  for (const std::size_t cut : {0u, 1u, 7u, 50u, 99u, 100u}) {
    const auto merged = merge(moments<double>(all.first(cut)), moments<double>(all.subspan(cut)));
    expect_same_moments(merged, moments<double>(all), 1e-13);
  }
}

TEST(StatisticsEquations, B8MergeIsSymmetricAndAssociativeUpToRounding) {
  const auto a = moments<double>(sample(10, 0)), b = moments<double>(sample(23, 100)),
             c = moments<double>(sample(5, -40));
  expect_same_moments(merge(a, b), merge(b, a), 1e-12);
  expect_same_moments(merge(merge(a, b), c), merge(a, merge(b, c)), 1e-12);
}

TEST(StatisticsEquations, B8NothingMergedChangesNoBit) {
  const auto a = moments<double>(sample(10, 5));
  const Moments<double> nothing;
  for (const auto& m : {merge(a, nothing), merge(nothing, a)}) {
    EXPECT_EQ(m.count, a.count);
    EXPECT_EQ(m.mean, a.mean);
    EXPECT_EQ(m.m2, a.m2);
  }
}

TEST(StatisticsEquations, B8MergeHoldsWhereMeanSquaresMinusSquaredMeanHasNoDigitLeft) {
  const double offset = 1e9;
  const auto x = sample(1000, offset);
  const std::span<const double> all = x;
  const auto merged = merge(moments<double>(all.first(400)), moments<double>(all.subspan(400)));
  const auto truth = moments<long double>(std::vector<long double>(x.begin(), x.end()));
  EXPECT_NEAR(merged.m2 / static_cast<double>(truth.m2), 1, 1e-6);
  double squares = 0, sum = 0;
  for (const double v : x) squares += v * v, sum += v;
  EXPECT_GT(std::abs((squares - sum * sum / 1000) / static_cast<double>(truth.m2) - 1), 0.1);
}

TEST(StatisticsEquations, B7UnbiasedVarianceIsNOverNMinusOneTimesTheBiasedOne) {
  const auto m = moments<double>(sample(10, 1));
  EXPECT_DOUBLE_EQ(unbiased_variance(m), biased_variance(m) * 10 / 9);
  EXPECT_EQ(biased_variance(Moments<double>{}), 0);
}

TEST(StatisticsEquations, B7BothSensesOfMomentumAreOneUpdateWithComplementaryWeights) {
  const double running = 2, batch = 5, momentum = 0.1;
  EXPECT_DOUBLE_EQ(reference::running_update(running, batch, momentum), (1 - momentum) * running + momentum * batch);
  EXPECT_DOUBLE_EQ(reference::running_update(running, batch, 1 - 0.9), 0.9 * running + (1 - 0.9) * batch);
}

TEST(StatisticsEquations, B7WeightsOfOneOverTheBatchesGiveThePlainAverage) {
  const std::vector<double> batches = {3, 8, -2, 11, 0.5};
  double running = 1234, sum = 0;
  for (std::size_t k = 0; k < batches.size(); ++k) {
    running = reference::running_update(running, batches[k], 1.0 / static_cast<double>(k + 1));
    sum += batches[k];
    EXPECT_NEAR(running, sum / static_cast<double>(k + 1), 1e-12);
  }
}

}  // namespace
}  // namespace unitvar::test
