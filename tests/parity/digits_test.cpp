// The promise of accuracy: relative L2 errors against the reference at |mean|/std from 0 to 1e6, and on data that is
// hard on sums: an outlier, 1e30, denormals, a dy with a mean, few distinct values. docs/numerics.md derives the
// bounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/few_values.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/rows.hpp"

namespace unitvar::test {
namespace {

template <class T>
void expect_promise_kept(const Problem<T>& p) {
  const Expected<T> e = expected(p);
  for_each_isa([&](Isa isa) {
    const ForwardResult<T> forward = run_forward(p, {.cpu = {.isa = isa}});
    expect_y(forward.y, e);
    expect_gradients(run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}}), e);
  });
}

template <class T>
class Digits : public ::testing::Test {
 protected:
  /// Every kind of memory shape, large enough that no result is small by accident.
  std::vector<Extent> extents = {
      {32, 8, 784},   // channels first
      {4, 16, 3136},  // channels first, long rows
      {60, 32, 49},   // channels first, short rows
      {40, 24, 3},    // channels first, very short rows
      {60, 100, 1},   // NC
      {6272, 16, 1},  // channels last
      {3000, 65, 1},  // channels last, not a multiple of the lanes
  };

  /// 16 bits cannot hold a spread of 1e-4 of the mean.
  std::vector<double> ratios = is_half<T> ? std::vector{0.0, 1.0, 1e2} : std::vector{0.0, 1.0, 1e2, 1e4, 1e5, 1e6};

  template <class Body>
  void for_each_problem(Body&& body) {
    for (const double ratio : ratios) {
      for (const Extent& extent : extents) {
        SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
        body(make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = ratio, .scale = 3}));
      }
    }
  }

  /// For each extent a problem of standard deviation 1 that change(problem) has made hard.
  template <class Change>
  void expect_promise_kept_after(Change&& change) {
    for (const Extent& extent : extents) {
      SCOPED_TRACE(describe(extent));
      auto p = make_problem<T>(extent);
      change(p);
      expect_promise_kept(p);
    }
  }
};

template <class T>
void scale_by(std::vector<T>& values, double factor) {
  for (T& v : values) v = static_cast<T>(static_cast<double>(v) * factor);
}

double largest_ratio(const std::vector<double>& mean, const std::vector<double>& var) {
  double largest = 0;
  for (std::size_t c = 0; c < mean.size(); ++c) largest = std::max(largest, std::abs(mean[c]) / std::sqrt(var[c]));
  return largest;
}

TYPED_TEST_SUITE(Digits, AllDtypes);

/// 16 bits do not reach 1e6, or hold no such spread.
template <class T>
class DigitsOfWideTypes : public Digits<T> {};
using WideDtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(DigitsOfWideTypes, WideDtypes);

TYPED_TEST(Digits, ForwardAndBackwardKeepThePromise) {
  this->for_each_problem([](const Problem<TypeParam>& p) { expect_promise_kept(p); });
}

TYPED_TEST(DigitsOfWideTypes, SurviveAnOutlierOfAMillionStandardDeviationsAsFirstElement) {
  using T = TypeParam;
  this->expect_promise_kept_after([](Problem<T>& p) {
    for (std::int64_t c = 0; c < p.extent.channels; ++c) p.x[to_size(p.extent.index(0, c, 0))] = T(1e6);
  });
}

TYPED_TEST(DigitsOfWideTypes, SurviveInputsWhoseSquaresAFloatCannotHold) {
  this->expect_promise_kept_after([](Problem<TypeParam>& p) { scale_by(p.x, 1e30); });
}

/// An error in the mean of x comes back in dgamma, times N and the mean of dy. Beyond a standard deviation of dy that
/// mean costs digits, by rms(dy) / std(dy): the size of dgamma's terms.
TYPED_TEST(Digits, SurviveADyWithAMean) {
  using T = TypeParam;
  for (const int mean_dy : {1, 3}) {
    for (const Extent& extent : this->extents) {
      SCOPED_TRACE(describe(extent) + " mean of dy " + std::to_string(mean_dy));
      auto p = make_problem<T>(extent);
      for (T& v : p.dy) v = static_cast<T>(static_cast<double>(v) + mean_dy);
      const Expected<T> e = expected(p);
      for_each_isa([&](Isa isa) {
        const ForwardResult<T> forward = run_forward(p, {.cpu = {.isa = isa}});
        const BackwardResult<T> backward = run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}});
        if (mean_dy > 1 || std::is_same_v<T, double>) {  // in double the differences x - shift are rounded, too
          expect_gradients_relative_to_terms(backward, e);
        } else {
          expect_gradients(backward, e);
        }
      });
    }
  }
}

/// The formula gives an infinity, whose sign is that of x - mean; no sum makes a NaN of it.
TYPED_TEST(DigitsOfWideTypes, DgammaOfAnInfiniteDyIsInfinite) {
  using T = TypeParam;
  for (const Extent& extent : this->extents) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    p.x[0] = T(-100);
    p.dy[0] = std::numeric_limits<T>::infinity();
    for_each_isa([&](Isa isa) {
      const ForwardResult<T> forward = run_forward(p, {.cpu = {.isa = isa}});
      const auto backward = run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}});
      EXPECT_EQ(-std::numeric_limits<T>::infinity(), backward.dgamma[0]);
      EXPECT_EQ(std::numeric_limits<T>::infinity(), backward.dbeta[0]);
    });
  }
}

TEST(DigitsOfFloats, SurviveDenormalInputs) {
  for (const Extent& extent : {Extent{4, 16, 3136}, Extent{60, 32, 49}, Extent{3000, 65, 1}}) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<float>(extent);
    scale_by(p.x, 2e-40);
    expect_promise_kept(p);
  }
}

