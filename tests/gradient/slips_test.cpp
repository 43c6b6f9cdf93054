#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// The places where the sources are misprinted: each printed version is run and shown wrong, next to what is meant.
/// docs/derivation.md, "Slips in the sources".
namespace unitvar::test {
namespace {

/// One channel, and dx by numeric differentiation.
struct Truth {
  Case<double> c = make_case<double>(Extent::nc(7, 1), 0.5, 1e-2);
  reference::Cache<double> cache = forward_of(c).cache;
  std::vector<double> dx = numeric_vjp(y_of_x(c), c.x, c.dy).value;
  double n = 7, gamma = c.gamma[0], mean = cache.mean[0], rstd = cache.rstd[0];
  const std::vector<double>&x = c.x, &dy = c.dy, &x_hat = cache.x_hat;

  template <class Term>
  [[nodiscard]] static double sum(Term term) {
    double total = 0;
    for (std::size_t k = 0; k < 7; ++k) total += term(k);
    return total;
  }

  template <class F>
  [[nodiscard]] double error_of(F dx_i) const {
    std::vector<double> printed;
    for (std::size_t i = 0; i < 7; ++i) printed.push_back(dx_i(i));
    return l2_error(printed, dx);
  }
};

TEST(Slips, ThirdSumOfTheJacobianPostLostItsUpstreamGradient) {
  const Truth t;
  const auto dx = [&](bool as_meant) {
    return [&t, as_meant](std::size_t i) {
      const double sum_dy = Truth::sum([&](auto k) { return t.dy[k]; });
      const double third = Truth::sum([&](auto k) { return t.x_hat[i] * t.x_hat[k] * (as_meant ? t.dy[k] : 1); });
      return t.gamma * t.rstd * (t.dy[i] - sum_dy / t.n - third / t.n);
    };
  };
  EXPECT_GE(t.error_of(dx(false)), 0.01);
  EXPECT_LE(t.error_of(dx(true)), 1e-9);
}

TEST(Slips, SumOverTheBatchInPart2CarriesXiWhereXjIsMeant) {
  const Truth t;
  const auto dx = [&](bool as_meant) {
    return [&t, as_meant](std::size_t i) {
      const auto dx_hat = [&](std::size_t j) { return t.gamma * t.dy[j]; };
      const double through_mean = Truth::sum([&](auto j) { return dx_hat(j) * -t.rstd; }) / t.n;
      const double through_var = Truth::sum(
          [&](auto j) { return dx_hat(j) * reference::partial_x_hat_var(as_meant ? t.x[j] : t.x[i], t.mean, t.rstd); });
      return dx_hat(i) * t.rstd + through_mean + through_var * reference::partial_var_x(t.x[i], t.mean, 7);
    };
  };
  EXPECT_GE(t.error_of(dx(false)), 0.01);
  EXPECT_LE(t.error_of(dx(true)), 1e-9);
}

TEST(Slips, FirstChainRuleLineOfPart2LeavesTheSumsOverTheBatchOut) {
  const Truth t;
  const auto printed = [&](std::size_t i) {
    using namespace reference;
    const double by_var = partial_x_hat_var(t.x[i], t.mean, t.rstd);
    const double by_mean = partial_x_hat_mean(t.rstd) + by_var * partial_var_mean<double>(t.x, t.mean);
    return t.dy[i] * partial_y_x_hat(t.gamma) *
           (partial_x_hat_x(t.rstd) + by_var * partial_var_x(t.x[i], t.mean, 7) + by_mean * partial_mean_x<double>(7));
  };
  EXPECT_GE(t.error_of(printed), 0.01);
  // What it is instead: each dy_i through the diagonal of the Jacobian alone.
  const auto j = reference::jacobian<double>(t.x_hat, t.gamma, t.rstd);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(printed(i), t.dy[i] * j[i * 7 + i], 1e-13);
}

TEST(Slips, GammaAndBetaGradientsOfPart2AreSumsFromTheirFirstLine) {
  const Truth t;
  const auto g = reference::backward<double>(t.cache, t.dy);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_GE(std::abs(t.dy[i] * t.x_hat[i] - g.dgamma[0]), 0.01);
    EXPECT_GE(std::abs(t.dy[i] - g.dbeta[0]), 0.01);
  }
}

TEST(Slips, OutputByInputInTheMatrixNoteIsGammaOnlyByTheNormalized) {
  Truth t;
  const auto j = numeric_jacobian(y_of_x(t.c), 7, t.c.x);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_GE(std::abs(j.value[i * 7 + i] - t.gamma), 0.01);
  EXPECT_EQ(reference::partial_y_x_hat(t.gamma), t.gamma);
}

TEST(Slips, ProductRuleInTheMatrixNoteIsOfTheNormalizedNotOfTheInput) {
  const Truth t;
  const auto product_rule = reference::jacobian_x_hat<double>(t.x, t.mean, t.cache.var[0], t.c.eps);
  const auto kronecker = [](std::size_t i, std::size_t j) { return i == j ? 1.0 : 0.0; };
  double farthest = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t j = 0; j < 7; ++j) {
      farthest = std::max(farthest, std::abs(product_rule[i * 7 + j] - kronecker(i, j)));
    }
  }
  EXPECT_GE(farthest, 0.1);
}

TEST(Slips, SecondCaseInTheMatrixNoteIsForIOtherThanJ) {
  Truth t;
  const VectorFunction squared_deviations = [](std::span<const double> x, std::span<double> squares) {
    const double mean = reference::moments<double>(x).mean;
    for (std::size_t i = 0; i < x.size(); ++i) squares[i] = (x[i] - mean) * (x[i] - mean);
  };
  const auto numeric = numeric_jacobian(squared_deviations, 7, t.c.x);
  for (std::size_t i = 0; i < 7; ++i) {
    const double xmu = t.x[i] - t.mean;
    for (std::size_t j = 0; j < 7; ++j) {
      const double meant = i == j ? 2 * xmu * (1 - 1.0 / 7) : -2.0 / 7 * xmu;
      EXPECT_NEAR(numeric.value[i * 7 + j], meant, 1e-10);
    }
    EXPECT_GE(std::abs(numeric.value[i * 7 + i] + 2.0 / 7 * xmu), 0.01) << "the second case at i = j";
  }
}

TEST(Slips, VarianceDoesNotFollowTheMeanOnlyWhereTheMeanIsThatOfTheBatch) {
  const Truth t;
  EXPECT_NEAR(reference::partial_var_mean<double>(t.x, t.mean), 0, 1e-14);
  EXPECT_NEAR(reference::partial_var_mean<double>(t.x, t.mean + 1), 2, 1e-14);
}

}  // namespace
}  // namespace unitvar::test
