// Every mistake of the catalogue, made by hand in a plain layer, and named.
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

std::set<std::string> named(const Diagnosis& found) {
  std::set<std::string> ids;
  for (const DiagnosisExplanation& e : found.explanations) {
    for (const Mistake& m : e.mistakes) ids.insert(m.id);
  }
  return ids;
}

std::set<std::string> explained(const Diagnosis& found) {
  std::set<std::string> tensors;
  for (const DiagnosisExplanation& e : found.explanations) tensors.insert(e.tensors.begin(), e.tensors.end());
  return tensors;
}

TEST(Diagnose, CallsAPlainLayerRight) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Images p(seed);
    Layer layer(p);
    layer.round_to_float();
    DiagnosisCase c = p.given();
    layer.put_in(c);
    const Diagnosis found = diagnose(c);
    EXPECT_TRUE(found.right) << to_string(found);
    EXPECT_EQ(9U, found.tensors.size());
    EXPECT_TRUE(found.explanations.empty());
  }
}

TEST(Diagnose, NamesEachMistakeMadeByHand) {
  for (const Injection& injection : injections()) {
    for (unsigned seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE(injection.id);
      const Images p(seed);
      Layer layer(p);
      injection.make(p, layer);
      layer.round_to_float();
      DiagnosisCase c = p.given();
      layer.put_in(c);
      const Diagnosis found = diagnose(c);
      EXPECT_FALSE(found.right);
      for (const DiagnosedTensor& t : found.tensors)
        EXPECT_TRUE(t.right || explained(found).contains(t.name)) << t.name;
      std::set<std::string> wanted = injection.same_as;
      wanted.insert(injection.id);
      EXPECT_TRUE(named(found).contains(injection.id)) << to_string(found);
      for (const std::string& id : named(found)) EXPECT_TRUE(wanted.contains(id)) << id << "\n" << to_string(found);
    }
  }
}

TEST(Diagnose, HasATestOfEveryMistakeInTheCatalogue) {
  std::set<std::string> tested = {"batch_statistics_used",  "eval_forgotten", "mask_forgotten",
                                  "mask_forgotten_in_sums", "other_axis",     "variance_by_cancellation"};  // below
  for (const Injection& injection : injections()) tested.insert(injection.id);
  for (const Mistake& m : diagnosed_mistakes()) {
    EXPECT_TRUE(tested.contains(m.id)) << m.id;
    EXPECT_FALSE(m.what.empty() || m.equation.empty() || m.code.empty() || m.telling.empty()) << m.id;
  }
}

TEST(Diagnose, NamesTheBatchsStatisticsInAnInference) {
  const Images p;
  const Layer training(p);
  DiagnosisCase c = p.given();
  c.inference = true;
  c.results.y = training.y;
  const Diagnosis found = diagnose(c);
  EXPECT_EQ(std::set<std::string>{"batch_statistics_used"}, named(found)) << to_string(found);
}

TEST(Diagnose, NamesALayerLeftInTrainingInAnInference) {
  const Images p;
  const Layer training(p);
  DiagnosisCase c = p.given();
  c.inference = true;
  training.put_in(c);
  c.results.mean = c.results.var = c.results.rstd = {};
  const Diagnosis found = diagnose(c);
  EXPECT_EQ(std::set<std::string>{"eval_forgotten"}, named(found)) << to_string(found);
  EXPECT_EQ((std::set<std::string>{"y", "dx", "dgamma", "running_mean", "running_var"}), explained(found));
}

