// Right answers are never accused, in whatever arithmetic they were computed.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <tuple>
#include <vector>

#include "support/expect_error.hpp"
#include "unitvar/diagnose.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::test {
namespace {

using Operation = DiagnosisOperation;
using Round = std::function<double(double)>;

/// A problem of any operation, as groups of values and a parameter for each value.
struct Problem {
  DiagnosisCase c;
  std::vector<double> x, dy, gamma, beta;
  std::vector<std::size_t> group, parameter;
  std::size_t groups = 0, parameters = 0;
};

Problem make(Operation operation, std::mt19937& random, const Round& round) {
  const auto pick = [&](int a, int b) { return std::uniform_int_distribution<int>(a, b)(random); };
  std::normal_distribution<double> normal;
  const std::int64_t N = pick(2, 6), G = pick(1, 3), C = G * pick(1, 2), S = pick(2, 9);
  const double mean = pick(0, 1) * std::pow(10.0, pick(-1, 1)), std = std::pow(10.0, pick(-1, 1));
  Problem p;
  p.c.operation = operation, p.c.groups = G;
  const bool rows = operation == Operation::layer_norm || operation == Operation::rms_norm;
  const bool last = !rows && pick(0, 1) == 1;
  p.c.layout = last ? DiagnosisLayout::channels_last : DiagnosisLayout::channels_first;
  p.c.shape = rows   ? std::vector<std::int64_t>{N, 3, S + 4}
              : last ? std::vector<std::int64_t>{N, S, C}
                     : std::vector<std::int64_t>{N, C, S};
  const std::int64_t columns = p.c.shape[2], middle = p.c.shape[1];
  for (std::int64_t i = 0; i < N * middle * columns; ++i) {
    const std::int64_t n = i / (middle * columns), c = last ? i % columns : i / columns % middle;
    p.x.push_back(round(mean + std * normal(random)));
    p.dy.push_back(round(normal(random) + pick(0, 1)));
    p.parameter.push_back(static_cast<std::size_t>(rows ? i % columns : c));
    p.group.push_back(static_cast<std::size_t>(operation == Operation::batch_norm      ? c
                                               : rows                                  ? i / columns
                                               : operation == Operation::instance_norm ? n * C + c
                                                                                       : n * G + c / (C / G)));
  }
  p.groups = static_cast<std::size_t>(operation == Operation::batch_norm      ? C
                                      : rows                                  ? N * middle
                                      : operation == Operation::instance_norm ? N * C
                                                                              : N * G);
  p.parameters = static_cast<std::size_t>(rows ? columns : C);
  for (std::size_t k = 0; k < p.parameters; ++k) {
    p.gamma.push_back(round(1 + 0.4 * normal(random)));
    p.beta.push_back(round(0.4 * normal(random)));
  }
  return p;
}

/// Everything with each operation rounded; `order` is that of the sums: 0 as in memory, 1 in reverse, 2 by halves.
struct Plain {
  std::vector<double> y, dx, dgamma, dbeta, mean, var, rstd;

  Plain(const Problem& p, const Round& r, int order) : r_(r), order_(order) {
    const std::size_t size = p.x.size();
    const double n = static_cast<double>(size / p.groups);
    const bool rms = p.c.operation == Operation::rms_norm;
    mean = sums(p.group, p.groups, [&](std::size_t i) { return rms ? 0.0 : p.x[i]; });
    for (double& m : mean) m = r(m / n);
    var = sums(p.group, p.groups, [&](std::size_t i) { return r(r(p.x[i] - m(p, i)) * r(p.x[i] - m(p, i))); });
    for (double& v : var) v = r(v / n), rstd.push_back(r(1 / r(std::sqrt(r(v + r(p.c.eps))))));
    const auto x_hat = [&](std::size_t i) { return r(r(p.x[i] - m(p, i)) * rstd[p.group[i]]); };
    const auto scaled = [&](std::size_t i) { return r(p.gamma[p.parameter[i]] * p.dy[i]); };
    dgamma = sums(p.parameter, p.parameters, [&](std::size_t i) { return r(p.dy[i] * x_hat(i)); });
    dbeta = sums(p.parameter, p.parameters, [&](std::size_t i) { return p.dy[i]; });
    const auto sum = sums(p.group, p.groups, scaled);
    const auto products = sums(p.group, p.groups, [&](std::size_t i) { return r(scaled(i) * x_hat(i)); });
    for (std::size_t i = 0; i < size; ++i) {
      y.push_back(r(r(p.gamma[p.parameter[i]] * x_hat(i)) + p.beta[p.parameter[i]]));
      const double by_mean = rms ? 0 : r(sum[p.group[i]] / n), by_var = r(r(x_hat(i) * products[p.group[i]]) / n);
      dx.push_back(r(rstd[p.group[i]] * r(r(scaled(i) - by_mean) - by_var)));
    }
  }

