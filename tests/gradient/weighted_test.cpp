#include <gtest/gtest.h>

#include "gradient/differences.hpp"

/// (B62) to (B66): statistics in which each position counts with a weight.
namespace unitvar::test {
namespace {

using namespace reference;

/// A case with a weight for each position, one in four of them 0.
template <class R>
struct Weighted {
  explicit Weighted(const Case<R>& of) : c(of) {
    Random random(31);
    for (std::int64_t j = 0; j < c.extent.count(); ++j) weight.push_back(j % 4 == 2 ? 0 : random.uniform(0.25, 3));
  }

  [[nodiscard]] WeightedForward<R> forward(Weightless weightless = Weightless::zero) const {
    return weighted_forward<R>(c.extent, c.x, weight, c.gamma, c.beta, c.eps, weightless);
  }

  [[nodiscard]] bool counts(std::int64_t o, std::int64_t i) const {
    return weight[to_size(o * c.extent.inner + i)] > 0;
  }

  Case<R> c;
  std::vector<R> weight;
};

/// f(o, c, i, e) for every element e.
template <class F>
void for_every(const Extent& extent, F f) {
  for (std::int64_t o = 0; o < extent.outer; ++o) {
    for (std::int64_t c = 0; c < extent.channels; ++c) {
      for (std::int64_t i = 0; i < extent.inner; ++i) f(o, c, i, to_size(extent.index(o, c, i)));
    }
  }
}

TEST(Weighted, B65B66GradientsMatchNumericDifferentiation) {
  for (const auto& narrow : some_cases()) {
    if (narrow.extent.count() < 5) continue;  // too few with a weight
    const Weighted<long double> w(as_case<long double>(narrow));
    const auto loss_of = [&](Wide Case<long double>::*input) -> WideFunction {
      return [&w, input](const Wide& values) {
        auto at = w;
        at.c.*input = values;
        return dot(at.c.dy, at.forward().y);
      };
    };
    const auto g = weighted_backward<long double>(w.forward().cache, w.c.dy);
    expect_gradient_of(loss_of(&Case<long double>::x), narrow.x, g.dx, narrow.name);
    expect_gradient_of(loss_of(&Case<long double>::gamma), narrow.gamma, g.dgamma, narrow.name);
    expect_gradient_of(loss_of(&Case<long double>::beta), narrow.beta, g.dbeta, narrow.name);
  }
}

TEST(Weighted, B62B63WholeWeightsAreRepetitions) {
  const std::vector<double> x = {3, -1, 4, 1}, weight = {2, 0, 1, 3}, repeated = {3, 3, 4, 1, 1, 1};
  const auto m = weighted_moments<double>(x, weight), same = moments<double>(repeated);
  EXPECT_EQ(m.count, 6);
  EXPECT_DOUBLE_EQ(m.mean, same.mean);
  EXPECT_DOUBLE_EQ(m.m2, same.m2);
}

TEST(Weighted, B66WholeWeightsAreRepetitionsThatShareTheirGradient) {
  const std::vector<double> x = {3, 4, 1}, weight = {2, 1, 3}, dy = {1, -3, 2};
  const std::vector<double> repeated = {3, 3, 4, 1, 1, 1}, shared = {0.5, 0.5, -3, 2. / 3, 2. / 3, 2. / 3};
  const auto f = weighted_forward<double>(Extent::nc(3, 1), x, weight, {}, {}, 0.5, Weightless::zero);
  const auto g = weighted_backward<double>(f.cache, dy);
  const auto each = backward<double>(forward<double>(Extent::nc(6, 1), repeated, {}, {}, 0.5).cache, shared);
  EXPECT_NEAR(g.dx[0], each.dx[0] + each.dx[1], 1e-15);
  EXPECT_NEAR(g.dx[1], each.dx[2], 1e-15);
  EXPECT_NEAR(g.dx[2], each.dx[3] + each.dx[4] + each.dx[5], 1e-15);
  EXPECT_NEAR(g.dgamma[0], each.dgamma[0], 1e-15);
}

TEST(Weighted, B63EqualWeightsAreNone) {
  const auto c = make_case<double>(Extent::nchw(2, 3, 3, 2), 10, 1e-3);
  const std::vector<double> weight(to_size(c.extent.count()), 0.5);
  const auto f = weighted_forward<double>(c.extent, c.x, weight, c.gamma, c.beta, c.eps, Weightless::zero);
  const auto plain = forward_of(c);
  EXPECT_LE(relative_l2(f.y, plain.y), 1e-14);
  EXPECT_LE(relative_l2(weighted_backward<double>(f.cache, c.dy).dx, backward<double>(plain.cache, c.dy).dx), 1e-14);
}

TEST(Weighted, B64MergeOfTwoPartsIsTheWeightedMomentsOfTheWhole) {
  Random random(37);
  const auto x = normal_values<double>(50, random, 100);
  std::vector<double> weight(50);
  for (double& w : weight) w = random.coin() ? random.uniform(0, 2) : 0;
  const std::span<const double> all = x, weights = weight;
  const auto whole = weighted_moments<double>(all, weights);
  for (const std::size_t cut : {0u, 1u, 18u, 50u}) {
    const auto merged = merge(weighted_moments<double>(all.first(cut), weights.first(cut)),
                              weighted_moments<double>(all.subspan(cut), weights.subspan(cut)));
    EXPECT_NEAR(merged.count, whole.count, 1e-12);
    EXPECT_NEAR(merged.mean, whole.mean, 1e-12);
    EXPECT_NEAR(merged.m2, whole.m2, 1e-11);
  }
}

TEST(Weighted, B62B65WhatWeighsNothingMayHoldAnything) {
  for (const Extent& e : {Extent::nc(9, 2), Extent::nchw(2, 3, 3, 2)}) {
    const Weighted<double> clean(make_case<double>(e, 1, 1e-3));
    Weighted<double> spoilt = clean;
    for_every(e, [&](auto o, auto, auto i, auto k) {
      if (!clean.counts(o, i)) spoilt.c.x[k] = std::nan(""), spoilt.c.dy[k] = std::numeric_limits<double>::infinity();
    });
    const auto a = clean.forward(), b = spoilt.forward();
    EXPECT_EQ(a.y, b.y);
    EXPECT_EQ(a.cache.cache.rstd, b.cache.cache.rstd);
    const auto before = weighted_backward<double>(a.cache, clean.c.dy);
    for (const auto weightless : {Weightless::zero, Weightless::affine}) {
      const auto after = weighted_backward<double>(spoilt.forward(weightless).cache, spoilt.c.dy);
      EXPECT_EQ(before.dx, after.dx);
      EXPECT_EQ(before.dgamma, after.dgamma);
      EXPECT_EQ(before.dbeta, after.dbeta);
    }
  }
}

TEST(Weighted, B63WhatWeighsNothingBecomesZeroOrTheAffineValue) {
  const Weighted<double> w(make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3));
  const auto zero = w.forward(Weightless::zero), affine = w.forward(Weightless::affine);
  const auto& cache = zero.cache.cache;
  const auto dx = weighted_backward<double>(affine.cache, w.c.dy).dx;
  for_every(w.c.extent, [&](auto o, auto channel, auto i, auto k) {
    const std::size_t c = to_size(channel);
    const double value = w.c.gamma[c] * ((w.c.x[k] - cache.mean[c]) * cache.rstd[c]) + w.c.beta[c];
    EXPECT_EQ(affine.y[k], value);
    EXPECT_EQ(zero.y[k], w.counts(o, i) ? value : 0);
    EXPECT_EQ(dx[k] == 0, !w.counts(o, i) || w.c.gamma[c] == 0);
  });
}

TEST(Weighted, B63NoWeightAtAllIsAnEmptyBatch) {
  const Extent e = Extent::nc(3, 2);
  const std::vector<double> values = {1, 2, 3, 4, 5, 6}, none(3), zeros(6);
  const auto f = weighted_forward<double>(e, values, none, {}, {}, 0.25, Weightless::zero);
  EXPECT_EQ(f.y, zeros);
  EXPECT_EQ(f.cache.cache.rstd, (std::vector<double>{2, 2}));
  EXPECT_EQ(weighted_backward<double>(f.cache, values).dx, zeros);
  EXPECT_EQ(weighted_backward<double>(f.cache, values).dgamma, (std::vector<double>{0, 0}));
}

TEST(Weighted, B66InputGradientSumsToZeroOverTheBatch) {
  const Weighted<long double> w(make_case<long double>(Extent::nc(33, 1), 10, 1e-3));
  const auto dx = weighted_backward<long double>(w.forward().cache, w.c.dy).dx;
  expect_near(dot(dx, Wide(dx.size(), 1)), 0, 1e-16L);
}

}  // namespace
}  // namespace unitvar::test