TYPED_TEST(Digits, SavedStatisticsKeepThePromise) {
  this->for_each_problem([](const Problem<TypeParam>& p) {
    const auto e = expected_in<long double>(p);
    for_each_isa([&](Isa isa) { expect_statistics(run_forward(p, {.cpu = {.isa = isa}}), e); });
  });
}

TYPED_TEST(Digits, InferenceKeepsThePromise) {
  using R = oracle_t<TypeParam>;
  this->for_each_problem([](const Problem<TypeParam>& p) {
    const ForwardResult<TypeParam> f = run_forward(p);
    const std::vector<R> want = expected_inference<R>(p, f.mean, f.var);
    const double ratio = largest_ratio(f.mean, f.var);
    for_each_isa([&](Isa isa) {
      expect_within<TypeParam>(Quantity::y, relative_l2(run_inference(p, f.mean, f.var, {.cpu = {.isa = isa}}), want),
                               ratio);
    });
  });
}

class DigitsOfFewValues : public ::testing::TestWithParam<FewValues> {};
INSTANTIATE_TEST_SUITE_P(All, DigitsOfFewValues, ::testing::ValuesIn(all_few_values),
                         [](const auto& of) { return std::to_string(of.index); });

TEST_P(DigitsOfFewValues, KeepThePromiseInBatchNorm) {
  for (const Extent& extent : {Extent{8, 3, 224 * 224}, {256, 16, 7 * 7}, {40000, 5, 3}, {60000, 16, 1}}) {
    SCOPED_TRACE(std::string(GetParam().name) + " " + describe(extent));
    const auto p = with_values(make_problem<float>(extent), GetParam());
    const auto e = expected(p);
    for_each_isa([&](Isa isa) {
      const auto forward = run_forward(p, {.cpu = {.isa = isa}});
      expect_y(forward.y, e);
      expect_gradients_by_yardstick(run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}}), e);
      const auto& given = e.forward.cache;
      expect_gradients_by_yardstick(run_backward(p, given.mean, given.rstd, {.cpu = {.isa = isa}}), e);
    });
    const auto exact = expected_in<long double>(p);
    for_each_isa([&](Isa isa) { expect_statistics(run_forward(p, {.cpu = {.isa = isa}}), exact); });
  }
}

TEST_P(DigitsOfFewValues, KeepThePromiseInGroupNorm) {
  for (const Layout layout : both_layouts) {
    GroupProblem<float> p = make_group_problem<float>(make_groups(layout, 16, 8, 64 * 64, 2));
    p.of = with_values(p.of, GetParam());
    SCOPED_TRACE(std::string(GetParam().name) + " " + describe(p.groups));
    const auto e = expected(p);
    for_each_isa([&](Isa isa) {
      const auto forward = run_forward(p, {.cpu = {.isa = isa}});
      const auto b = run_backward(p, forward, {.cpu = {.isa = isa}});
      expect_within<float>(Quantity::y, relative_l2(forward.y, e.forward.y), e.mean_over_std);
      expect_gradient<float>(Quantity::dx, b.dx, e.backward.dx, 0.0, e.mean_over_std);
      expect_gradient<float>(Quantity::dgamma, b.dgamma, e.backward.dgamma, e.dgamma_scale, e.mean_over_std);
      expect_gradient<float>(Quantity::dbeta, b.dbeta, e.backward.dbeta, e.dbeta_scale, e.mean_over_std);
    });
  }
}

TEST_P(DigitsOfFewValues, KeepThePromiseInRows) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{60000, 17}, {16384, 128}, {1000, 1000}}) {
      const auto p = with_values(make_row_problem<float>(norm, extent), GetParam());
      SCOPED_TRACE(std::string(GetParam().name) + " " + describe(norm, extent));
      const auto e = expected(p);
      for_each_isa([&](Isa isa) {
        const auto forward = run_forward(p, {.cpu = {.isa = isa}});
        const auto b = run_backward(p, forward, {.cpu = {.isa = isa}});
        expect_within<float>(Quantity::y, relative_l2(forward.y, e.forward.y), e.mean_over_std);
        expect_gradient<float>(Quantity::dx, b.dx, e.backward.dx, e.dx_scale, e.mean_over_std);
        expect_gradient<float>(Quantity::dgamma, b.dgamma, e.backward.dgamma, e.dgamma_scale, e.mean_over_std);
        expect_gradient<float>(Quantity::dbeta, b.dbeta, e.backward.dbeta, e.dbeta_scale, e.mean_over_std);
      });
    }
  }
}

/// The error grew as sqrt(N).
TEST(DigitsOfFloats, SurviveTwoValuesInSixteenMillion) {
  auto p = make_problem<float>(Extent{1, 1, 1 << 24});
  Random random(3);
  fill(p.x, random, one_of_two<1, 7>);
  fill(p.dy, random, normal_around_1);
  const auto e = expected(p);
  const auto forward = run_forward(p);
  expect_y(forward.y, e);
  expect_gradients_by_yardstick(run_backward(p, forward.mean, forward.rstd), e);
}

/// A sample that lies a thousand standard deviations off tells nothing of the mean.
TEST(DigitsOfFloats, SurviveASampleFarFromTheMean) {
  auto p = make_problem<float>(Extent{1, 1, 10000});
  Random random(4);
  for (std::size_t k = 0; k < p.x.size(); ++k) p.x[k] = k < 300 ? 0.1F : static_cast<float>(1000 + random.normal());
  fill(p.dy, random, normal_around_1);
  const auto e = expected(p);
  for_each_isa([&](Isa isa) {
    const auto forward = run_forward(p, {.cpu = {.isa = isa}});
    expect_y(forward.y, e);
    expect_gradients_by_yardstick(run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}}), e);
  });
}

}  // namespace
}  // namespace unitvar::test