 private:
  [[nodiscard]] double m(const Problem& p, std::size_t i) const { return mean[p.group[i]]; }

  template <class F>
  std::vector<double> sums(const std::vector<std::size_t>& of, std::size_t count, const F& f) const {
    std::vector<std::vector<double>> terms(count);
    for (std::size_t i = 0; i < of.size(); ++i) terms[of[i]].push_back(f(i));
    std::vector<double> out;
    for (auto& t : terms) {
      if (order_ == 1) std::reverse(t.begin(), t.end());
      out.push_back(order_ == 2
                        ? by_halves(t, 0, t.size())
                        : std::accumulate(t.begin(), t.end(), 0.0, [&](double a, double b) { return r_(a + b); }));
    }
    return out;
  }
  [[nodiscard]] double by_halves(const std::vector<double>& t, std::size_t begin, std::size_t end) const {
    if (end - begin == 1) return t[begin];
    const std::size_t half = begin + (end - begin) / 2;
    return r_(by_halves(t, begin, half) + by_halves(t, half, end));
  }
  const Round& r_;
  int order_;
};

Round rounding(DiagnosisDtype dtype) {
  switch (dtype) {
    case DiagnosisDtype::float32:
      return [](double v) { return static_cast<double>(static_cast<float>(v)); };
    case DiagnosisDtype::float16:
      return [](double v) { return static_cast<double>(f16(v)); };
    case DiagnosisDtype::bfloat16:
      return [](double v) { return static_cast<double>(bf16(v)); };
    case DiagnosisDtype::float64:
      break;
  }
  return [](double v) { return v; };
}

constexpr Operation kOperations[] = {Operation::batch_norm, Operation::layer_norm, Operation::rms_norm,
                                     Operation::group_norm, Operation::instance_norm};
constexpr DiagnosisDtype kDtypes[] = {DiagnosisDtype::float32, DiagnosisDtype::float64, DiagnosisDtype::bfloat16,
                                      DiagnosisDtype::float16};

TEST(Diagnose, AccusesNoRightAnswerInAnyArithmetic) {
#ifdef UNITVAR_TEST_FEW_SHAPES
  constexpr int kRounds = 10;
#else
  constexpr int kRounds = 500;
#endif
  std::mt19937 random(3);
  int hidden = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (const Operation operation : kOperations) {
      for (const DiagnosisDtype dtype : kDtypes) {
        const Round r = rounding(dtype);
        Problem p = make(operation, random, r);
        const Plain made(p, r, round % 3);
        p.c.dtype = dtype;
        p.c.x = p.x, p.c.dy = p.dy, p.c.gamma = p.gamma, p.c.beta = p.beta;
        p.c.results = {made.y, made.dx, made.dgamma, made.dbeta, made.mean, made.var, made.rstd, {}, {}};
        const Diagnosis found = diagnose(p.c);
        ASSERT_TRUE(found.right || found.hidden)
            << "operation " << static_cast<int>(operation) << ", dtype " << static_cast<int>(dtype) << "\n"
            << to_string(found);
        hidden += found.hidden ? 1 : 0;
      }
    }
  }
  EXPECT_LE(hidden, kRounds * 20 / 20) << "means of 100 standard deviations in 8 bits hide the layer, and little else";
}

