// The promise of accuracy: relative L2 errors against the reference at |mean|/std of 0, 1e2, 1e4 and 1e6.
#include <gtest/gtest.h>

#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

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
  std::vector<double> ratios = is_half<T> ? std::vector{0.0, 1.0, 1e2} : std::vector{0.0, 1e2, 1e4, 1e6};

  template <class Body>
  void for_each_problem(Body&& body) {
    for (const double ratio : ratios) {
      for (const Extent& extent : extents) {
        SCOPED_TRACE(describe(extent) + " |mean|/std " + std::to_string(ratio));
        body(make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = ratio, .scale = 3}));
      }
    }
  }
};

TYPED_TEST_SUITE(Digits, AllDtypes);

TYPED_TEST(Digits, ForwardAndBackwardKeepThePromise) {
  this->for_each_problem([](const Problem<TypeParam>& p) {
    const Expected<TypeParam> e = expected(p);
    for_each_isa([&](Isa isa) {
      const ForwardResult<TypeParam> forward = run_forward(p, {.isa = isa});
      expect_y(forward.y, e);
      expect_gradients(run_backward(p, forward.mean, forward.rstd, {.isa = isa}), e);
    });
  });
}

TYPED_TEST(Digits, SavedStatisticsKeepThePromise) {
  this->for_each_problem([](const Problem<TypeParam>& p) {
    const auto e = expected_in<long double>(p);
    for_each_isa([&](Isa isa) { expect_statistics(run_forward(p, {.isa = isa}), e); });
  });
}

TYPED_TEST(Digits, InferenceKeepsThePromise) {
  using R = oracle_t<TypeParam>;
  this->for_each_problem([](const Problem<TypeParam>& p) {
    const ForwardResult<TypeParam> f = run_forward(p);
    const std::vector<R> want = expected_inference<R>(p, f.mean, f.var);
    const double ratio = expected(p).mean_over_std;
    for_each_isa([&](Isa isa) {
      expect_within<TypeParam>(Quantity::y, relative_l2(run_inference(p, f.mean, f.var, {.isa = isa}), want), ratio);
    });
  });
}

}  // namespace
}  // namespace unitvar::test
