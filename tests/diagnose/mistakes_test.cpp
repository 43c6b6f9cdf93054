// Every mistake of the catalogue, made by hand in a plain layer, and named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "diagnose/injections.hpp"

namespace unitvar::test {
namespace {

using Layer = PlainLayer;

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
