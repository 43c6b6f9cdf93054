#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// (B24), (B25), (B34): the Jacobian of one channel.
namespace unitvar::test {
namespace {

/// n values of one channel with their forward.
struct OneChannel {
  Case<double> problem;
  reference::Forward<double> f;
  std::size_t n;
  std::vector<double> j;  ///< dy_k/dx_i

  OneChannel(std::int64_t count, double mean, double eps)
      : problem(make_case<double>(Extent::nc(count, 1), mean, eps)),
        f(forward_of(problem)),
        n(to_size(count)),
        j(reference::jacobian<double>(f.cache.x_hat, f.cache.gamma[0], f.cache.rstd[0])) {}

  [[nodiscard]] double scale() const { return std::abs(f.cache.gamma[0] * f.cache.rstd[0]); }
};

template <class Check>
void for_each_channel(Check check) {
  for (const std::int64_t n : {2, 3, 5, 16}) {
    for (const double mean : {0.0, 10.0, 1000.0}) {
      for (const double eps : {1e-5, 1e-3, 0.5}) {
        SCOPED_TRACE("n " + std::to_string(n) + " mean " + std::to_string(mean) + " eps " + std::to_string(eps));
        check(OneChannel(n, mean, eps));
      }
    }
  }
}

TEST(JacobianEquations, B25JacobianOfTheOutputMatchesNumericDifferentiation) {
  for_each_channel([](OneChannel c) {
    const auto numeric = numeric_jacobian(change_of_y(c.problem), c.n, c.problem.x);
    EXPECT_LE(relative_l2(c.j, numeric.value), 1e-9);
  });
}

TEST(JacobianEquations, B24JacobianOfTheNormalizedTimesGammaIsThatOfTheOutput) {
  for_each_channel([](const OneChannel& c) {
    auto scaled = reference::jacobian_x_hat<double>(c.problem.x, c.f.cache.mean[0], c.f.cache.var[0], c.problem.eps);
    for (double& value : scaled) value *= c.f.cache.gamma[0];
    EXPECT_LE(relative_l2(scaled, c.j, c.scale()), 1e-14);
  });
}

TEST(JacobianEquations, B24TheTwoCasesDifferByRstdAlone) {
  const OneChannel c(5, 0, 1e-3);
  const auto j = reference::jacobian_x_hat<double>(c.problem.x, c.f.cache.mean[0], c.f.cache.var[0], c.problem.eps);
  const auto& x_hat = c.f.cache.x_hat;
  const double rstd = c.f.cache.rstd[0];
  for (std::size_t k = 0; k < c.n; ++k) {
    for (std::size_t i = 0; i < c.n; ++i) {
      const double off_diagonal = -rstd / 5 * (1 + x_hat[k] * x_hat[i]);
      EXPECT_NEAR(j[k * c.n + i], off_diagonal + (k == i ? rstd : 0), 1e-14);
    }
  }
}

TEST(JacobianEquations, B34JacobianIsSymmetric) {
  for_each_channel([](const OneChannel& c) {
    for (std::size_t k = 0; k < c.n; ++k) {
      for (std::size_t i = 0; i < k; ++i) EXPECT_EQ(c.j[k * c.n + i], c.j[i * c.n + k]);
    }
  });
}

TEST(JacobianEquations, B34RowsAndColumnsSumToZero) {
  for_each_channel([](const OneChannel& c) {
    for (std::size_t k = 0; k < c.n; ++k) {
      double row = 0, column = 0;
      for (std::size_t i = 0; i < c.n; ++i) row += c.j[k * c.n + i], column += c.j[i * c.n + k];
      EXPECT_NEAR(row / c.scale(), 0, 1e-12);
      EXPECT_NEAR(column / c.scale(), 0, 1e-12);
    }
  });
}

TEST(JacobianEquations, B34NormalizedIsAnEigenvectorThatOnlyEpsKeepsAlive) {
  for_each_channel([](const OneChannel& c) {
    const double left = c.problem.eps / (c.f.cache.var[0] + c.problem.eps);
    for (std::size_t k = 0; k < c.n; ++k) {
      double product = 0;
      for (std::size_t i = 0; i < c.n; ++i) product += c.j[k * c.n + i] * c.f.cache.x_hat[i];
      EXPECT_NEAR(product / c.scale(), c.f.cache.gamma[0] * c.f.cache.rstd[0] / c.scale() * left * c.f.cache.x_hat[k],
                  1e-12);
    }
  });
}

TEST(JacobianEquations, B34TraceCountsTheDirectionsThatAreLeft) {
  for_each_channel([](const OneChannel& c) {
    double trace = 0;
    for (std::size_t k = 0; k < c.n; ++k) trace += c.j[k * c.n + k];
    const double lost = 1 + c.f.cache.var[0] / (c.f.cache.var[0] + c.problem.eps);
    EXPECT_NEAR(trace / (c.f.cache.gamma[0] * c.f.cache.rstd[0]), static_cast<double>(c.n) - lost, 1e-12);
  });
}

}  // namespace
}  // namespace unitvar::test
