#include <gtest/gtest.h>

#include "gradient/differences.hpp"

/// (B50), (B56), (B57): gradients through the returned statistics, and forward mode, each the transpose of the other.
namespace unitvar::test {
namespace {

using namespace reference;

/// A case in long double with cotangents for the statistics and tangents for the inputs.
struct Directions {
  explicit Directions(const Case<double>& narrow) : c(as_case<long double>(narrow)), random(23) {
    for (Wide* of_channel : {&dmean, &dvar, &gamma_dot, &beta_dot})
      *of_channel = random_wide(c.extent.channels, random);
    x_dot = random_wide(c.extent.size(), random);
  }

  /// The case with its inputs moved by t along the tangents.
  [[nodiscard]] Case<long double> at(long double t) const {
    Case<long double> result = c;
    result.x = moved(c.x, t, x_dot), result.gamma = moved(c.gamma, t, gamma_dot),
    result.beta = moved(c.beta, t, beta_dot);
    return result;
  }

  Case<long double> c;
  Random random;
  Wide dmean, dvar, x_dot, gamma_dot, beta_dot;
};

Wide joined(Wide values, const Wide& second, const Wide& third) {
  values.insert(values.end(), second.begin(), second.end());
  values.insert(values.end(), third.begin(), third.end());
  return values;
}

TEST(Derivatives, B50GradientThroughReturnedMeanAndBiasedVarianceMatchesNumericDifferentiation) {
  for (const auto& narrow : some_cases()) {
    const Directions d(narrow);
    const WideFunction loss = [&](const Wide& x) {
      Case<long double> c = d.c;
      c.x = x;
      const auto f = forward_of(c);
      return dot(c.dy, f.y) + dot(d.dmean, f.cache.mean) + dot(d.dvar, f.cache.var);
    };
    const auto g = statistics_backward<long double>(forward_of(d.c).cache, d.c.dy, d.dmean, d.dvar);
    expect_gradient_of(loss, narrow.x, g.dx, narrow.name);
  }
}

TEST(Derivatives, B50AbsentStatisticsGiveThePlainBackward) {
  const auto c = make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3);
  const auto cache = forward_of(c).cache;
  EXPECT_EQ(statistics_backward<double>(cache, c.dy, {}, {}).dx, backward<double>(cache, c.dy).dx);
}

TEST(Derivatives, B50SumOfTheInputGradientIsTheGradientOfTheMean) {
  for (const auto& narrow : some_cases()) {
    const Directions d(narrow);
    const auto g = statistics_backward<long double>(forward_of(d.c).cache, d.c.dy, d.dmean, d.dvar);
    const Wide ones(d.dmean.size(), 1);
    expect_near(dot(g.dx, Wide(g.dx.size(), 1)), dot(d.dmean, ones), 1e-15L * (1 + l2_norm(g.dx)));
  }
}

TEST(Derivatives, B56TangentsOfOutputMeanAndVarianceMatchNumericDifferentiation) {
  for (const auto& narrow : some_cases()) {
    const Directions d(narrow);
    const auto outputs_of = [](const Case<long double>& c) {
      const auto f = forward_of(c);
      return joined(f.y, f.cache.mean, f.cache.var);
    };
    const Wide base = outputs_of(d.c);
    const VectorFunction change = [&](std::span<const double> t, std::span<double> out) {
      const Wide values = outputs_of(d.at(t[0]));
      for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<double>(values[k] - base[k]);
    };
    std::vector<double> zero = {0};
    const auto numeric = numeric_jacobian(change, base.size(), zero, {.step = 0x1p-6});
    const auto t = jvp<long double>(forward_of(d.c).cache, d.x_dot, d.gamma_dot, d.beta_dot);
    const auto analytic = as<double>(joined(t.y_dot, t.mean_dot, t.var_dot));
    EXPECT_LE(l2_error(analytic, numeric.value), 1e-9) << narrow.name;
  }
}

TEST(Derivatives, B56ForwardModeIsTheTransposeOfTheBackward) {
  for (const auto& narrow : some_cases()) {
    const Directions d(narrow);
    const auto cache = forward_of(d.c).cache;
    const auto t = jvp<long double>(cache, d.x_dot, d.gamma_dot, d.beta_dot);
    const auto g = statistics_backward<long double>(cache, d.c.dy, d.dmean, d.dvar);
    const long double forwards = dot(d.c.dy, t.y_dot) + dot(d.dmean, t.mean_dot) + dot(d.dvar, t.var_dot);
    const long double backwards = dot(d.x_dot, g.dx) + dot(d.gamma_dot, g.dgamma) + dot(d.beta_dot, g.dbeta);
    expect_near(forwards, backwards, 1e-15L * (1 + l2_norm(d.c.dy) * l2_norm(t.y_dot)));
  }
}

TEST(Derivatives, B57FrozenTangentMatchesNumericDifferentiationAndIsTheTransposeOfTheFrozenBackward) {
  for (const auto& narrow : some_cases()) {
    const Directions d(narrow);
    const Wide mean(to_size(d.c.extent.channels), 0.75L), var(mean.size(), 2.5L);
    const Wide rstd(mean.size(), 1 / std::sqrt(2.5L + d.c.eps));
    const Wide y_dot =
        frozen_jvp<long double>(d.c.extent, d.c.x, mean, rstd, d.c.gamma, d.x_dot, d.gamma_dot, d.beta_dot);
    const double along = slope_at_zero([&](long double t) {
      const auto c = d.at(t);
      return dot(c.dy, inference<long double>(c.extent, c.x, mean, var, c.gamma, c.beta, c.eps));
    });
    const auto g = backward_frozen<long double>(d.c.extent, d.c.x, mean, rstd, d.c.gamma, d.c.dy);
    const long double size = 1 + l2_norm(d.c.dy) * l2_norm(y_dot);
    expect_near(dot(d.c.dy, y_dot), along, 1e-9L * size);
    expect_near(dot(d.c.dy, y_dot), dot(d.x_dot, g.dx) + dot(d.gamma_dot, g.dgamma) + dot(d.beta_dot, g.dbeta),
                1e-15L * size);
  }
}

}  // namespace
}  // namespace unitvar::test