/// Welford's updates have other errors than two passes: more of them where the mean is far from 0.
TEST(Diagnose, AccusesNoMomentsByUpdates) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (const float mean : {5.0F, 100.0F}) {
    for (int round = 0; round < 20; ++round) {
      constexpr std::size_t C = 8, N = 32;
      std::vector<double> x(N * C), var(C);
      std::vector<float> average(C), squares(C);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float v = mean + 0.1F * normal(random), before = v - average[i % C];
        x[i] = v;
        average[i % C] += before / static_cast<float>(i / C + 1);
        squares[i % C] += before * (v - average[i % C]);
      }
      for (std::size_t c = 0; c < C; ++c) var[c] = squares[c] / static_cast<float>(N);
      DiagnosisCase given{.shape = {N, C}, .x = x};
      given.results.var = var;
      EXPECT_TRUE(diagnose(given).right) << to_string(diagnose(given));
    }
  }
}

/// Every result is rounding of 0.
TEST(Diagnose, AccusesNoLayerOfConstantData) {
  const std::vector<double> x(72, 0.1), dy = [] {
    std::vector<double> made(72);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = std::sin(static_cast<double>(i));
    return made;
  }();
  double mean = 0, var = 0;
  for (const double v : x) mean += v / 72;
  for (const double v : x) var += (v - mean) * (v - mean) / 72;
  ASSERT_NE(0, var);
  std::vector<double> y(72), dgamma(1);
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = (x[i] - mean) / std::sqrt(var + 1e-5);
    dgamma[0] += dy[i] * y[i];
  }
  DiagnosisCase given{.shape = {72}, .dtype = DiagnosisDtype::float64, .x = x, .dy = dy};
  const std::vector<double> means{mean}, vars{var};
  given.results = {.y = y,
                   .dx = {},
                   .dgamma = dgamma,
                   .dbeta = {},
                   .mean = means,
                   .var = vars,
                   .rstd = {},
                   .running_mean = {},
                   .running_var = {}};
  EXPECT_TRUE(diagnose(given).right) << to_string(diagnose(given));
}

/// Tensors in float16, arithmetic in float.
TEST(Diagnose, GrantsWhatStoringCosts) {
  std::mt19937 random(9);
  const Round r = rounding(DiagnosisDtype::float16);
  Problem p = make(Operation::batch_norm, random, r);
  Plain made(p, rounding(DiagnosisDtype::float32), 0);
  for (double& v : made.y) v = r(v);
  p.c.x = p.x, p.c.dy = p.dy, p.c.gamma = p.gamma, p.c.beta = p.beta, p.c.results.y = made.y;
  EXPECT_FALSE(diagnose(p.c).right) << "float16 is not stored in float32";
  p.c.stored = {{"y", DiagnosisDtype::float16}};
  EXPECT_TRUE(diagnose(p.c).right) << to_string(diagnose(p.c));
}

/// What is granted to rounding has a bound: ordinary data in float, and in float16 with many values a channel.
TEST(Diagnose, GrantsNoMoreThanRounding) {
  for (const auto& [dtype, values, most] : {std::tuple(DiagnosisDtype::float32, std::int64_t{64}, 2e-6),
                                            std::tuple(DiagnosisDtype::float32, std::int64_t{4096}, 1e-5),
                                            std::tuple(DiagnosisDtype::float16, std::int64_t{64}, 0.02),
                                            std::tuple(DiagnosisDtype::float16, std::int64_t{4096}, 0.5)}) {
    const Round r = rounding(dtype);
    std::mt19937 random(11);
    std::normal_distribution<double> normal;
    std::vector<double> x(static_cast<std::size_t>(4 * values)), y(x.size());
    for (double& v : x) v = r(normal(random));
    DiagnosisCase given{.shape = {values, 4}, .dtype = dtype, .x = x};
    given.results.y = x;  // nearly normalized
    const DiagnosedTensor t = diagnose(given).tensors[0];
    EXPECT_LE(t.tolerance, most) << values;
    given.results.y = y;  // 0
    EXPECT_FALSE(diagnose(given).right) << values;
  }
}

