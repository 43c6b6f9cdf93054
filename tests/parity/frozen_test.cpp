// The backward pass by statistics that are constants.
#include "unitvar/frozen.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

/// Running statistics that are near those of the problem, but not the batch's.
struct Running {
  std::vector<double> mean, var;
};

template <class T>
Running running_of(const Problem<T>& p) {
  Running r{std::vector<double>(to_size(p.extent.channels)), std::vector<double>(to_size(p.extent.channels))};
  Random random(3);
  for (std::size_t c = 0; c < r.mean.size(); ++c) {
    r.mean[c] = static_cast<double>(p.x[c * to_size(p.extent.inner)]) + 0.3 * random.normal();
    r.var[c] = random.uniform(0.5, 2);
  }
  return r;
}

template <class T>
BatchNormFrozenBackward<T> arguments(const Problem<T>& p, const Running& r) {
  return {.extent = p.extent, .x = p.x, .dy = p.dy, .mean = r.mean, .var = r.var, .gamma = p.gamma, .eps = p.eps};
}

template <class T>
BackwardResult<T> run_frozen(const Problem<T>& p, const Running& r, const Options& options = {}) {
  BackwardResult<T> out{std::vector<T>(p.x.size()), std::vector<param_t<T>>(r.mean.size()),
                        std::vector<param_t<T>>(r.mean.size())};
  auto args = arguments(p, r);
  args.dx = out.dx, args.dgamma = out.dgamma, args.dbeta = out.dbeta;
  batch_norm_frozen_backward<T>(args, options);
  return out;
}

/// The reference, and the sizes of the terms that its sums are made of.
template <class T>
void expect_reference(const BackwardResult<T>& seen, const Problem<T>& p, const Running& r) {
  using R = oracle_t<T>;
  const std::vector<R> x = as<R>(p.x), dy = as<R>(p.dy), mean = as<R>(r.mean), gamma = as<R>(p.gamma);
  std::vector<R> rstd(mean.size());
  for (std::size_t c = 0; c < rstd.size(); ++c) rstd[c] = 1 / std::sqrt(R(r.var[c]) + R(p.eps));
  const auto want = reference::backward_frozen<R>(p.extent, x, mean, rstd, gamma, dy);
  R dgamma = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % mean.size();
    dgamma += std::pow(dy[k] * (x[k] - mean[c]) * rstd[c], R(2));
  }
  expect_within<T>(Quantity::dx, relative_l2(seen.dx, want.dx), 0);
  expect_within<T>(Quantity::dgamma, relative_l2(seen.dgamma, want.dgamma, std::sqrt(dgamma)), 0);
  expect_within<T>(Quantity::dbeta, relative_l2(seen.dbeta, want.dbeta, l2_norm(dy)), 0);
}

template <class T>
class FrozenBackward : public ::testing::Test {};
TYPED_TEST_SUITE(FrozenBackward, AllDtypes);

TYPED_TEST(FrozenBackward, MatchesTheReferenceWithTheSameBitsEverywhere) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, is_half<TypeParam> ? 3 : 100);
    const Running r = running_of(p);
    const auto first = run_frozen(p, r, {.cpu = {.threads = 1}});
    expect_reference(first, p, r);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const auto other = run_frozen(p, r, {.cpu = {.threads = 3, .isa = isa, .walk = walk}});
        EXPECT_TRUE(same_bits(other.dx, first.dx));
        EXPECT_TRUE(same_bits(other.dgamma, first.dgamma));
        EXPECT_TRUE(same_bits(other.dbeta, first.dbeta));
      }
    });
  }
}

template <class T>
std::span<T> if_asked(bool asked, Guarded<T>& buffer) {
  return asked ? buffer.span() : std::span<T>{};
}

template <class T>
void expect_only(bool asked, Guarded<T>& buffer, const std::vector<T>& want) {
  EXPECT_TRUE(buffer.guards_intact());
  EXPECT_TRUE(asked ? same_bits(buffer.values(), want) : ::testing::AssertionResult(buffer.untouched()));
}

