// Statistics that fit what is given: another eps, cancellation, another batch; and where none of these is claimed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "diagnose/injections.hpp"

namespace unitvar::test {
namespace {

using Layer = PlainLayer;

/// E[x * x] - mean * mean in float, with a mean of 30 standard deviations.
TEST(Diagnose, NamesCancellation) {
  Images p;
  for (double& x : p.x) x = static_cast<float>(x + 10);
  Layer layer(p);
  for (std::int64_t c = 0; c < p.C; ++c) {
    float sum = 0, squares = 0;
    for (std::int64_t i = 0; i < p.values(); ++i) {
      const auto x = static_cast<float>(p.x[p.at(i / p.S, c, i % p.S)]);
      sum += x, squares += x * x;
    }
    const float N = static_cast<float>(p.values()), mean = sum / N;
    const auto k = static_cast<std::size_t>(c);
    layer.var[k] = squares / N - mean * mean, layer.rstd[k] = 1 / std::sqrt(layer.var[k] + p.eps);
  }
  layer.compute();
  layer.round_to_float();
  DiagnosisCase c = p.given();
  layer.put_in(c);
  const Diagnosis found = diagnose(c);
  EXPECT_EQ(std::set<std::string>{"variance_by_cancellation"}, named(found)) << to_string(found);
  EXPECT_TRUE(explained(found).contains("var"));
}

/// Fits explain one part of the results, and another part has another cause.
TEST(Diagnose, EndsWhereAFitExplainsSomeOfTheResults) {
  Images p;
  for (double& x : p.x) x = static_cast<float>(x + 1e4);
  Layer layer(p);
  for (double& v : layer.var) v = 24, v *= p.eps;
  layer.rstd.assign(layer.rstd.size(), 0.2);
  layer.compute();
  DiagnosisCase c = p.given();
  layer.put_in(c);
  EXPECT_FALSE(diagnose(c).right);
}

/// Not "another batch", which mean and var refute: but what is wrong with y is said.
TEST(Diagnose, SaysWhatIsWrongWithAnAffineYThatNothingExplains) {
  const Images p;
  const auto said_of = [&](const Layer::Formula& y) {
    Layer layer(p);
    layer.write(layer.y, y);
    layer.round_to_float();
    DiagnosisCase c = p.given();
    layer.put_in(c);
    const Diagnosis found = diagnose(c);
    EXPECT_TRUE(found.explanations.empty()) << to_string(found);
    return found.tensors[0].place;
  };
  const std::string is = "in each channel y is an affine function of x; ";
  EXPECT_EQ(is + "its scale is wrong, so look at gamma, var and eps",
            said_of([](const Value& v) { return (1 + v.gamma) * v.x_hat + v.beta; }));
  EXPECT_EQ(is + "its scale is right and its shift is wrong, so look at beta and mean",
            said_of([](const Value& v) { return v.gamma * v.x_hat + v.beta + 1; }));
  EXPECT_EQ(is + "its scale and its shift are wrong",
            said_of([](const Value& v) { return 2 * (v.gamma * v.x_hat + v.beta); }));
}

/// On data of variance 1 an eps shows little above the noise of float, and is named all the same.
TEST(Diagnose, NamesAnEpsNearTheNoise) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<double> x(64 * 32), y(x.size());
  for (double& v : x) v = normal(random);
  for (std::size_t row = 0; row < 64; ++row) {
    double sum = 0, squares = 0;
    for (std::size_t k = 0; k < 32; ++k) sum += x[row * 32 + k];
    for (std::size_t k = 0; k < 32; ++k) squares += (x[row * 32 + k] - sum / 32) * (x[row * 32 + k] - sum / 32);
    for (std::size_t k = 0; k < 32; ++k)
      y[row * 32 + k] = static_cast<float>((x[row * 32 + k] - sum / 32) / std::sqrt(squares / 32 + 1e-6));
  }
  DiagnosisCase c{.operation = DiagnosisOperation::layer_norm, .shape = {64, 32}, .x = x};
  c.results.y = y;
  const Diagnosis found = diagnose(c);
  EXPECT_FALSE(found.right);
  EXPECT_TRUE(named(found).contains("eps_1e-6")) << to_string(found);
  EXPECT_FALSE(named(found).contains("statistics_of_another_batch"));
}

/// None of these is the x_hat, or are the statistics, of another batch.
TEST(Diagnose, ClaimsNoOtherBatchForOrdinaryMistakes) {
  const Images p;
  const Layer right(p);
  std::mt19937 random(6);
  std::normal_distribution<double> normal;
  const auto named_of = [&](const auto& change) {
    Layer layer(p);
    change(layer);
    layer.round_to_float();
    DiagnosisCase c = p.given();
    layer.put_in(c);
    const Diagnosis found = diagnose(c);
    EXPECT_FALSE(found.right);
    return named(found);
  };
  const std::set<std::string> none;
  EXPECT_EQ(none, named_of([](Layer& l) { std::fill(l.dx.begin(), l.dx.end(), 0.0); }));
  EXPECT_EQ(none, named_of([](Layer& l) { l.dx[17] += 0.05; }));
  EXPECT_EQ(none, named_of([&](Layer& l) { std::fill_n(l.dx.begin(), p.C * p.S, 0.0); })) << "one sample";
  for (const double noise : {1e-4, 1e-3, 1e-2}) {
    EXPECT_EQ(none, named_of([&](Layer& l) {
                for (double& v : l.dx) v += noise * normal(random);
              }));
  }
  for (const double factor : {1.001, 1.01, 0.97}) {
    EXPECT_EQ(none, named_of([&](Layer& l) {
                for (double& v : l.dx) v *= factor;
              }));
    EXPECT_EQ(none, named_of([&](Layer& l) {
                for (double& v : l.y) v *= factor;
              }));
    EXPECT_EQ(none, named_of([&](Layer& l) {
                for (double& v : l.var) v *= factor;
              }));
  }
}

/// A gamma of 0, with which some networks begin, says nothing of its channel, and hides nothing of the others.
TEST(Diagnose, FitsChannelsBesideThoseThatSayNothing) {
  Images p;
  p.gamma[0] = 0;
  Layer layer(p);
  const Layer wrong(p, [](double var) { return 1 / std::sqrt(var + 0.05); });
  layer.y = wrong.y, layer.dx = wrong.dx, layer.dgamma = wrong.dgamma, layer.rstd = wrong.rstd;
  layer.round_to_float();
  DiagnosisCase c = p.given();
  layer.put_in(c);
  EXPECT_EQ(std::set<std::string>{"eps_of_another_value"}, named(diagnose(c))) << to_string(diagnose(c));
}

}  // namespace
}  // namespace unitvar::test
