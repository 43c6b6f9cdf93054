#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// (B10), (B11), (B35) to (B41): what holds of every batch, whatever the values.
namespace unitvar::test {
namespace {

using namespace reference;
using Wide = long double;

/// Per channel, the sum over the batch of term(element, channel).
template <class Term>
std::vector<Wide> sums(const Extent& extent, Term term) {
  std::vector<Wide> result(to_size(extent.channels));
  for (std::size_t e = 0; e < to_size(extent.size()); ++e) {
    const std::size_t c = e / to_size(extent.inner) % to_size(extent.channels);
    result[c] += term(e, c);
  }
  return result;
}

/// A case with its forward and backward pass.
struct Pass {
  Case<Wide> c;
  Forward<Wide> f;
  Gradients<Wide> g;
  explicit Pass(Case<Wide> problem) : c(std::move(problem)), f(forward_of(c)), g(backward<Wide>(f.cache, c.dy)) {}
};

template <class Check>
void for_each_case(Check check) {
  for (const auto& c : all_cases<Wide>()) {
    SCOPED_TRACE(c.name);
    check(Pass(c));
  }
}

TEST(Invariants, B10DeviationsSumToZero) {
  for_each_case([](const Pass& p) {
    const auto& cache = p.f.cache;
    for (const Wide s : sums(p.c.extent, [&](auto e, auto c) { return p.c.x[e] - cache.mean[c]; })) {
      expect_near(s, 0, 1e-14);
    }
    for (const Wide s : sums(p.c.extent, [&](auto e, auto) { return cache.x_hat[e]; })) expect_near(s, 0, 1e-13);
  });
}

TEST(Invariants, B11SquaresOfTheNormalizedSumToNUpToEps) {
  for_each_case([](const Pass& p) {
    const auto& cache = p.f.cache;
    const auto squares = sums(p.c.extent, [&](auto e, auto) { return cache.x_hat[e] * cache.x_hat[e]; });
    for (std::size_t c = 0; c < squares.size(); ++c) {
      const auto n = static_cast<Wide>(p.c.extent.count());
      expect_near(squares[c], n * cache.var[c] / (cache.var[c] + p.c.eps), 1e-12);
    }
  });
}

TEST(Invariants, B35InputGradientSumsToZero) {
  for_each_case([](const Pass& p) {
    const Wide terms = terms_of_dx(p.f.cache, p.c.dy);
    for (const Wide s : sums(p.c.extent, [&](auto e, auto) { return p.g.dx[e]; })) expect_near(s / terms, 0, 1e-15);
  });
}

TEST(Invariants, B36InputGradientAlongTheNormalizedIsWhatEpsLeaves) {
  for_each_case([](const Pass& p) {
    const auto& cache = p.f.cache;
    const auto along = sums(p.c.extent, [&](auto e, auto) { return p.g.dx[e] * cache.x_hat[e]; });
    for (std::size_t c = 0; c < along.size(); ++c) {
      const Wide left = p.c.eps / (cache.var[c] + p.c.eps);
      expect_near(along[c], cache.gamma[c] * cache.rstd[c] * left * p.g.dgamma[c], 1e-13);
    }
  });
}

TEST(Invariants, B37LossThatIsTheSumOfTheOutputHasNoInputGradient) {
  for_each_case([](Pass p) {
    const std::vector<Wide> ones(p.c.x.size(), 1);
    const auto g = backward<Wide>(p.f.cache, ones);
    const Wide terms = terms_of_dx(p.f.cache, ones);
    for (const Wide dx : g.dx) expect_near(dx / terms, 0, 1e-15);
    for (const Wide dbeta : g.dbeta) EXPECT_EQ(dbeta, static_cast<Wide>(p.c.extent.count()));
  });
}

TEST(Invariants, B38ShiftOfTheInputChangesNothing) {
  for_each_case([](const Pass& p) {
    Case<Wide> shifted = p.c;
    for (Wide& x : shifted.x) x += 64;
    const Pass other(shifted);
    EXPECT_LE(relative_l2(other.f.y, p.f.y), 1e-13);
    EXPECT_LE(relative_l2(other.g.dx, p.g.dx, terms_of_dx(p.f.cache, p.c.dy)), 1e-13);
    EXPECT_LE(relative_l2(other.g.dgamma, p.g.dgamma), 1e-13);
  });
}

TEST(Invariants, B39ScaleOfTheInputWithEpsScaledByItsSquareDividesTheInputGradient) {
  for (const Wide a : {0.01L, 3.0L, -2.0L}) {
    for_each_case([a](const Pass& p) {
      Case<Wide> scaled = p.c;
      for (Wide& x : scaled.x) x *= a;
      scaled.eps *= a * a;
      const Wide sign = a > 0 ? 1 : -1;
      for (Wide& gamma : scaled.gamma) gamma *= sign;  // x_hat turns round with a
      Pass other(scaled);
      for (Wide& dx : other.g.dx) dx *= a;
      for (Wide& dgamma : other.g.dgamma) dgamma *= sign;
      EXPECT_LE(relative_l2(other.f.y, p.f.y), 1e-14);
      EXPECT_LE(relative_l2(other.g.dx, p.g.dx, terms_of_dx(p.f.cache, p.c.dy)), 1e-14);
      EXPECT_LE(relative_l2(other.g.dgamma, p.g.dgamma), 1e-14);
    });
  }
}

TEST(Invariants, B39WithoutScalingEpsTheOutputDoesChange) {
  Case<Wide> c = make_case<Wide>(Extent::nc(16, 2), 0, 0.5);
  const auto y = forward_of(c).y;
  for (Wide& x : c.x) x *= 3;
  EXPECT_GE(relative_l2(forward_of(c).y, y), 0.01);
}

TEST(Invariants, B40InputGradientIsLinearInGammaAndInDy) {
  for_each_case([](const Pass& p) {
    Case<Wide> scaled = p.c;
    for (Wide& gamma : scaled.gamma) gamma *= -4;
    for (Wide& dy : scaled.dy) dy *= 8;
    Pass other(scaled);
    for (Wide& dx : other.g.dx) dx /= -32;
    for (Wide& dgamma : other.g.dgamma) dgamma /= 8;
    EXPECT_TRUE(other.g.dx == p.g.dx) << "powers of two: every bit";
    EXPECT_TRUE(other.g.dgamma == p.g.dgamma);
  });
}

TEST(Invariants, B40GammaOfZeroStopsTheInputGradientButNotItsOwn) {
  Case<Wide> c = make_case<Wide>(Extent::nc(16, 3), 0, 1e-5);
  c.gamma = {0, 1, 0};
  const Pass p(c);
  for (std::size_t e = 0; e < p.g.dx.size(); ++e) EXPECT_EQ(p.g.dx[e] == 0, e % 3 != 1) << e;
  for (const Wide dgamma : p.g.dgamma) EXPECT_GT(std::abs(dgamma), 1e-3L);
}

TEST(Invariants, B41OfTwoValuesOnlyEpsLetsAnyGradientThrough) {
  for (const double eps : {1e-8, 1e-5, 1e-3, 0.5}) {
    const Pass p(make_case<Wide>(Extent::nc(2, 1), 10, eps));
    const auto& cache = p.f.cache;
    const Wide expected =
        cache.gamma[0] * cache.rstd[0] * p.c.eps / (cache.var[0] + p.c.eps) * (p.c.dy[0] - p.c.dy[1]) / 2;
    expect_near(p.g.dx[0] / expected, 1, 1e-9);
    expect_near(p.g.dx[1] / expected, -1, 1e-9);
  }
}

}  // namespace
}  // namespace unitvar::test
