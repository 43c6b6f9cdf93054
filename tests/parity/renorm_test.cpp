// Batch renormalization, by its formula upon the reference of batch normalization.
#include "unitvar/renorm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/gradcheck.hpp"

namespace unitvar::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Renorm {
  std::vector<double> running_mean, running_var;
  double r_max, d_max;
};

/// Running statistics off the batch's by up to a standard deviation: some channels reach the bounds, some do not.
template <class T>
Renorm renorm_of(const Problem<T>& p, double r_max = 1.5, double d_max = 0.5) {
  const auto f = run_forward(p);
  Renorm n{f.mean, f.var, r_max, d_max};
  Random random(5);
  for (std::size_t c = 0; c < f.mean.size(); ++c) {
    n.running_mean[c] += random.uniform(-1, 1) * std::sqrt(f.var[c]);
    n.running_var[c] = f.var[c] * random.uniform(0.2, 3) + 0.1;
  }
  return n;
}

template <class T>
struct Results {
  std::vector<T> y, dx;
  std::vector<double> mean, var, rstd, r, d;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
Results<T> run_renorm(const Problem<T>& p, const Renorm& n, const Options& options = {}) {
  const std::size_t C = n.running_mean.size();
  const std::vector<double> c(C);
  Results<T> o{std::vector<T>(p.x.size()), std::vector<T>(p.x.size()), c, c, c, c, c,
               std::vector<param_t<T>>(C), std::vector<param_t<T>>(C)};
  batch_norm_renorm_forward<T>({.extent = p.extent,
                                .x = p.x,
                                .gamma = p.gamma,
                                .beta = p.beta,
                                .running_mean = n.running_mean,
                                .running_var = n.running_var,
                                .y = o.y,
                                .mean = o.mean,
                                .var = o.var,
                                .rstd = o.rstd,
                                .r = o.r,
                                .d = o.d,
                                .r_max = n.r_max,
                                .d_max = n.d_max,
                                .eps = p.eps},
                               options);
  batch_norm_renorm_backward<T>({.extent = p.extent,
                                 .x = p.x,
                                 .dy = p.dy,
                                 .mean = o.mean,
                                 .rstd = o.rstd,
                                 .r = o.r,
                                 .d = o.d,
                                 .gamma = p.gamma,
                                 .dx = o.dx,
                                 .dgamma = o.dgamma,
                                 .dbeta = o.dbeta},
                                options);
  return o;
}

template <class T>
void expect_same_bits(const Results<T>& a, const Results<T>& b) {
  EXPECT_TRUE(same_bits(a.y, b.y));
  EXPECT_TRUE(same_bits(a.dx, b.dx));
  EXPECT_TRUE(same_bits(a.r, b.r));
  EXPECT_TRUE(same_bits(a.d, b.d));
  EXPECT_TRUE(same_bits(a.dgamma, b.dgamma));
  EXPECT_TRUE(same_bits(a.dbeta, b.dbeta));
}

/// y = gamma * (x_hat * r + d) + beta (B69).
template <class R>
std::vector<R> renorm_y(const reference::Cache<R>& cache, std::span<const R> r, std::span<const R> d,
                        std::span<const R> gamma, std::span<const R> beta) {
  std::vector<R> y = cache.x_hat;
  for (std::size_t k = 0; k < y.size(); ++k) {
    const std::size_t c = k / to_size(cache.extent.inner) % r.size();
    y[k] = gamma[c] * (y[k] * r[c] + d[c]) + beta[c];
  }
  return y;
}

/// The formulas B68 to B70 upon the reference; the sizes of the terms are those of batch normalization with the largest
/// r and d.
template <class T>
void expect_formulas(const Results<T>& seen, const Problem<T>& p, const Renorm& n) {
  using R = oracle_t<T>;
  const Expected<T> e = expected(p);
  reference::Cache<R> cache = e.forward.cache;
  const std::size_t C = cache.mean.size();
  std::vector<R> r(C), d(C);
  for (std::size_t c = 0; c < C; ++c) {  // (B68)
    const R running_std = std::sqrt(R(n.running_var[c]) + R(p.eps));
    r[c] = std::clamp(1 / cache.rstd[c] / running_std, 1 / R(n.r_max), R(n.r_max));
    d[c] = std::clamp((cache.mean[c] - R(n.running_mean[c])) / running_std, -R(n.d_max), R(n.d_max));
  }
  EXPECT_LE(relative_l2(seen.r, r), 1e-6);
  EXPECT_LE(relative_l2(seen.d, d), 1e-6);
  const auto y = renorm_y<R>(cache, r, d, as<R>(p.gamma), as<R>(p.beta));
  expect_within<T>(Quantity::y, relative_l2(seen.y, y, e.y_scale), e.mean_over_std);

  for (std::size_t c = 0; c < C; ++c) cache.gamma[c] *= r[c];
  auto want = reference::backward<R>(cache, as<R>(p.dy));
  for (std::size_t c = 0; c < C; ++c) want.dgamma[c] = r[c] * want.dgamma[c] + d[c] * want.dbeta[c];
  expect_within<T>(Quantity::dx, relative_l2(seen.dx, want.dx, e.dx_scale), e.mean_over_std);
  expect_within<T>(Quantity::dgamma, relative_l2(seen.dgamma, want.dgamma, e.dgamma_scale), e.mean_over_std);
  expect_within<T>(Quantity::dbeta, relative_l2(seen.dbeta, want.dbeta, e.dbeta_scale), e.mean_over_std);
}

template <class T>
class BatchRenorm : public ::testing::Test {};
TYPED_TEST_SUITE(BatchRenorm, AllDtypes);

TYPED_TEST(BatchRenorm, MatchesItsFormulasWithTheSameBitsEverywhere) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 3);
    const Renorm n = renorm_of(p);
    const auto first = run_renorm(p, n, {.cpu = {.threads = 1}});
    expect_formulas(first, p, n);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        expect_same_bits(run_renorm(p, n, {.cpu = {.threads = 3, .isa = isa, .walk = walk}}), first);
      }
    });
  }
}