TYPED_TEST(FrozenBackward, WritesWhatIsAskedForAndReadsXForDgammaAlone) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    const auto p = make_problem<T>(extent, 3);
    const Running r = running_of(p);
    const auto all = run_frozen(p, r);
    Fenced<T> unreadable(p.x, Fence::after);
    unreadable.forbid();
    for (int asked = 0; asked < 8; ++asked) {
      for (const Walk walk : all_walks) {
        SCOPED_TRACE(describe(extent) + ", asked " + std::to_string(asked) + ", " + walk_name(walk));
        const bool dgamma_asked = (asked & 2) != 0;
        Guarded<T> dx(extent.size());
        Guarded<param_t<T>> dgamma(extent.channels), dbeta(extent.channels);
        auto args = arguments(p, r);
        if (!dgamma_asked) args.x = unreadable.span();
        args.dx = if_asked((asked & 1) != 0, dx);
        args.dgamma = if_asked(dgamma_asked, dgamma);
        args.dbeta = if_asked((asked & 4) != 0, dbeta);
        batch_norm_frozen_backward<T>(args, {.cpu = {.walk = walk}});
        expect_only((asked & 1) != 0, dx, all.dx);
        expect_only(dgamma_asked, dgamma, all.dgamma);
        expect_only((asked & 4) != 0, dbeta, all.dbeta);
      }
    }
  }
}

TYPED_TEST(FrozenBackward, XMayBeAbsentAndDxMayBeDy) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 3);
    const Running r = running_of(p);
    const auto all = run_frozen(p, r);
    for (const Walk walk : all_walks) {
      auto in_place = p.dy;
      auto args = arguments(p, r);
      args.x = {}, args.dy = in_place, args.dx = in_place;
      batch_norm_frozen_backward<TypeParam>(args, {.cpu = {.walk = walk}});
      EXPECT_TRUE(same_bits(in_place, all.dx));
      in_place = p.dy;
      std::vector<param_t<TypeParam>> dgamma(r.mean.size()), dbeta(r.mean.size());
      args.x = p.x, args.dgamma = dgamma, args.dbeta = dbeta;
      batch_norm_frozen_backward<TypeParam>(args, {.cpu = {.walk = walk}});
      EXPECT_TRUE(same_bits(in_place, all.dx));
      EXPECT_TRUE(same_bits(dgamma, all.dgamma));
      EXPECT_TRUE(same_bits(dbeta, all.dbeta));
    }
  }
}

TEST(FrozenBackwardCases, OneValuePerChannelIsLegal) {
  const auto p = make_problem<float>(Extent{1, 37, 1}, 2);
  const Running r = running_of(p);
  expect_reference(run_frozen(p, r), p, r);
}

TEST(FrozenBackwardCases, AnEmptyBatchHasZeroParameterGradients) {
  const auto p = make_problem<float>(Extent{0, 3, 7});
  const auto out = run_frozen(p, Running{{1, 2, 3}, {1, 1, 1}});
  EXPECT_EQ(out.dgamma, std::vector<float>(3));
  EXPECT_EQ(out.dbeta, std::vector<float>(3));
}

TEST(FrozenBackwardCases, ZeroIsPositiveWhateverTheSignsOfDyAndGamma) {
  auto p = make_problem<float>(Extent{4, 3, 5});
  p.gamma = {-2, 0, 3e-38F};  // the last is a channel for double
  for (std::size_t k = 0; k < p.dy.size(); ++k) p.dy[k] = k % 2 == 0 ? 0.0F : -0.0F;
  for (const float v : run_frozen(p, running_of(p)).dx) EXPECT_TRUE(v == 0 && !std::signbit(v));
}

TEST(FrozenBackwardCases, WhatIsNotFiniteInDyStaysInItsElement) {
  auto p = make_problem<float>(Extent{4, 3, 33});
  const Running r = running_of(p);
  auto want = run_frozen(p, r).dx;
  p.dy[7] = std::numeric_limits<float>::quiet_NaN();
  p.dy[200] = std::numeric_limits<float>::infinity();
  auto seen = run_frozen(p, r).dx;
  EXPECT_TRUE(std::isnan(seen[7]));
  EXPECT_TRUE(std::isinf(seen[200]));
  seen[7] = want[7], seen[200] = want[200];
  EXPECT_TRUE(same_bits(seen, want));
}

}  // namespace
}  // namespace unitvar::test
