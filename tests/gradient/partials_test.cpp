#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// (B16) to (B23): each partial against numeric differentiation of the very function it is the derivative of.
namespace unitvar::test {
namespace {

/// One channel of six values, and what the partials are taken at.
struct Channel {
  std::vector<double> x = {0.3, -1.1, 2.4, 0.9, -0.2, 1.7};
  std::int64_t n = 6;
  double gamma = -1.3, beta = 0.4, eps = 1e-2;
  double mean = reference::moments<double>(x).mean;
  double var = reference::biased_variance(reference::moments<double>(x));
  double rstd = 1 / std::sqrt(var + eps);
};

template <class F>
double derivative(F f, double at) {
  std::vector<double> x = {at};
  return numeric_gradient([&](std::span<const double> v) { return f(v[0]); }, x).value[0];
}

double variance_about(std::span<const double> x, double mean) {
  double m2 = 0;
  for (const double v : x) m2 += (v - mean) * (v - mean);
  return m2 / static_cast<double>(x.size());
}

double own_mean(std::span<const double> x) { return reference::moments<double>(x).mean; }

TEST(Partials, B16OutputByNormalized) {
  const Channel c;
  const auto y = [&](double x_hat) { return c.gamma * x_hat + c.beta; };
  EXPECT_NEAR(reference::partial_y_x_hat(c.gamma), derivative(y, 0.7), 1e-11);
}

TEST(Partials, B17NormalizedByInputWithMeanAndVarianceHeld) {
  const Channel c;
  const auto x_hat = [&](double x_i) { return (x_i - c.mean) / std::sqrt(c.var + c.eps); };
  EXPECT_NEAR(reference::partial_x_hat_x(c.rstd), derivative(x_hat, c.x[1]), 1e-11);
}

TEST(Partials, B18NormalizedByVariance) {
  const Channel c;
  for (const double x_i : c.x) {
    const auto x_hat = [&](double var) { return (x_i - c.mean) / std::sqrt(var + c.eps); };
    EXPECT_NEAR(reference::partial_x_hat_var(x_i, c.mean, c.rstd), derivative(x_hat, c.var), 1e-11);
  }
}

TEST(Partials, B19VarianceByInputWithTheMeanHeldAndWithTheMeanFollowing) {
  Channel c;
  const auto held = numeric_gradient([&](std::span<const double> x) { return variance_about(x, c.mean); }, c.x);
  const auto following =
      numeric_gradient([](std::span<const double> x) { return variance_about(x, own_mean(x)); }, c.x);
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    const double partial = reference::partial_var_x(c.x[i], c.mean, c.n);
    EXPECT_NEAR(partial, held.value[i], 1e-11);
    EXPECT_NEAR(partial, following.value[i], 1e-11);
  }
}

TEST(Partials, B20NormalizedByMeanWithTheVarianceHeld) {
  const Channel c;
  const auto x_hat = [&](double mean) { return (c.x[2] - mean) / std::sqrt(c.var + c.eps); };
  EXPECT_NEAR(reference::partial_x_hat_mean(c.rstd), derivative(x_hat, c.mean), 1e-11);
}

TEST(Partials, B21VarianceByMeanIsZeroAtTheMeanOfTheBatch) {
  const Channel c;
  EXPECT_NEAR(reference::partial_var_mean<double>(c.x, c.mean), 0, 1e-15);
  EXPECT_NEAR(derivative([&](double mean) { return variance_about(c.x, mean); }, c.mean), 0, 1e-12);
}

TEST(Partials, B21VarianceByMeanIsComputedNotAssumed) {
  const Channel c;
  for (const double mean : {-3.0, 0.0, 5.0}) {
    const double partial = reference::partial_var_mean<double>(c.x, mean);
    EXPECT_NEAR(partial, derivative([&](double m) { return variance_about(c.x, m); }, mean), 1e-10);
    EXPECT_NEAR(partial, -2 * (c.mean - mean), 1e-12);
  }
}

TEST(Partials, B22MeanByInput) {
  Channel c;
  const auto numeric = numeric_gradient(own_mean, c.x);
  for (const double value : numeric.value) EXPECT_NEAR(reference::partial_mean_x<double>(c.n), value, 1e-11);
}

TEST(Partials, B23ReciprocalStdByInput) {
  Channel c;
  const auto rstd = [&](std::span<const double> x) { return 1 / std::sqrt(variance_about(x, own_mean(x)) + c.eps); };
  const auto numeric = numeric_gradient(rstd, c.x);
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    EXPECT_NEAR(reference::partial_rstd_x(c.x[i], c.mean, c.rstd, c.n), numeric.value[i], 1e-11);
  }
}

TEST(Partials, B23IsTheChainOfB18AndB19) {
  const Channel c;
  for (const double x_i : c.x) {
    // d rstd / d var is (B18) for an x_i that is 1 above the mean.
    const double chain =
        reference::partial_x_hat_var(c.mean + 1, c.mean, c.rstd) * reference::partial_var_x(x_i, c.mean, c.n);
    EXPECT_NEAR(reference::partial_rstd_x(x_i, c.mean, c.rstd, c.n), chain, 1e-15);
  }
}

}  // namespace
}  // namespace unitvar::test