/// Sums over axes 0 and 1 of N, C, S: each pixel is taken for a channel.
TEST(Diagnose, NamesChannelsOfAnotherAxis) {
  Images p;
  Images turned = p;
  std::swap(turned.C, turned.S);
  const auto channels = static_cast<std::size_t>(turned.C);
  turned.gamma.assign(channels, 1), turned.beta.assign(channels, 0);
  turned.running_mean = turned.beta, turned.running_var = turned.gamma;
  const auto each = [&](const auto& f) {
    for (std::int64_t n = 0; n < p.N; ++n) {
      for (std::int64_t c = 0; c < p.C; ++c) {
        for (std::int64_t s = 0; s < p.S; ++s) f(p.at(n, c, s), turned.at(n, s, c));
      }
    }
  };
  each([&](std::size_t i, std::size_t k) { turned.x[k] = p.x[i], turned.dy[k] = p.dy[i]; });
  const Layer wrong(turned);
  std::vector<double> y(p.x.size()), dx(p.x.size());
  each([&](std::size_t i, std::size_t k) { y[i] = wrong.y[k], dx[i] = wrong.dx[k]; });
  DiagnosisCase c = p.given();
  c.gamma = c.beta = {};
  c.results.y = y, c.results.dx = dx;
  const Diagnosis found = diagnose(c);
  EXPECT_EQ(std::set<std::string>{"other_axis"}, named(found)) << to_string(found);
}

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

TEST(Diagnose, NamesAForgottenMask) {
  const Images p;
  const Layer layer(p);
  Images masked = p;
  std::vector<double> y = layer.y;
  for (std::size_t i = 0; i < y.size(); ++i) {
    masked.dy[i] = y[i] > 0 ? p.dy[i] : 0;
    y[i] = std::max(y[i], 0.0);
  }
  const Layer right(masked);
  DiagnosisCase c = p.given();
  c.relu = true;
  c.results = {.y = y,
               .dx = right.dx,
               .dgamma = right.dgamma,
               .dbeta = right.dbeta,
               .mean = {},
               .var = {},
               .rstd = {},
               .running_mean = {},
               .running_var = {}};
  EXPECT_TRUE(diagnose(c).right) << to_string(diagnose(c));
  c.results.dx = layer.dx, c.results.dgamma = layer.dgamma, c.results.dbeta = layer.dbeta;
  EXPECT_EQ(std::set<std::string>{"mask_forgotten"}, named(diagnose(c))) << to_string(diagnose(c));
  // dx masked, the sums not.
  std::vector<double> dx(p.x.size());
  const double N = static_cast<double>(p.values());
  for (std::int64_t ch = 0; ch < p.C; ++ch) {
    const auto k = static_cast<std::size_t>(ch);
    for (std::int64_t n = 0; n < p.N; ++n) {
      for (std::int64_t s = 0; s < p.S; ++s) {
        const std::size_t i = p.at(n, ch, s);
        const double x_hat = (p.x[i] - layer.mean[k]) * layer.rstd[k];
        dx[i] = p.gamma[k] * layer.rstd[k] * (masked.dy[i] - layer.dbeta[k] / N - x_hat * layer.dgamma[k] / N);
      }
    }
  }
  c.results.dx = dx;
  EXPECT_EQ(std::set<std::string>{"mask_forgotten_in_sums"}, named(diagnose(c))) << to_string(diagnose(c));
}

TEST(Diagnose, NamesTwoMistakesMadeTogether) {
  const Images p;
  Layer layer(p, [&](double var) { return 1 / (std::sqrt(var) + p.eps); });
  layer.write(layer.dx, [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N); });
  DiagnosisCase c = p.given();
  c.results.dx = layer.dx;
  const Diagnosis found = diagnose(c);
  EXPECT_EQ((std::set<std::string>{"eps_outside_root", "variance_path_dropped"}), named(found)) << to_string(found);
  ASSERT_EQ(1U, found.explanations.size());
  EXPECT_EQ(2U, found.explanations[0].mistakes.size());
}

TEST(Diagnose, NamesMistakesOfSeveralTensorsApart) {
  const Images p;
  Layer layer(p);
  layer.write(layer.dx, [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N); });
  for (double& v : layer.dbeta) v = -v;
  DiagnosisCase c = p.given();
  layer.put_in(c);
  const Diagnosis found = diagnose(c);
  EXPECT_EQ((std::set<std::string>{"dbeta_sign", "variance_path_dropped"}), named(found)) << to_string(found);
  EXPECT_EQ((std::set<std::string>{"dbeta", "dx"}), explained(found));
}

