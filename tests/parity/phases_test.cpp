// The phases and the merge: right by themselves, and right when a batch is split among partners.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/phases.hpp"

namespace unitvar::test {
namespace {

/// Rows [begin, end) of the outer dimension.
template <class T>
Problem<T> rows(const Problem<T>& whole, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = whole.extent.channels * whole.extent.inner;
  Problem<T> part = whole;
  part.extent.outer = end - begin;
  part.x.assign(whole.x.begin() + begin * row, whole.x.begin() + end * row);
  part.dy.assign(whole.dy.begin() + begin * row, whole.dy.begin() + end * row);
  return part;
}

/// Uneven parts, one of them empty.
template <class T>
std::vector<Problem<T>> uneven_parts(const Problem<T>& whole) {
  const std::int64_t n = whole.extent.outer;
  return {rows(whole, 0, 1), rows(whole, 1, 1), rows(whole, 1, n / 3), rows(whole, n / 3, n)};
}

struct Merged {
  double count = 0;
  std::vector<double> mean, m2;
};

template <class T>
Merged moments_of(const Problem<T>& p, const Options& options = {}) {
  Merged part{static_cast<double>(p.extent.count()), std::vector<double>(to_size(p.extent.channels)),
              std::vector<double>(to_size(p.extent.channels))};
  moments<T>({.extent = p.extent, .x = p.x, .mean = part.mean, .m2 = part.m2}, options);
  return part;
}

void merge_into(Merged& a, const Merged& b) { a.count = merge_moments(a.count, a.mean, a.m2, b.count, b.mean, b.m2); }

std::vector<Extent> splittable_extents() { return {{60, 33, 1}, {3000, 17, 1}, {9, 5, 49}, {12, 3, 784}, {7, 9, 3}}; }

template <class T>
void expect_moments(const Merged& seen, const Expected<T, long double>& e) {
  const auto& cache = e.forward.cache;
  for (std::size_t c = 0; c < seen.mean.size(); ++c) {
    const auto off = static_cast<double>(std::abs(seen.mean[c] - cache.mean[c]) * cache.rstd[c]);
    EXPECT_LE(off, tolerance<T>(Quantity::mean, e.mean_over_std)) << "channel " << c;
    const long double m2 = cache.var[c] * static_cast<long double>(seen.count);
    const auto relative = static_cast<double>(std::abs(seen.m2[c] - m2) / m2);
    EXPECT_LE(relative, tolerance<T>(Quantity::var, e.mean_over_std)) << "channel " << c;
  }
}

/// Phase 3 of one part, added to the sums over all parts.
template <class T>
void add_part_sums(const Problem<T>& part, PhaseResults<T>& r) {
  std::vector<double> sum_dy(r.mean.size()), sum_dy_xmu(r.mean.size());
  gradient_sums<T>(
      {.extent = part.extent, .x = part.x, .dy = part.dy, .mean = r.mean, .sum_dy = sum_dy, .sum_dy_xmu = sum_dy_xmu});
  for (std::size_t c = 0; c < sum_dy.size(); ++c) r.sum_dy[c] += sum_dy[c], r.sum_dy_xmu[c] += sum_dy_xmu[c];
}

/// Phases 2 and 4 of one part, behind those of the parts before it.
template <class T>
void append_part_outputs(const Problem<T>& part, double count, PhaseResults<T>& r) {
  std::vector<T> y(part.x.size()), dx(part.x.size());
  normalize<T>({.extent = part.extent,
                .x = part.x,
                .mean = r.mean,
                .rstd = r.rstd,
                .gamma = part.gamma,
                .beta = part.beta,
                .y = y});
  input_gradient<T>({.extent = part.extent,
                     .x = part.x,
                     .dy = part.dy,
                     .mean = r.mean,
                     .rstd = r.rstd,
                     .gamma = part.gamma,
                     .sum_dy = r.sum_dy,
                     .sum_dy_xmu = r.sum_dy_xmu,
                     .count = count,
                     .dx = dx});
  r.y.insert(r.y.end(), y.begin(), y.end());
  r.dx.insert(r.dx.end(), dx.begin(), dx.end());
}

/// 16 bits cannot hold a spread of 1e-4 of the mean.
template <class T>
std::vector<double> ratios() {
  return is_half<T> ? std::vector{0.0, 1.0, 1e2} : std::vector{0.0, 1e2, 1e4, 1e6};
}

template <class T>
class Phases : public ::testing::Test {};
TYPED_TEST_SUITE(Phases, AllDtypes);

TYPED_TEST(Phases, MomentsMatchTheReferenceAtEveryMean) {
  for (const Extent& extent : splittable_extents()) {
    for (const double ratio : ratios<TypeParam>()) {
      SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
      const auto p = make_problem<TypeParam>(extent, ratio);
      const auto e = expected_in<long double>(p);
      for_each_isa([&](Isa isa) { expect_moments(moments_of(p, {.cpu = {.isa = isa}}), e); });
    }
  }
}

TYPED_TEST(Phases, MomentsOfUnevenPartsMergeToThoseOfTheWhole) {
  for (const Extent& extent : splittable_extents()) {
    for (const double ratio : ratios<TypeParam>()) {
      SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
      const auto whole = make_problem<TypeParam>(extent, ratio);
      Merged total = moments_of(rows(whole, 0, 0));
      for (const auto& part : uneven_parts(whole)) merge_into(total, moments_of(part));
      EXPECT_EQ(total.count, static_cast<double>(extent.count()));
      expect_moments(total, expected_in<long double>(whole));
    }
  }
}

TYPED_TEST(Phases, MomentsOfOneValuePerChannelAreItAndZero) {
  const std::vector<TypeParam> x = {TypeParam(1.5), TypeParam(-2), TypeParam(32768)};
  const Merged m = moments_of(Problem<TypeParam>{.extent = {1, 3, 1}, .x = x, .dy = {}, .gamma = {}, .beta = {}});
  EXPECT_EQ(m.mean, (std::vector<double>{1.5, -2, 32768}));
  EXPECT_EQ(m.m2, (std::vector<double>{0, 0, 0}));
}

TYPED_TEST(Phases, SplitBatchGivesTheResultsOfTheWhole) {
  for (const Extent& extent : splittable_extents()) {
    for (const double ratio : {0.0, ratios<TypeParam>()[2]}) {
      SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
      const auto whole = make_problem<TypeParam>(extent, ratio);
      const Expected<TypeParam> e = expected(whole);
      Merged total = moments_of(rows(whole, 0, 0));
      for (const auto& part : uneven_parts(whole)) merge_into(total, moments_of(part));
      PhaseResults<TypeParam> r = allocate_phases<TypeParam>(extent);
      r.mean = total.mean;
      finish_moments(total.count, total.m2, whole.eps, r.var, r.rstd);
      r.y.clear(), r.dx.clear();
      for (const auto& part : uneven_parts(whole)) add_part_sums(part, r);
      for (const auto& part : uneven_parts(whole)) append_part_outputs(part, total.count, r);
      expect_y_relative_to_terms(r.y, e);
      expect_gradients_relative_to_terms(BackwardResult<TypeParam>{r.dx, r.dgamma(), r.dbeta()}, e);
    }
  }
}

TEST(MergeMoments, FollowsChansFormula) {
  std::vector<double> mean = {1, 0}, m2 = {2, 0};
  const std::vector<double> mean_b = {4, 0}, m2_b = {3, 5};
  EXPECT_EQ(merge_moments(2, mean, m2, 4, mean_b, m2_b), 6);
  EXPECT_DOUBLE_EQ(mean[0], 1 + 3.0 * 4 / 6);
  EXPECT_DOUBLE_EQ(m2[0], 2 + 3 + 9.0 * 2 * 4 / 6);
  EXPECT_EQ(mean[1], 0);
  EXPECT_DOUBLE_EQ(m2[1], 5);
}

TEST(MergeMoments, ACountOfZeroChangesNothingOnEitherSide) {
  const std::vector<double> some = {3, 4}, other = {7, 8};
  std::vector<double> mean = some, m2 = other;
  EXPECT_EQ(merge_moments(5, mean, m2, 0, other, some), 5);
  EXPECT_EQ(mean, some);
  EXPECT_EQ(m2, other);
  mean = {0, 0}, m2 = {0, 0};
  EXPECT_EQ(merge_moments(0, mean, m2, 5, some, other), 5);
  EXPECT_EQ(mean, some);
  EXPECT_EQ(m2, other);
  mean = {0, 0}, m2 = {0, 0};
  const std::vector<double> zero = {0, 0};
  EXPECT_EQ(merge_moments(0, mean, m2, 0, zero, zero), 0);
  EXPECT_EQ(mean, zero);
  EXPECT_EQ(m2, zero);
}

TEST(MergeMoments, AnEmptyPartsNansDoNotReachTheTotal) {
  const double nan = std::nan("");
  std::vector<double> mean = {3}, m2 = {4};
  const std::vector<double> nothing = {nan};
  EXPECT_EQ(merge_moments(5, mean, m2, 0, nothing, nothing), 5);
  EXPECT_EQ(mean[0], 3);
  EXPECT_EQ(m2[0], 4);
}

TEST(MergeMoments, IsAssociativeToRounding) {
  Random random(7);
  const auto part = [&] {
    return Merged{static_cast<double>(random.integer(1, 1000)), normal_values<double>(50, random, 1e6),
                  std::vector<double>(50, random.uniform(1, 1000))};
  };
  for (int round = 0; round < 20; ++round) {
    const Merged a = part(), b = part(), c = part();
    Merged left = a, right = b;
    merge_into(left, b), merge_into(left, c);
    merge_into(right, c);
    Merged all = a;
    merge_into(all, right);
    EXPECT_EQ(left.count, all.count);
    for (std::size_t k = 0; k < 50; ++k) {
      EXPECT_NEAR(left.mean[k], all.mean[k], 1e-9);
      EXPECT_NEAR(left.m2[k], all.m2[k], 1e-9 * all.m2[k]);
    }
  }
}

TEST(FinishMoments, GivesBiasedVarianceAndReciprocalStandardDeviation) {
  const std::vector<double> m2 = {8, 0, 50};
  std::vector<double> var(3), rstd(3);
  finish_moments(8, m2, 0.25, var, rstd);
  EXPECT_EQ(var, (std::vector<double>{1, 0, 6.25}));
  EXPECT_DOUBLE_EQ(rstd[0], 1 / std::sqrt(1.25));
  EXPECT_DOUBLE_EQ(rstd[1], 2);
  EXPECT_DOUBLE_EQ(rstd[2], 1 / std::sqrt(6.5));
  std::vector<double> alone(3);
  finish_moments(8, m2, 0.25, {}, alone);
  EXPECT_EQ(alone, rstd);
}

TEST(FinishMoments, ACountOfZeroHasZeroVariance) {
  const std::vector<double> m2 = {0, 0};
  std::vector<double> var(2, 5.0), rstd(2, 5.0);
  finish_moments(0, m2, 0.25, var, rstd);
  EXPECT_EQ(var, (std::vector<double>{0, 0}));
  EXPECT_EQ(rstd, (std::vector<double>{2, 2}));
}

}  // namespace
}  // namespace unitvar::test
