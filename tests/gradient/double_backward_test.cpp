#include <gtest/gtest.h>

#include <array>

#include "gradient/differences.hpp"

/// (B51) to (B55): the backward of the backward. What is differentiated numerically is the staged graph, whose nodes
/// know nothing of the closed forms.
namespace unitvar::test {
namespace {

using namespace reference;

/// A case in long double, and cotangents for what its backward gives.
struct Second {
  explicit Second(const Case<double>& narrow) : c(as_case<long double>(narrow)), random(17) {
    v = random_wide(c.extent.size(), random);
    u = random_wide(c.extent.channels, random);
    w = random_wide(c.extent.channels, random);
  }

  [[nodiscard]] DoubleGradients<long double> analytic() const {
    return double_backward<long double>(forward_of(c).cache, c.dy, v, u, w);
  }

  /// The second loss, of everything that the backward gives.
  [[nodiscard]] long double loss(const Gradients<long double>& g) const {
    return dot(v, g.dx) + dot(u, g.dgamma) + dot(w, g.dbeta);
  }

  /// The same as a function of one of the case's vectors, by the staged graph.
  [[nodiscard]] WideFunction loss_of(Wide Case<long double>::*input) const {
    return [this, input](const Wide& values) {
      Case<long double> at = c;
      at.*input = values;
      const auto stages = staged_forward<long double>(at.extent, at.x, at.gamma, at.beta, at.eps);
      const auto d = staged_backward<long double>(stages, at.dy);
      return loss({d.dx, d.dgamma, d.dbeta});
    };
  }