TEST(Diagnose, SaysWhereAnErrorSitsThatNothingExplains) {
  const Images p;
  Layer layer(p);
  for (std::int64_t n = 0; n < p.N; ++n) layer.dx[p.at(n, 1, 7)] += 0.3;
  DiagnosisCase c = p.given();
  layer.put_in(c);
  const Diagnosis found = diagnose(c);
  EXPECT_FALSE(found.right);
  EXPECT_TRUE(found.explanations.empty()) << to_string(found);
  const auto& t = *std::ranges::find(found.tensors, "dx", &DiagnosedTensor::name);
  EXPECT_EQ(
      "axis 1: 1 of 3 indexes has 99 % of the squared error: 1; axis 2: 1 of 10 indexes has 99 % of the squared "
      "error: 7",
      t.place);
  EXPECT_EQ(1, t.worst_index.at(1));
  EXPECT_EQ(7, t.worst_index.at(2));
}

TEST(Diagnose, TellsOfValuesThatAreNotFinite) {
  const Images p;
  Layer layer(p);
  layer.y[5] = std::nan("");
  layer.dx[6] = INFINITY;
  DiagnosisCase c = p.given();
  layer.put_in(c);
  const Diagnosis found = diagnose(c);
  EXPECT_FALSE(found.right);
  EXPECT_TRUE(found.explanations.empty()) << to_string(found);
  EXPECT_EQ(5, found.tensors[0].worst);
  EXPECT_EQ(6, found.tensors[1].worst);
}

/// One infinite gradient makes its channel's sums infinite, and hides nothing of the others.
TEST(Diagnose, ComparesWhatIsFiniteBesideWhatIsNotMeantToBe) {
  Images p;
  p.dy[p.at(2, 1, 3)] = INFINITY;
  Layer layer(p);
  DiagnosisCase c = p.given();
  layer.put_in(c);
  EXPECT_TRUE(diagnose(c).right) << to_string(diagnose(c));
  layer.dbeta[2] = 123;
  const Diagnosis found = diagnose(c);
  const auto& t = *std::ranges::find(found.tensors, "dbeta", &DiagnosedTensor::name);
  EXPECT_FALSE(t.right);
  EXPECT_EQ(2, t.worst);
}

TEST(Diagnose, SeesMistakesInGradientsWhoseSquaresNoDoubleHolds) {
  for (const double factor : {1e-200, 1e200}) {
    Images p;
    for (double& v : p.dy) v *= factor;
    Layer layer(p);
    DiagnosisCase c = p.given();
    c.dtype = DiagnosisDtype::float64;
    layer.put_in(c);
    EXPECT_TRUE(diagnose(c).right) << to_string(diagnose(c));
    layer.write(layer.dx, [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N); });
    EXPECT_EQ(std::set<std::string>{"variance_path_dropped"}, named(diagnose(c))) << to_string(diagnose(c));
  }
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

TEST(Diagnose, ListsWhatTheseDataCannotTell) {
  Images p;
  for (double& v : p.gamma) v = 1;
  for (double& v : p.beta) v = 0;
  p.eps = 1e-8;
  const Layer layer(p);
  DiagnosisCase c = p.given();
  c.results.y = layer.y, c.results.dx = layer.dx;
  std::set<std::string> untold;
  const Diagnosis found = diagnose(c);
  EXPECT_TRUE(found.right) << to_string(found);
  for (const Mistake& m : found.untold) untold.insert(m.id);
  for (const char* id : {"gamma_twice", "beta_forgotten", "eps_forgotten", "dgamma_sign", "momentum_reversed"}) {
    EXPECT_TRUE(untold.contains(id)) << id;
  }
  for (const char* id : {"mean_path_dropped", "wrong_axis", "eps_1e-3", "mask_forgotten"}) {
    EXPECT_FALSE(untold.contains(id)) << id;
  }
}

}  // namespace
}  // namespace unitvar::test
