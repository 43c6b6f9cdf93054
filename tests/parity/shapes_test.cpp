// Every instruction set against the reference on shapes around the lane width.
#include <gtest/gtest.h>

#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

template <class T>
void expect_parity(const Extent& extent, double mean_over_std, bool gamma, bool beta) {
  SCOPED_TRACE(describe(extent) + (gamma ? ", gamma" : ", no gamma") + (beta ? ", beta" : ", no beta"));
  const Problem<T> p =
      make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = mean_over_std, .gamma = gamma, .beta = beta});
  const Expected<T> e = expected(p);
  const std::vector<double> mean(to_size(extent.channels), 0.5), var(to_size(extent.channels), 2.25);
  const auto inference = expected_inference<oracle_t<T>>(p, mean, var);
  for_each_isa([&](Isa isa) {
    const ForwardResult<T> forward = run_forward(p, {.cpu = {.isa = isa}});
    expect_y_relative_to_terms(forward.y, e);
    expect_gradients_relative_to_terms(run_backward(p, forward.mean, forward.rstd, {.cpu = {.isa = isa}}), e);
    const double error = relative_l2(run_inference(p, mean, var, {.cpu = {.isa = isa}}), inference, e.y_scale);
    expect_within<T>(Quantity::y, error, e.mean_over_std);
  });
}

template <class T>
class Parity : public ::testing::Test {};
TYPED_TEST_SUITE(Parity, AllDtypes);

TYPED_TEST(Parity, MatchesReferenceWhenInnerIsAroundTheLanes) {
  for (const Extent& extent : planar_extents()) expect_parity<TypeParam>(extent, 10, true, true);
}

TYPED_TEST(Parity, MatchesReferenceWhenChannelsLastAreAroundTheLanes) {
  for (const Extent& extent : interleaved_extents()) expect_parity<TypeParam>(extent, 10, true, true);
}

TYPED_TEST(Parity, MatchesReferenceWhenBatchesOfNcAreSmall) {
  for (std::int64_t n = 2; n <= 100; ++n) {
    for (const std::int64_t c : {1, 7, 8, 16, 33, 64, 65}) expect_parity<TypeParam>({n, c, 1}, 1, true, true);
  }
}

TYPED_TEST(Parity, MatchesReferenceWhenRowsAreShort) {
  for (std::int64_t inner = 1; inner <= 66; ++inner) {
    expect_parity<TypeParam>({3, 5, inner}, 1, true, true);
    expect_parity<TypeParam>({11, 37, inner}, 1, true, true);
  }
}

TYPED_TEST(Parity, MatchesReferenceWithoutGammaOrBeta) {
  for (const Extent& extent : few_extents()) {
    for (const bool gamma : {false, true}) {
      for (const bool beta : {false, true}) expect_parity<TypeParam>(extent, 0, gamma, beta);
    }
  }
}

TYPED_TEST(Parity, MatchesReferenceInEveryWalk) {
  std::vector<Extent> extents = few_extents();
  extents.push_back({8, 3, 12544});
  extents.push_back({9000, 40, 1});
  for (const Extent& extent : extents) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 100);
    const Expected<TypeParam> e = expected(p);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        SCOPED_TRACE(walk_name(walk));
        const auto forward = run_forward(p, {.cpu = {.threads = 2, .isa = isa, .walk = walk}});
        expect_y_relative_to_terms(forward.y, e);
        const auto backward =
            run_backward(p, forward.mean, forward.rstd, {.cpu = {.threads = 2, .isa = isa, .walk = walk}});
        expect_gradients_relative_to_terms(backward, e);
      }
    });
  }
}

TYPED_TEST(Parity, AbsentGammaIsOneAndAbsentBetaIsZero) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const std::size_t c = to_size(extent.channels);
    auto absent = make_problem<TypeParam>(ProblemSpec{.extent = extent, .gamma = false, .beta = false});
    auto given = absent;
    given.gamma.assign(c, 1), given.beta.assign(c, 0);
    for_each_isa([&](Isa isa) {
      EXPECT_EQ(run_forward(absent, {.cpu = {.isa = isa}}).y, run_forward(given, {.cpu = {.isa = isa}}).y);
      EXPECT_EQ(run_backward(absent, {.cpu = {.isa = isa}}).dx, run_backward(given, {.cpu = {.isa = isa}}).dx);
    });
  }
}

}  // namespace
}  // namespace unitvar::test
