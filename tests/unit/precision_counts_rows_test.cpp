#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/precision_counts.hpp"
#include "support/rows.hpp"

/// How often layer and RMS normalization say that they left float.
namespace unitvar::test {
namespace {

using std::int64_t;

template <class T>
class PrecisionCountsOfRows : public testing::Test {};
TYPED_TEST_SUITE(PrecisionCountsOfRows, AllDtypes);

constexpr int64_t kRows = 37;
const RowExtent row_extent{kRows, 768};

/// Elements of the rows [5, 700) of 768.
template <class T>
std::vector<T> rows_between(const std::vector<T>& all) {
  return {all.begin() + 5 * 768, all.begin() + 700 * 768};
}

TYPED_TEST(PrecisionCountsOfRows, OrdinaryRowsStayInFloat) {
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

TYPED_TEST(PrecisionCountsOfRows, BackwardOfRowsCountsWhatIsAskedFor) {
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

TYPED_TEST(PrecisionCountsOfRows, AHugeGammaOfOneColumnMapsAllRowsInDouble) {
  using T = TypeParam;
  const int64_t in_double = std::is_same_v<T, double> ? 0 : kRows, again = is_half<T> ? kRows : 0;
  for (const RowNorm norm : both_row_norms) {
    auto p = make_row_problem<T>(norm, row_extent);
    p.gamma[100] = static_cast<param_t<T>>(1e31);
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, 0, kRows, in_double}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{2 * kRows, again, kRows, in_double}));
  }
}

TYPED_TEST(PrecisionCountsOfRows, OutliersThatMakeTheShiftAreSummedAgainInTheirRowAlone) {
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
TEST(PrecisionCountsOfAllRows, ALongRowOfFloatsIsSummedAgainAboutItsMean) {
  const RowExtent extent{1, int64_t{1} << 22};
  RowProblem<float> p{RowNorm::layer, extent, std::vector<float>(to_size(extent.length)), {}, {}, {}};
  for (std::size_t k = 0; k < p.x.size(); ++k) p.x[k] = k % 2 == 0 ? 1.0F : -1.0F;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{1, 0, 1, 0}));
  for (const std::size_t k : {0U, 128U, 256U}) p.x[k] = 1e6F;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{1, 1, 1, 0}));
}

TEST(PrecisionCountsOfAllRows, RowsOfDenormalsAreMappedInDoubleAndSummedAgainWhereSumsAreFloat) {
  const auto expect = [](const auto& p, int64_t again) {
    EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{kRows, again, kRows, kRows}));
    EXPECT_EQ(counts_of_backward(p), (PrecisionCounts{2 * kRows, 2 * again, kRows, kRows}));
  };
  expect(make_row_problem<float>(RowNorm::layer, row_extent, 1, 1e-40), 0);
  expect(make_row_problem<bf16>(RowNorm::layer, row_extent, 1, 1e-40), kRows);
}

TYPED_TEST(PrecisionCountsOfRows, RowsCountTheSameOnAnyThreadsAndInstructionSetAndChangeNoBit) {
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
TEST(PrecisionCountsOfAllRows, ChecksOfVariancesCountTheirSums) {
  auto p = make_row_problem<float>(RowNorm::layer, row_extent);
  p.eps = 0;
  EXPECT_EQ(counts_of_forward(p), (PrecisionCounts{2 * kRows, 0, kRows, 0}));
}

}  // namespace
}  // namespace unitvar::test