/// y with the other sign, where sums in float16 lose every digit: wrong all the same. What nothing gives is hidden.
TEST(Diagnose, DoesNotCallRightWhatRoundingHides) {
  const Round r = rounding(DiagnosisDtype::float16);
  std::mt19937 random(12);
  std::normal_distribution<double> normal;
  std::vector<double> x(1 << 17), y(x.size());
  double mean = 0, square = 0;
  for (double& v : x) v = r(1 + normal(random)), mean += v / static_cast<double>(x.size());
  for (const double v : x) square += (v - mean) * (v - mean) / static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = r((mean - x[i]) / std::sqrt(square + 1e-5));
  DiagnosisCase given{.shape = {1 << 17}, .dtype = DiagnosisDtype::float16, .x = x};
  given.results.y = y;
  const Diagnosis found = diagnose(given);
  EXPECT_FALSE(found.right || found.hidden) << to_string(found);
  ASSERT_EQ(1U, found.explanations.size()) << to_string(found);
  EXPECT_EQ("x_hat_sign", found.explanations[0].mistakes[0].id);
  for (double& v : y) v *= -0.5;
  EXPECT_TRUE(diagnose(given).hidden) << to_string(diagnose(given));
}

/// A channel of small values beside one of large ones.
TEST(Diagnose, SeesAChannelThatIsWrongBesideALargeOne) {
  std::mt19937 random(13);
  std::normal_distribution<float> normal;
  constexpr std::size_t N = 256, C = 2;
  std::vector<double> x(N * C), var(C), mean(C);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % C == 0 ? 1e6F : 1.0F) * normal(random);
  for (std::size_t i = 0; i < x.size(); ++i) mean[i % C] += x[i] / N;
  for (std::size_t i = 0; i < x.size(); ++i) var[i % C] += (x[i] - mean[i % C]) * (x[i] - mean[i % C]) / N;
  DiagnosisCase given{.shape = {N, C}, .x = x};
  given.results.var = var;
  EXPECT_TRUE(diagnose(given).right) << to_string(diagnose(given));
  var[1] = 0;
  const Diagnosis found = diagnose(given);
  EXPECT_FALSE(found.right);
  EXPECT_EQ(1, found.tensors[0].worst);
}

/// The gradient of y.sum(): dx is 0, but for rounding.
TEST(Diagnose, JudgesAGradientThatIsRoundingOfZero) {
  std::mt19937 random(14);
  std::normal_distribution<float> normal;
  std::vector<double> x(64 * 3), dx(x.size()), dy(x.size(), 1.0);
  for (double& v : x) v = normal(random);
  for (double& v : dx) v = 1e-8 * normal(random);
  DiagnosisCase given{.shape = {64, 3}, .x = x, .dy = dy};
  given.results.dx = dx;
  EXPECT_TRUE(diagnose(given).right) << to_string(diagnose(given));
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0, var = 0;
    for (std::size_t n = 0; n < 64; ++n) mean += x[n * 3 + c] / 64;
    for (std::size_t n = 0; n < 64; ++n) var += (x[n * 3 + c] - mean) * (x[n * 3 + c] - mean) / 64;
    for (std::size_t n = 0; n < 64; ++n) dx[n * 3 + c] = 1 / std::sqrt(var + 1e-5);
  }
  const Diagnosis found = diagnose(given);
  ASSERT_FALSE(found.explanations.empty()) << to_string(found);
  EXPECT_EQ("mean_path_dropped", found.explanations[0].mistakes[0].id);
}

