#include "train/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "train/sampler.hpp"

namespace unitvar::testing {
namespace {

using train::Random;
using train::Sampler;

TEST(RandomNumbers, AreTheSameOnEveryMachine) {
  Random random(1, 0);
  EXPECT_EQ(random.below(1'000'000), 24'404U);
  EXPECT_EQ(random.below(1'000'000), 807'842U);
  std::vector<std::uint32_t> values(10);
  std::iota(values.begin(), values.end(), 0U);
  random.shuffle(values);
  EXPECT_EQ(values, (std::vector<std::uint32_t>{4, 0, 9, 1, 2, 3, 6, 7, 8, 5}));
}

TEST(RandomNumbers, DependOnEachBitOfSeedAndStream) {
  const auto first = [](std::uint64_t seed, std::uint64_t stream) { return Random(seed, stream).uniform(); };
  EXPECT_EQ(first(5, 7), first(5, 7));
  EXPECT_NE(first(5, 7), first(5, 8));
  EXPECT_NE(first(5, 7), first(5 + (1ULL << 40), 7));
  EXPECT_NE(first(5, 7), first(5, 7 + (1ULL << 40)));
  EXPECT_NE(first(5, 7), first(7, 5));
}

TEST(RandomNumbers, OfNormalKindHaveMeanZeroAndDeviationOne) {
  Random random(3, 0);
  double sum = 0, squares = 0;
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / count, 0, 0.02);
  EXPECT_NEAR(std::sqrt(squares / count), 1, 0.02);
}

std::vector<std::uint32_t> copy(std::span<const std::uint32_t> batch) { return {batch.begin(), batch.end()}; }

TEST(Batches, OfAnEpochHoldEveryImageOnce) {
  Sampler sampler(1, 60, 12);
  std::vector<std::uint32_t> all;
  for (int step = 0; step < 5; ++step) std::ranges::copy(sampler.batch_of(step), std::back_inserter(all));
  std::ranges::sort(all);
  std::vector<std::uint32_t> wanted(60);
  std::iota(wanted.begin(), wanted.end(), 0U);
  EXPECT_EQ(all, wanted);
}

TEST(Batches, LeaveOutARaggedRest) {
  Sampler sampler(1, 65, 12);
  std::set<std::uint32_t> seen;
  for (int step = 0; step < 5; ++step) seen.insert(sampler.batch_of(step).begin(), sampler.batch_of(step).end());
  EXPECT_EQ(seen.size(), 60U);
  EXPECT_EQ(sampler.epoch_of(4), 0);
  EXPECT_EQ(sampler.epoch_of(5), 1);
  EXPECT_EQ(sampler.position_of(7), 2);
}

TEST(Batches, AreShuffledAnewEachEpochAndForEachSeed) {
  Sampler sampler(1, 60, 60), other(2, 60, 60);
  EXPECT_NE(copy(sampler.batch_of(0)), copy(sampler.batch_of(1)));
  EXPECT_NE(copy(sampler.batch_of(0)), copy(other.batch_of(0)));
}

TEST(Batches, AreAFunctionOfTheStepHoweverOneCameThere) {
  Sampler walked(9, 100, 7), jumped(9, 100, 7);
  for (int step = 0; step < 40; ++step) walked.batch_of(step);
  EXPECT_EQ(copy(walked.batch_of(40)), copy(jumped.batch_of(40)));
  EXPECT_EQ(copy(walked.batch_of(3)), copy(Sampler(9, 100, 7).batch_of(3)));
}

}  // namespace
}  // namespace unitvar::testing
