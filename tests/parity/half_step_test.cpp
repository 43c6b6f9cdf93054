// The 16-bit types: y and dx are a step at most from the reference's, rounded once.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

/// The numbers of T in order: neighbours differ by 1, -0 and 0 by nothing.
template <class T>
int place_of(T value) {
  const int size = value.bits & 0x7fff;
  return (value.bits & 0x8000) == 0 ? size : -size;
}

/// `terms`: the size of what the result is the sum of. Float's rounding of these is more than a step of T where they
/// cancel to less than a thousandth.
template <class T>
void expect_a_step_at_most(T seen, double want, double terms) {
  if (std::abs(place_of(seen) - place_of(static_cast<T>(want))) <= 1) return;
  ASSERT_LE(std::abs(static_cast<double>(seen) - want), 0x1p-22 * terms) << "want " << want << " of terms " << terms;
}

template <class T>
void expect_y(const Problem<T>& p, const Expected<T>& e, const std::vector<T>& y) {
  for (std::size_t k = 0; k < y.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % to_size(p.extent.channels);
    const auto g = static_cast<double>(p.gamma[c]), b = static_cast<double>(p.beta[c]);
    expect_a_step_at_most(y[k], e.forward.y[k], std::abs(g * e.forward.cache.x_hat[k]) + std::abs(b));
  }
}

template <class T>
void expect_dx(const Problem<T>& p, const Expected<T>& e, const std::vector<T>& dx) {
  const auto n = static_cast<double>(p.extent.count());
  for (std::size_t k = 0; k < dx.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % to_size(p.extent.channels);
    const double scale = std::abs(static_cast<double>(p.gamma[c]) * e.forward.cache.rstd[c]);
    const double terms = std::abs(static_cast<double>(p.dy[k])) + std::abs(e.backward.dbeta[c] / n) +
                         std::abs(e.forward.cache.x_hat[k] * e.backward.dgamma[c] / n);
    expect_a_step_at_most(dx[k], e.backward.dx[k], scale * terms);
  }
}

template <class T>
class HalfStep : public ::testing::Test {
 protected:
  std::vector<Extent> extents = {{8, 6, 784}, {4, 3, 3136}, {60, 32, 49}, {40, 24, 3}, {60, 100, 1}, {2000, 64, 1}};

  static void expect_all(const Problem<T>& p) {
    const Expected<T> e = expected(p);
    for_each_isa([&](Isa isa) {
      const ForwardResult<T> f = run_forward(p, {.cpu = {.isa = isa}});
      expect_y(p, e, f.y);
      const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, {.cpu = {.isa = isa}});
      expect_dx(p, e, b.dx);
      expect_within<T>(Quantity::dgamma, relative_l2(b.dgamma, e.backward.dgamma, e.dgamma_scale), e.mean_over_std);
      expect_within<T>(Quantity::dbeta, relative_l2(b.dbeta, e.backward.dbeta, e.dbeta_scale), e.mean_over_std);
    });
  }
};
TYPED_TEST_SUITE(HalfStep, HalfDtypes);

TYPED_TEST(HalfStep, IsTheMostThatResultsAreOffAtEveryMean) {
  for (const double ratio : {0.0, 1.0, 1e2}) {
    for (const Extent& extent : this->extents) {
      SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
      this->expect_all(make_problem<TypeParam>(ProblemSpec{.extent = extent, .mean_over_std = ratio, .scale = 3}));
    }
  }
}

/// dy with a mean of its own: an error of x's mean would come back in dgamma times sqrt(N).
TYPED_TEST(HalfStep, HoldsForGradientsThatAreMostlyPositive) {
  for (const Extent& extent : {Extent{50, 4, 3136}, Extent{100000, 8, 1}}) {
    for (const double ratio : {0.0, 1e2}) {
      SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
      auto p = make_problem<TypeParam>(extent, ratio);
      for (TypeParam& v : p.dy) v = TypeParam(static_cast<double>(v) + 2);
      this->expect_all(p);
    }
  }
}

TYPED_TEST(HalfStep, HoldsFromSubnormalToAlmostInfiniteInputs) {
  const double largest_scale = largest<TypeParam> / 8, smallest = largest<TypeParam> > 1e6 ? 0x1p-128 : 0x1p-20;
  for (const double scale : {smallest, 1e-3, 1e3, largest_scale}) {
    for (const Extent& extent : this->extents) {
      SCOPED_TRACE(describe(extent) + " scale " + std::to_string(scale));
      auto p = make_problem<TypeParam>(ProblemSpec{.extent = extent, .mean_over_std = 0.5, .scale = scale});
      p.eps = scale * scale * 1e-5;
      const Expected<TypeParam> e = expected(p);
      for_each_isa([&](Isa isa) { expect_y(p, e, run_forward(p, {.cpu = {.isa = isa}}).y); });
    }
  }
}

/// Results around the smallest and beyond the largest number.
TYPED_TEST(HalfStep, HoldsFromSubnormalToInfiniteOutputs) {
  for (const double factor : {largest < TypeParam >> 1e6 ? 0x1p-130 : 0x1p-22, 1e-4, 1e4, largest<TypeParam> / 2}) {
    for (const Extent& extent : this->extents) {
      SCOPED_TRACE(describe(extent) + " gamma " + std::to_string(factor));
      auto p = make_problem<TypeParam>(extent);
      for (float& v : p.gamma) v = static_cast<float>(v * factor);
      for (float& v : p.beta) v = static_cast<float>(v * factor);
      const Expected<TypeParam> e = expected(p);
      for_each_isa([&](Isa isa) { expect_y(p, e, run_forward(p, {.cpu = {.isa = isa}}).y); });
    }
  }
}

/// Every NaN there is, in x and in dy, on every instruction set: none may be rounded to a number.
TYPED_TEST(HalfStep, EveryNanOfTheTypeComesOutAsNan) {
  std::vector<TypeParam> nans;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = TypeParam::from_bits(static_cast<std::uint16_t>(bits));
    if (std::isnan(static_cast<double>(h))) nans.push_back(h);
  }
  nans.insert(nans.end(), 2, nans.front());  // 256 or 2048
  const auto n = static_cast<std::int64_t>(nans.size());
  for (const Extent& extent : {Extent{1, 1, n}, Extent{n / 64, 64, 1}, Extent{n / 2, 2, 1}}) {
    SCOPED_TRACE(describe(extent));
    const std::vector<double> mean(to_size(extent.channels), 0.5), var(to_size(extent.channels), 2);
    Problem<TypeParam> p{.extent = extent, .x = nans, .dy = nans, .gamma = {}, .beta = {}};
    for_each_isa([&](Isa isa) {
      EXPECT_TRUE(all_nan(run_inference(p, mean, var, {.cpu = {.isa = isa}})));
      Problem<TypeParam> q = p;
      q.x.assign(q.x.size(), TypeParam(1));
      EXPECT_TRUE(all_nan(run_backward(q, mean, var, {.cpu = {.isa = isa}}).dx));
    });
  }
}

}  // namespace
}  // namespace unitvar::test
