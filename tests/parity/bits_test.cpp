// One input, one answer: the same bits for every thread count, instruction set and walk.
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/phases.hpp"
#include "support/run.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::test {
namespace {

const std::vector<int> thread_counts = thinned<int>({1, 2, 3, 7, 16, 0}, 2);

/// Small and ragged, then large enough to be cut into tiles and shared by threads.
std::vector<Extent> small_extents() {
  std::vector<Extent> extents = few_extents();
  for (const std::int64_t n : {1, 3, 15, 33, 63, 65, 129}) {
    extents.push_back({2, n, 1});
    extents.push_back({200, n, 1});
    extents.push_back({7, 3, n});
    extents.push_back({3, n, 7});
  }
  extents.push_back({33, 5, 257});
  return thinned(extents, 4);
}

std::vector<Extent> large_extents() {
  return {{8, 4, 12544}, {1, 1, 700001}, {64, 40, 196},  {40, 100, 49},
          {70001, 9, 1}, {4097, 130, 1}, {20001, 64, 1}, {3, 65537, 1}};
}

std::vector<Options> every_option() {
  std::vector<Options> options;
  for (const Isa isa : supported_isas()) {
    for (const Walk walk : all_walks) {
      for (const int threads : thread_counts)
        options.push_back({.cpu = {.threads = threads, .isa = isa, .walk = walk}});
    }
  }
  return options;
}

/// Every thread count in every walk on the best instruction set; every other one in every walk on three threads.
std::vector<Options> every_option_pairwise() {
  std::vector<Options> options;
  for (const Options& candidate : every_option()) {
    if (candidate.cpu.isa == supported_isas().front() || candidate.cpu.threads == 3) options.push_back(candidate);
  }
  return options;
}

template <class T>
void expect_same_bits(const Problem<T>& p, const std::vector<Options>& every) {
  SCOPED_TRACE(describe(p.extent));
  const Options plain{.cpu = {.threads = 1}};
  const ForwardResult<T> forward = run_forward(p, plain);
  const BackwardResult<T> backward = run_backward(p, forward.mean, forward.rstd, plain);
  const std::vector<T> inference = run_inference(p, forward.mean, forward.var, plain);
  for (const Options& options : every) {
    SCOPED_TRACE(describe(options));
    ASSERT_EQ(selected_isa(options.cpu.isa), options.cpu.isa);
    const ForwardResult<T> f = run_forward(p, options);
    ASSERT_TRUE(same_bits(f.mean, forward.mean));
    ASSERT_TRUE(same_bits(f.var, forward.var));
    ASSERT_TRUE(same_bits(f.rstd, forward.rstd));
    ASSERT_TRUE(same_bits(f.y, forward.y));
    const BackwardResult<T> b = run_backward(p, forward.mean, forward.rstd, options);
    ASSERT_TRUE(same_bits(b.dgamma, backward.dgamma));
    ASSERT_TRUE(same_bits(b.dbeta, backward.dbeta));
    ASSERT_TRUE(same_bits(b.dx, backward.dx));
    ASSERT_TRUE(same_bits(run_inference(p, forward.mean, forward.var, options), inference));
  }
}

template <class T>
void expect_same_phase_bits(const Problem<T>& p, const std::vector<Options>& every) {
  SCOPED_TRACE(describe(p.extent));
  const PhaseResults<T> want = run_phases(p, {.cpu = {.threads = 1}});
  for (const Options& options : every) {
    SCOPED_TRACE(describe(options));
    const PhaseResults<T> seen = run_phases(p, options);
    ASSERT_TRUE(same_bits(seen.mean, want.mean));
    ASSERT_TRUE(same_bits(seen.m2, want.m2));
    ASSERT_TRUE(same_bits(seen.y, want.y));
    ASSERT_TRUE(same_bits(seen.sum_dy, want.sum_dy));
    ASSERT_TRUE(same_bits(seen.sum_dy_xmu, want.sum_dy_xmu));
    ASSERT_TRUE(same_bits(seen.dx, want.dx));
  }
}

template <class T>
class Bits : public ::testing::Test {};
TYPED_TEST_SUITE(Bits, AllDtypes);

TYPED_TEST(Bits, AreTheSameForEveryOptionOnSmallWork) {
  for (const Extent& extent : small_extents()) expect_same_bits(make_problem<TypeParam>(extent, 10), every_option());
}

/// Or the test that follows would compare one thread with itself.
TYPED_TEST(Bits, OfLargeWorkAreSharedByManyThreads) {
  for (const Pass pass : {Pass::forward, Pass::backward, Pass::inference}) {
    int planar = 0, interleaved = 0;
    for (const Extent& extent : large_extents()) {
      for (const Walk walk : {Walk::resident, Walk::streamed}) {
        const Explanation how = explain(extent, sizeof(TypeParam), pass, {.cpu = {.threads = 7, .walk = walk}});
        const bool is_planar = how.text.starts_with("planar");
        if (how.threads == 7) ++(is_planar ? planar : interleaved);
      }
    }
    EXPECT_GE(planar, 4);
    EXPECT_GE(interleaved, 4);
  }
}

TYPED_TEST(Bits, AreTheSameForEveryOptionOnLargeWork) {
  for (const Extent& extent : thinned(large_extents(), 3)) {
    expect_same_bits(make_problem<TypeParam>(extent, 10), every_option_pairwise());
  }
}

TYPED_TEST(Bits, AreTheSameWithoutParametersAndAtLargeMeans) {
  for (const Extent& extent : few_extents()) {
    const ProblemSpec spec{.extent = extent, .mean_over_std = 1e6, .gamma = false, .beta = false};
    expect_same_bits(make_problem<TypeParam>(spec), every_option());
  }
}

TYPED_TEST(Bits, AreTheSameWithOutliersInSomeChannels) {
  std::vector<Extent> extents = few_extents();
  extents.push_back({4097, 130, 1});
  extents.push_back({3, 4, 12544});
  for (const Extent& extent : extents) {
    auto p = make_problem<TypeParam>(extent);
    for (std::int64_t c = 0; c < extent.channels; c += 3) p.x[to_size(extent.index(0, c, 0))] = TypeParam(6e4);
    p.x[p.x.size() / 2] = TypeParam(-3e4);
    expect_same_bits(p, every_option_pairwise());
  }
}

TYPED_TEST(Bits, OfThePhasesAreTheSameForEveryOption) {
  for (const Extent& extent : few_extents())
    expect_same_phase_bits(make_problem<TypeParam>(extent, 10), every_option());
  for (const Extent& extent : thinned(large_extents(), 3)) {
    expect_same_phase_bits(make_problem<TypeParam>(extent, 10), every_option_pairwise());
  }
}

TYPED_TEST(Bits, OfPhasesComposedByHandAreThoseOfTheWhole) {
  using T = TypeParam;
  std::vector<Extent> extents = small_extents();
  for (const Extent& extent : thinned(large_extents(), 3)) extents.push_back(extent);
  for (const Extent& extent : extents) {
    SCOPED_TRACE(describe(extent));
    const Problem<T> p = make_problem<T>(extent, 10);
    const ForwardResult<T> forward = run_forward(p);
    const BackwardResult<T> backward = run_backward(p, forward.mean, forward.rstd);
    const PhaseResults<T> phases = run_phases(p);
    EXPECT_TRUE(same_bits(phases.mean, forward.mean));
    EXPECT_TRUE(same_bits(phases.var, forward.var));
    EXPECT_TRUE(same_bits(phases.rstd, forward.rstd));
    EXPECT_TRUE(same_bits(phases.y, forward.y));
    EXPECT_TRUE(same_bits(phases.dgamma(), backward.dgamma));
    EXPECT_TRUE(same_bits(phases.dbeta(), backward.dbeta));
    EXPECT_TRUE(same_bits(phases.dx, backward.dx));
  }
}

#if defined(__linux__)
TEST(Threads, AsManyWorkAsAreAskedForOnLargeWork) {
  const auto p = make_problem<float>(Extent{8, 32, 12544});
  run_forward(p, {.cpu = {.threads = 7}});
  const auto tasks = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  EXPECT_GE(tasks, 7);
}
#endif

TYPED_TEST(Bits, AreTheSameFromCallToCall) {
  const auto p = make_problem<TypeParam>(Extent{64, 40, 196}, 10);
  const auto first = run_forward(p);
  for (int k = 0; k < 5; ++k) EXPECT_TRUE(same_bits(run_forward(p).y, first.y));
}

}  // namespace
}  // namespace unitvar::test