  Case<long double> c;
  Random random;
  Wide v, u, w;
};

TEST(Derivatives, B52GradientOfTheGradientForDyMatchesNumericDifferentiationOfTheStagedGraph) {
  for (const auto& c : some_cases()) {
    const Second s(c);
    expect_gradient_of(s.loss_of(&Case<long double>::dy), c.dy, s.analytic().grad_dy, c.name);
  }
}

TEST(Derivatives, B53GradientOfTheGradientForGammaMatchesNumericDifferentiationOfTheStagedGraph) {
  for (const auto& c : some_cases()) {
    const Second s(c);
    expect_gradient_of(s.loss_of(&Case<long double>::gamma), c.gamma, s.analytic().grad_gamma, c.name);
  }
}

TEST(Derivatives, B54GradientOfTheGradientForXMatchesNumericDifferentiationOfTheStagedGraph) {
  for (const auto& c : some_cases()) {
    const Second s(c);
    expect_gradient_of(s.loss_of(&Case<long double>::x), c.x, s.analytic().grad_x, c.name);
  }
}

TEST(Derivatives, B54BetaHasNoPartInTheSecondDerivatives) {
  const auto c = make_case<double>(Extent::nchw(2, 3, 3, 2), 0, 1e-3);
  const Second s(c);
  expect_gradient_of(s.loss_of(&Case<long double>::beta), c.beta, Wide(3), c.name);
}

TEST(Derivatives, B51TheSumsOfProductsAreOneFormInVAndDy) {
  const Second s(make_case<double>(Extent::nc(33, 1), 3, 0.5));
  const auto cache = forward_of(s.c).cache;
  const long double n = 33;
  const auto mean = [&](const Wide& a, const Wide& b) { return dot(a, b) / n; };
  const Wide one(33, 1);
  const long double a = mean(s.v, s.c.dy) - mean(s.v, one) * mean(s.c.dy, one);
  const long double p = mean(s.v, cache.x_hat), q = mean(s.c.dy, cache.x_hat);
  expect_near(s.analytic().grad_gamma[0], n * cache.rstd[0] * (a - p * q), 1e-16);
  // v . dx / gamma, by the backward itself: A - p q is bilinear in v and dy, and symmetric.
  expect_near(s.analytic().grad_gamma[0], dot(s.v, backward<long double>(cache, s.c.dy).dx) / cache.gamma[0], 1e-15);
  expect_near(dot(s.v, backward<long double>(cache, s.c.dy).dx), dot(s.c.dy, backward<long double>(cache, s.v).dx),
              1e-15);
}

TEST(Derivatives, B54WithoutParameterCotangentsIsASymmetricHessian) {
  for (const auto& c : some_cases()) {
    Second s(c);
    const Wide a = random_wide(c.extent.size(), s.random);
    const auto cache = forward_of(s.c).cache;
    const auto hessian_times = [&](const Wide& direction) {
      return double_backward<long double>(cache, s.c.dy, direction, {}, {}).grad_x;
    };
    const Wide hv = hessian_times(s.v), ha = hessian_times(a);
    EXPECT_LE(std::abs(dot(a, hv) - dot(s.v, ha)), 1e-16L * (1 + l2_norm(a) * l2_norm(hv))) << c.name;
  }
}

TEST(Derivatives, B54SumsToZeroBecauseAShiftOfTheInputChangesNothing) {
  for (const auto& c : some_cases()) {
    const auto grad_x = Second(c).analytic().grad_x;
    expect_near(dot(grad_x, Wide(grad_x.size(), 1)), 0, 1e-15L * (1 + l2_norm(grad_x)));
  }
}

TEST(Derivatives, B52EqualsTheForwardModeBecauseTheBackwardIsLinearInDy) {
  for (const auto& c : some_cases()) {
    const Second s(c);
    const auto y_dot = jvp<long double>(forward_of(s.c).cache, s.v, s.u, s.w).y_dot;
    EXPECT_LE(relative_l2(s.analytic().grad_dy, y_dot), 1e-18) << c.name;
  }
}

TEST(Derivatives, B51ToB54AbsentCotangentsAreZeros) {
  const Second s(make_case<double>(Extent::nchw(3, 2, 2, 2), 1, 1e-3));
  const auto cache = forward_of(s.c).cache;
  const Wide none(s.c.x.size()), no_channels(2);
  const auto of = [&](std::span<const long double> v, std::span<const long double> u, std::span<const long double> w) {
    const auto d = double_backward<long double>(cache, s.c.dy, v, u, w);
    return std::array{d.grad_x, d.grad_dy, d.grad_gamma};
  };
  EXPECT_EQ(of(s.v, {}, {}), of(s.v, no_channels, no_channels));
  EXPECT_EQ(of({}, s.u, {}), of(none, s.u, no_channels));
  EXPECT_EQ(of({}, {}, s.w), of(none, no_channels, s.w));
  EXPECT_EQ(of({}, {}, {}), (std::array{none, none, no_channels}));
}

/// d^3 L / dr ds dt of L(x + r a + s b + t v) at 0, by a difference of differences of differences, extrapolated (B44).
long double third_difference(const std::function<long double(const Wide&)>& loss, const Wide& x,
                             const std::array<Wide, 3>& along) {
  const auto difference = [&](long double h) {
    long double sum = 0;
    for (int corner = 0; corner < 8; ++corner) {
      Wide at = x;
      long double sign = 1;
      for (std::size_t k = 0; k < 3; ++k) {
        const long double side = (corner >> k & 1) != 0 ? 1 : -1;
        at = moved(at, side * h, along[k]);
        sign *= side;
      }
      sum += sign * loss(at);
    }
    return sum / (8 * h * h * h);
  };
  std::vector<long double> table;
  for (long double h = 0x1p-7; h >= 0x1p-10; h /= 2) table.push_back(difference(h));
  for (long double power = 4; table.size() > 1; power *= 4) {
    for (std::size_t k = 0; k + 1 < table.size(); ++k)
      table[k] = table[k + 1] + (table[k + 1] - table[k]) / (power - 1);
    table.pop_back();
  }
  return table[0];
}

TEST(Derivatives, B54DifferentiatedOnceMoreIsTheThirdDerivativeOfTheForward) {
  for (const Extent& e : {Extent::nc(7, 1), Extent::nc(16, 4), Extent::nchw(2, 3, 3, 2)}) {
    for (const double eps : {1e-5, 0.5}) {
      Second s(make_case<double>(e, 2, eps));
      const Wide a = random_wide(e.size(), s.random), b = random_wide(e.size(), s.random);
      const auto at = [&](const Wide& x) {
        Case<long double> c = s.c;
        c.x = x;
        return c;
      };
      const double by_double_backward = slope_at_zero([&](long double t) {
        const auto c = at(moved(s.c.x, t, b));
        return dot(a, double_backward<long double>(forward_of(c).cache, c.dy, s.v, {}, {}).grad_x);
      });
      const auto loss = [&](const Wide& x) { return dot(s.c.dy, forward_of(at(x)).y); };
      const auto by_differences = static_cast<double>(third_difference(loss, s.c.x, {a, b, s.v}));
      EXPECT_GT(std::abs(by_differences), 0.01);
      EXPECT_NEAR(by_double_backward / by_differences, 1, 1e-6) << s.c.name;
    }
  }
}

TEST(Derivatives, B54InDoubleAgreesWithLongDouble) {
  for (const Extent& e : {Extent::nc(33, 3), Extent::nchw(4, 3, 7, 7), Extent::nhwc(4, 7, 7, 5)}) {
    for (const double mean : {0.0, 10.0, 1e4}) {
      const auto narrow = make_case<double>(e, mean, 1e-5);
      const Second s(narrow);
      const auto wide = s.analytic();
      const auto d = double_backward<double>(forward_of(narrow).cache, narrow.dy, as<double>(s.v), as<double>(s.u),
                                             as<double>(s.w));
      const double bound = std::max(1e-14, 1e-15 * mean);
      EXPECT_LE(relative_l2(d.grad_x, wide.grad_x), bound) << narrow.name;
      EXPECT_LE(relative_l2(d.grad_dy, wide.grad_dy), bound) << narrow.name;
      EXPECT_LE(relative_l2(d.grad_gamma, wide.grad_gamma), bound) << narrow.name;
    }
  }
}

/// Statistics that have nothing to do with the batch.
struct Frozen {
  explicit Frozen(const Case<long double>& c)
      : mean(to_size(c.extent.channels), 0.75L),
        var(mean.size(), 2.5L),
        rstd(mean.size(), 1 / std::sqrt(2.5L + c.eps)) {}
  Wide mean, var, rstd;
};

TEST(Derivatives, B55FrozenDoubleBackwardMatchesNumericDifferentiation) {
  for (const auto& narrow : some_cases()) {
    const Second s(narrow);
    const Frozen f(s.c);
    const auto loss_of = [&](Wide Case<long double>::*input) -> WideFunction {
      return [&s, &f, input](const Wide& values) {
        Case<long double> at = s.c;
        at.*input = values;
        return s.loss(backward_frozen<long double>(at.extent, at.x, f.mean, f.rstd, at.gamma, at.dy));
      };
    };
    const auto d =
        frozen_double_backward<long double>(s.c.extent, s.c.x, f.mean, f.rstd, s.c.gamma, s.c.dy, s.v, s.u, s.w);
    expect_gradient_of(loss_of(&Case<long double>::x), narrow.x, d.grad_x, narrow.name);
    expect_gradient_of(loss_of(&Case<long double>::dy), narrow.dy, d.grad_dy, narrow.name);
    expect_gradient_of(loss_of(&Case<long double>::gamma), narrow.gamma, d.grad_gamma, narrow.name);
  }
}

TEST(Derivatives, B54OneValuePerChannelHasNoInputGradientOfAnyOrder) {
  const auto cache = forward<double>(Extent::nc(1, 2), std::vector<double>{7, 8}, {}, {}, 1e-5).cache;
  const std::vector<double> two = {1, 2}, zeros = {0, 0};
  const auto d = double_backward<double>(cache, two, two, two, two);
  EXPECT_EQ(d.grad_x, zeros);
  EXPECT_EQ(d.grad_gamma, zeros);
  EXPECT_EQ(d.grad_dy, two);  // through dbeta alone
}

TEST(Derivatives, B54EmptyBatchGivesZeroForGamma) {
  const auto cache = forward<double>(Extent::nc(0, 2), {}, {}, {}, 0.25).cache;
  const auto d = double_backward<double>(cache, {}, {}, std::vector<double>{1, 2}, {});
  EXPECT_TRUE(d.grad_x.empty());
  EXPECT_EQ(d.grad_gamma, (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace unitvar::test
