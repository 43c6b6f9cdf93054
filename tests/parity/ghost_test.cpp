// Ghost batches against batch norm of each part of the batch.
#include "unitvar/ghost.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/oracle.hpp"
#include "support/run.hpp"
#include "unitvar/running_statistics.hpp"

namespace unitvar::test {
namespace {

struct Ghosts {
  Extent extent;
  std::int64_t ghost;
};

/// Ghosts that do and do not divide the batch, single rows, more rows than there are, large enough for threads.
std::vector<Ghosts> few_ghosts() {
  return {{{10, 3, 49}, 5},    {{10, 3, 49}, 4},  {{10, 3, 49}, 1}, {{10, 3, 49}, 100}, {{11, 3, 1}, 3},
          {{64, 5, 17}, 16},   {{259, 17, 1}, 8}, {{9, 1, 16}, 2},  {{7, 2, 4097}, 3},  {{1200, 130, 1}, 8},
          {{48, 32, 196}, 16}, {{40, 8, 196}, 7}, {{7, 1, 1}, 5}};
}

template <class T>
struct GhostResult {
  std::vector<T> y, dx;
  std::vector<double> mean, var, rstd;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
GhostResult<T> run_ghosts(const Problem<T>& p, std::int64_t ghost, const Options& options) {
  const std::size_t c = to_size(p.extent.channels), statistics = to_size(ghost_batches(p.extent, ghost)) * c;
  GhostResult<T> r{std::vector<T>(p.x.size()),      std::vector<T>(p.x.size()),      std::vector<double>(statistics),
                   std::vector<double>(statistics), std::vector<double>(statistics), std::vector<param_t<T>>(c),
                   std::vector<param_t<T>>(c)};
  batch_norm_ghost_forward<T>({.extent = p.extent,
                               .ghost = ghost,
                               .x = p.x,
                               .gamma = p.gamma,
                               .beta = p.beta,
                               .y = r.y,
                               .mean = r.mean,
                               .var = r.var,
                               .rstd = r.rstd,
                               .eps = p.eps},
                              options);
  batch_norm_ghost_backward<T>({.extent = p.extent,
                                .ghost = ghost,
                                .x = p.x,
                                .dy = p.dy,
                                .mean = r.mean,
                                .rstd = r.rstd,
                                .gamma = p.gamma,
                                .dx = r.dx,
                                .dgamma = r.dgamma,
                                .dbeta = r.dbeta},
                               options);
  return r;
}

/// The b-th ghost batch as a problem of its own.
template <class T>
Problem<T> ghost_problem(const Problem<T>& p, std::int64_t ghost, std::int64_t b) {
  const std::int64_t row = p.extent.channels * p.extent.inner, rows = std::min(ghost, p.extent.outer - b * ghost);
  const auto part = [&](const std::vector<T>& values) {
    const auto begin = values.begin() + b * ghost * row;
    return std::vector<T>(begin, begin + rows * row);
  };
  return {{rows, p.extent.channels, p.extent.inner}, part(p.x), part(p.dy), p.gamma, p.beta, p.eps};
}

template <class V>
std::vector<V> slice(const std::vector<V>& values, std::size_t begin, std::size_t length) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(length)};
}

template <class T>
class GhostBatches : public ::testing::Test {};
TYPED_TEST_SUITE(GhostBatches, AllDtypes);

TYPED_TEST(GhostBatches, HaveTheBitsOfBatchNormOfEachHoweverTheyAreRun) {
  using T = TypeParam;
  for (const auto& [extent, ghost] : few_ghosts()) {
    SCOPED_TRACE(describe(extent) + ", ghost " + std::to_string(ghost));
    const auto p = make_problem<T>(extent, 3);
    const std::size_t C = to_size(extent.channels);
    for_each_isa([&, ghost = ghost](Isa isa) {
      for (const Walk walk : all_walks) {
        for (const int threads : {1, 3}) {
          const GhostResult<T> seen = run_ghosts(p, ghost, {.cpu = {.threads = threads, .isa = isa, .walk = walk}});
          std::size_t element = 0;
          for (std::int64_t b = 0; b < ghost_batches(p.extent, ghost); ++b) {
            const Problem<T> part = ghost_problem(p, ghost, b);
            const ForwardResult<T> forward = run_forward(part);
            const BackwardResult<T> backward = run_backward(part, forward.mean, forward.rstd);
            ASSERT_TRUE(same_bits(slice(seen.y, element, part.x.size()), forward.y));
            ASSERT_TRUE(same_bits(slice(seen.dx, element, part.x.size()), backward.dx));
            ASSERT_TRUE(same_bits(slice(seen.mean, to_size(b) * C, C), forward.mean));
            ASSERT_TRUE(same_bits(slice(seen.var, to_size(b) * C, C), forward.var));
            ASSERT_TRUE(same_bits(slice(seen.rstd, to_size(b) * C, C), forward.rstd));
            element += part.x.size();
          }
        }
      }
    });
  }
}

TYPED_TEST(GhostBatches, ParameterGradientsAreTheSumsOfTheirs) {
  using T = TypeParam;
  using R = oracle_t<T>;
  for (const auto& [extent, ghost] : few_ghosts()) {
    SCOPED_TRACE(describe(extent) + ", ghost " + std::to_string(ghost));
    const auto p = make_problem<T>(extent, 3);
    std::vector<R> dgamma(to_size(extent.channels)), dbeta(dgamma);
    R dgamma_scale = 0, dbeta_scale = 0;
    double mean_over_std = 0;
    for (std::int64_t b = 0; b < ghost_batches(extent, ghost); ++b) {
      const Expected<T> e = expected(ghost_problem(p, ghost, b));
      for (std::size_t c = 0; c < dgamma.size(); ++c)
        dgamma[c] += e.backward.dgamma[c], dbeta[c] += e.backward.dbeta[c];
      dgamma_scale = std::hypot(dgamma_scale, e.dgamma_scale), dbeta_scale = std::hypot(dbeta_scale, e.dbeta_scale);
      mean_over_std = std::max(mean_over_std, e.mean_over_std);
    }
    const GhostResult<T> seen = run_ghosts(p, ghost, {});
    expect_within<T>(Quantity::dgamma, relative_l2(seen.dgamma, dgamma, dgamma_scale), mean_over_std);
    expect_within<T>(Quantity::dbeta, relative_l2(seen.dbeta, dbeta, dbeta_scale), mean_over_std);
  }
}

TEST(GhostBatchesRunningStatistics, TakeOneUpdateForEachInOrder) {
  const auto p = make_problem<float>(Extent{10, 3, 49}, 3);
  const std::int64_t ghost = 4, C = 3;
  const GhostResult<float> r = run_ghosts(p, ghost, {});
  std::vector<double> mean(3, 0), var(3, 1), want_mean(3, 0), want_var(3, 1);
  for (std::int64_t b = 0; b < ghost_batches(p.extent, ghost); ++b) {
    const auto rows = std::min(ghost, p.extent.outer - b * ghost);
    const std::span<const double> means = r.mean, vars = r.var;
    update_running_statistics({mean, var, nullptr}, static_cast<double>(rows * p.extent.inner),
                              means.subspan(to_size(b * C), to_size(C)), vars.subspan(to_size(b * C), to_size(C)));
    const Problem<float> part = ghost_problem(p, ghost, b);
    const auto forward = run_forward(part);
    update_running_statistics({want_mean, want_var, nullptr}, static_cast<double>(part.extent.count()), forward.mean,
                              forward.var);
  }
  EXPECT_EQ(mean, want_mean);
  EXPECT_EQ(var, want_var);
}

}  // namespace
}  // namespace unitvar::test
