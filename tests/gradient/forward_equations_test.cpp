#include <gtest/gtest.h>

#include "gradient/cases.hpp"

/// (B1) to (B6), (B9): the reference forward against each equation, written out in long double.
namespace unitvar::test {
namespace {

using Wide = long double;

Wide sum(const std::vector<Wide>& values) {
  Wide total = 0;
  for (const Wide v : values) total += v;
  return total;
}

std::vector<Wide> squared_deviations(const std::vector<Wide>& x, Wide mean) {
  std::vector<Wide> squares;
  for (const Wide v : x) squares.push_back((v - mean) * (v - mean));
  return squares;
}

template <class Check>
void for_each_channel(Check check) {
  for (const Case<Wide>& c : all_cases<Wide>()) {
    SCOPED_TRACE(c.name);
    const auto f = forward_of(c);
    for (std::int64_t channel = 0; channel < c.extent.channels; ++channel) {
      check(c, f, to_size(channel), channel_values(c.extent, c.x, channel));
    }
  }
}

TEST(ForwardEquations, B1MeanIsTheSumOverN) {
  for_each_channel([](const Case<Wide>&, const auto& f, std::size_t c, const std::vector<Wide>& x) {
    expect_near(f.cache.mean[c], sum(x) / static_cast<Wide>(x.size()), 1e-15);
  });
}

TEST(ForwardEquations, B2B3VarianceIsTheBiasedOneAndRstdItsReciprocalRoot) {
  for_each_channel([](const Case<Wide>& problem, const auto& f, std::size_t c, const std::vector<Wide>& x) {
    const Wide var = sum(squared_deviations(x, f.cache.mean[c])) / static_cast<Wide>(x.size());
    expect_near(f.cache.var[c], var, 1e-15);
    expect_near(f.cache.rstd[c] * std::sqrt(var + problem.eps), 1, 1e-15);
  });
}

TEST(ForwardEquations, B4B5NormalizedThenScaledAndShifted) {
  for_each_channel([](const Case<Wide>& problem, const auto& f, std::size_t c, const std::vector<Wide>& x) {
    const auto x_hat = channel_values(problem.extent, f.cache.x_hat, static_cast<std::int64_t>(c));
    const auto y = channel_values(problem.extent, f.y, static_cast<std::int64_t>(c));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Wide expected = (x[i] - f.cache.mean[c]) / std::sqrt(f.cache.var[c] + problem.eps);
      expect_near(x_hat[i], expected, 1e-15);
      expect_near(y[i], problem.gamma[c] * expected + problem.beta[c], 1e-15);
    }
  });
}

TEST(ForwardEquations, B5AbsentGammaIsOneAndAbsentBetaIsZero) {
  Case<double> c = make_case<double>(Extent::nchw(2, 3, 2, 2), 0, 1e-5);
  c.gamma.clear();
  c.beta.clear();
  const auto f = forward_of(c);
  EXPECT_TRUE(same_bits(f.y, f.cache.x_hat));
  EXPECT_EQ(f.cache.gamma, std::vector<double>(3, 1));
}

TEST(ForwardEquations, B6InferenceByTheBatchesOwnStatisticsIsTheTrainingForward) {
  for (const auto& c : all_cases<double>()) {
    const auto f = forward_of(c);
    const auto y = reference::inference<double>(c.extent, c.x, f.cache.mean, f.cache.var, c.gamma, c.beta, c.eps);
    EXPECT_TRUE(same_bits(y, f.y)) << c;
  }
}

TEST(ForwardEquations, B6InferenceByOtherStatisticsFollowsTheFormula) {
  const auto y = reference::inference<double>(Extent::nc(1, 2), std::vector<double>{5, 5}, std::vector<double>{1, 7},
                                              std::vector<double>{3, 8}, std::vector<double>{2, -1},
                                              std::vector<double>{10, 20}, 1.0);
  EXPECT_DOUBLE_EQ(y[0], 2.0 * (5 - 1) / 2 + 10);
  EXPECT_DOUBLE_EQ(y[1], -1.0 * (5 - 7) / 3 + 20);
}

TEST(ForwardEquations, B9IdentityParametersGiveBackTheInput) {
  for (const auto& c : all_cases<double>()) {
    const auto cache = forward_of(c).cache;
    const auto identity = reference::identity_parameters<double>(cache.mean, cache.var, c.eps);
    const auto y = reference::forward<double>(c.extent, c.x, identity.gamma, identity.beta, c.eps).y;
    EXPECT_LE(relative_l2(y, c.x), 1e-15) << c;
  }
}

TEST(ForwardEquations, B9TheSquareRootWithoutEpsIsNotQuiteTheIdentity) {
  const auto c = make_case<double>(Extent::nc(16, 4), 0, 0.5);
  const auto cache = forward_of(c).cache;
  const auto without = reference::identity_parameters<double>(cache.mean, cache.var, 0.0);
  const auto y = reference::forward<double>(c.extent, c.x, without.gamma, without.beta, c.eps).y;
  EXPECT_GE(relative_l2(y, c.x), 0.05);
}

}  // namespace
}  // namespace unitvar::test