TEST(Diagnose, NamesALostTermInEveryOperation) {
  std::mt19937 random(4);
  int told = 0;
  for (int round = 0; round < 20; ++round) {
    for (const Operation operation : kOperations) {
      const Round r = rounding(DiagnosisDtype::float32);
      Problem p = make(operation, random, r);
      Plain made(p, r, 0);
      const double n = static_cast<double>(p.x.size() / p.groups);
      std::vector<double> products(p.groups);
      const auto scaled = [&](std::size_t i) { return p.gamma[p.parameter[i]] * p.dy[i]; };
      const auto x_hat = [&](std::size_t i) { return (p.x[i] - made.mean[p.group[i]]) * made.rstd[p.group[i]]; };
      for (std::size_t i = 0; i < p.x.size(); ++i) products[p.group[i]] += scaled(i) * x_hat(i);
      for (std::size_t i = 0; i < p.x.size(); ++i)
        made.dx[i] += made.rstd[p.group[i]] * x_hat(i) * products[p.group[i]] / n;
      p.c.x = p.x, p.c.dy = p.dy, p.c.gamma = p.gamma, p.c.beta = p.beta;
      p.c.results.dx = made.dx;
      const Diagnosis found = diagnose(p.c);
      if (found.tensors[0].tolerance > 1e-3) continue;  // two values a group have no gradient to speak of
      ASSERT_EQ(1U, found.explanations.size()) << to_string(found);
      EXPECT_EQ("variance_path_dropped", found.explanations[0].mistakes[0].id);
      ++told;
    }
  }
  EXPECT_GT(told, 80);
}

TEST(Diagnose, RefusesWhatDoesNotFit) {
  const std::vector<double> x(24, 1.0), short_one(23, 1.0);
  DiagnosisCase c;
  c.shape = {2, 3, 4}, c.x = x, c.dy = x;
  c.results.y = x;
  const auto with = [&](const auto& change) {
    DiagnosisCase changed = c;
    change(changed);
    return [changed] { (void)diagnose(changed); };
  };
  expect_error(ErrorCode::wrong_length, {"x has 23 elements, want 24"}, with([&](auto& d) { d.x = short_one; }));
  expect_error(ErrorCode::wrong_length, {"dy has 0 elements, want 24"},
               with([&](auto& d) { d.dy = {}, d.results.dx = x; }));
  expect_error(ErrorCode::wrong_length, {"gamma has 23 elements, want 3"}, with([&](auto& d) { d.gamma = short_one; }));
  expect_error(ErrorCode::bad_argument, {"no result is given"}, with([&](auto& d) { d.results.y = {}; }));
  expect_error(ErrorCode::bad_argument, {"shape has no axis"}, with([&](auto& d) { d.shape = {}; }));
  expect_error(ErrorCode::bad_argument, {"want no axis of 0"}, with([&](auto& d) { d.shape = {0, 3}; }));
  expect_error(ErrorCode::bad_argument, {"want no axis below 0"}, with([&](auto& d) { d.shape = {-2, 3}; }));
  expect_error(ErrorCode::overflow, {"want at most 2^40"}, with([&](auto& d) { d.shape = {1 << 30, 1 << 30}; }));
  expect_error(ErrorCode::bad_argument, {"eps is -1"}, with([&](auto& d) { d.eps = -1; }));
  expect_error(ErrorCode::bad_argument, {"momentum is nan"}, with([&](auto& d) { d.momentum = std::nan(""); }));
  expect_error(ErrorCode::bad_argument, {"groups is 2, want a divisor of C = 3"},
               with([&](auto& d) { d.operation = Operation::group_norm, d.groups = 2; }));
  expect_error(ErrorCode::too_few_values, {"a group has one value"}, with([&](auto& d) { d.shape = {1, 24}; }));
  expect_error(ErrorCode::bad_argument, {"want none but of batch_norm"},
               with([&](auto& d) { d.operation = Operation::layer_norm, d.inference = true; }));
}

}  // namespace
}  // namespace unitvar::test