TYPED_TEST(BatchRenorm, BoundsOfOneAndZeroGiveTheBitsOfBatchNorm) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 3);
    const auto seen = run_renorm(p, renorm_of(p, 1, 0));
    const auto forward = run_forward(p);
    const auto backward = run_backward(p, forward.mean, forward.rstd);
    EXPECT_TRUE(same_bits(seen.y, forward.y));
    EXPECT_TRUE(same_bits(seen.mean, forward.mean));
    EXPECT_TRUE(same_bits(seen.var, forward.var));
    EXPECT_TRUE(same_bits(seen.rstd, forward.rstd));
    EXPECT_TRUE(same_bits(seen.dx, backward.dx));
    EXPECT_TRUE(same_bits(seen.dgamma, backward.dgamma));
    EXPECT_TRUE(same_bits(seen.dbeta, backward.dbeta));
  }
}

TEST(BatchRenormCases, WithoutBoundsItIsInferenceByTheRunningStatistics) {
  const auto p = make_problem<double>(Extent{5, 3, 49}, 2);
  const Renorm n = renorm_of(p, infinity, infinity);
  EXPECT_LE(relative_l2(run_renorm(p, n).y, run_inference(p, n.running_mean, n.running_var)), 1e-14);
}

TEST(BatchRenormCases, BackwardMatchesNumericDifferentiationWithRAndDHeldConstant) {
  for (const Extent& extent : {Extent{7, 5, 1}, Extent{3, 4, 6}, Extent{2, 2, 65}}) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<double>(extent, 1);
    const auto o = run_renorm(p, renorm_of(p));
    const auto y_of = [&](std::span<const double>, std::span<double> y) {
      const auto f = reference::forward<double>(extent, p.x, p.gamma, p.beta, p.eps);
      std::ranges::copy(renorm_y<double>(f.cache, o.r, o.d, p.gamma, p.beta), y.begin());
    };
    EXPECT_LE(gradcheck(y_of, p.x, p.dy, o.dx).l2_error, 1e-9);
    EXPECT_LE(gradcheck(y_of, p.gamma, p.dy, o.dgamma).l2_error, 1e-9);
    EXPECT_LE(gradcheck(y_of, p.beta, p.dy, o.dbeta).l2_error, 1e-9);
  }
}

TEST(BatchRenormCases, AnEmptyBatchIsLegal) {
  const auto p = make_problem<float>(Extent{0, 2, 3});
  const auto o = run_renorm(p, Renorm{{1, 2}, {1, 1}, 3, 5});
  EXPECT_EQ(o.mean, std::vector<double>(2));
  EXPECT_EQ(o.dgamma, std::vector<float>(2));
}

TEST(BatchRenormCases, ANanChannelStaysNanAndAlone) {
  auto p = make_problem<float>(Extent{4, 3, 65});
  const Renorm n = renorm_of(p);
  const auto want = run_renorm(p, n);
  p.x[70] = std::nanf("");
  const auto seen = run_renorm(p, n);
  EXPECT_TRUE(std::isnan(seen.r[1]) && std::isnan(seen.d[1]) && std::isnan(seen.dgamma[1]));
  for (const std::int64_t c : {0, 2}) {
    EXPECT_TRUE(same_bits(channel_values(p.extent, seen.y, c), channel_values(p.extent, want.y, c)));
  }
  EXPECT_TRUE(all_nan(channel_values(p.extent, seen.y, 1)));
}

}  // namespace
}  // namespace unitvar::test
