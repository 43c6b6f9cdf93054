// Folding into the map before, by running that map and batch_norm_inference after it.
#include "unitvar/fold.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/measure.hpp"
#include "support/problem.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar::test {
namespace {

using std::int64_t;
using Sides = std::array<int64_t, 3>;  // D, H, W; 1 where there are fewer spatial axes

int64_t volume(const Sides& s) { return s[0] * s[1] * s[2]; }

template <class F>
void for_each_place(const Sides& sides, const F& f) {
  for (int64_t d = 0; d < sides[0]; ++d) {
    for (int64_t h = 0; h < sides[1]; ++h) {
      for (int64_t w = 0; w < sides[2]; ++w) f(Sides{d, h, w});
    }
  }
}

int64_t place(const Sides& at, const Sides& sides) { return (at[0] * sides[1] + at[1]) * sides[2] + at[2]; }

/// A convolution with stride 1 that sees zeros around its input, or a transposed one: each input place meets the output
/// places up to kernel - 1 beyond it.
struct Convolution {
  std::string name;
  bool transposed;
  int64_t groups, inputs, outputs;
  std::vector<int64_t> kernel;

  [[nodiscard]] Sides sides_of_kernel() const {
    Sides sides{1, 1, 1};
    for (std::size_t k = 0; k < kernel.size(); ++k) sides[3 - kernel.size() + k] = kernel[k];
    return sides;
  }
  [[nodiscard]] Sides input() const {
    Sides sides{1, 1, 1};
    for (std::size_t k = 0; k < kernel.size(); ++k) sides[2 - k] = 4 + static_cast<int64_t>(k);
    return sides;
  }
  [[nodiscard]] Sides output() const {
    Sides sides = input();
    for (std::size_t k = 0; k < 3; ++k) sides[k] += sides_of_kernel()[k] - 1;
    return sides;
  }
  /// [O, I/g, k...], or [I, O/g, k...] if transposed.
  [[nodiscard]] std::vector<int64_t> shape() const {
    std::vector<int64_t> s = transposed ? std::vector{inputs, outputs / groups} : std::vector{outputs, inputs / groups};
    s.insert(s.end(), kernel.begin(), kernel.end());
    return s;
  }
  [[nodiscard]] WeightExtent extent() const {
    return transposed ? WeightExtent::transposed_convolution(shape(), groups) : WeightExtent::convolution(shape());
  }
  [[nodiscard]] int64_t weight_row(int64_t in, int64_t out) const {
    return transposed ? in * (outputs / groups) + out % (outputs / groups)
                      : out * (inputs / groups) + in % (inputs / groups);
  }

  /// All outputs of one input image.
  template <class T>
  [[nodiscard]] std::vector<double> run(const std::vector<double>& x, const std::vector<T>& weight,
                                        const std::vector<param_t<T>>& bias) const {
    const Sides from = input(), to = output(), k = sides_of_kernel();
    std::vector<double> y(to_size(outputs * volume(to)));
    for (int64_t out = 0; out < outputs; ++out) {
      double* const image = y.data() + out * volume(to);
      std::fill_n(image, volume(to), bias.empty() ? 0.0 : static_cast<double>(bias[to_size(out)]));
      for (int64_t in = 0; in < inputs; ++in) {
        if (in / (inputs / groups) != out / (outputs / groups)) continue;
        for_each_place(from, [&](const Sides& a) {
          for_each_place(k, [&](const Sides& b) {
            const Sides turned{k[0] - 1 - b[0], k[1] - 1 - b[1], k[2] - 1 - b[2]};
            const int64_t w = weight_row(in, out) * volume(k) + place(transposed ? b : turned, k);
            image[place({a[0] + b[0], a[1] + b[1], a[2] + b[2]}, to)] +=
                x[to_size(in * volume(from) + place(a, from))] * static_cast<double>(weight[to_size(w)]);
          });
        });
      }
    }
    return y;
  }
};

std::vector<Convolution> convolutions() {
  return {{"linear", false, 1, 7, 5, {}},
          {"1d", false, 1, 4, 6, {3}},
          {"2d", false, 1, 3, 4, {3, 2}},
          {"2d in groups", false, 3, 6, 9, {2, 2}},
          {"depthwise", false, 4, 4, 4, {3, 3}},
          {"3d", false, 2, 4, 2, {2, 3, 2}},
          {"linear transposed", true, 1, 7, 5, {}},
          {"1d transposed", true, 1, 4, 6, {3}},
          {"2d transposed in groups", true, 2, 6, 4, {3, 2}},
          {"3d transposed in groups", true, 3, 3, 6, {2, 1, 2}}};
}

template <class T>
struct Network {
  explicit Network(const Convolution& convolution) : c(convolution) {
    Random random(11);
    x = normal_values<double>(c.inputs * volume(c.input()), random);
    weight = normal_values<T>(c.extent().size(), random);
    bias = normal_values<param_t<T>>(c.outputs, random);
    gamma = normal_values<param_t<T>>(c.outputs, random, 1, 0.5);
    beta = normal_values<param_t<T>>(c.outputs, random);
    mean = normal_values<double>(c.outputs, random);
    for (int64_t o = 0; o < c.outputs; ++o) var.push_back(random.uniform(0.1, 4));
  }

  [[nodiscard]] BatchNormFold<T> fold(std::span<T> folded_weight, std::span<param_t<T>> folded_bias) const {
    return {.extent = c.extent(),
            .weight = weight,
            .bias = bias,
            .mean = mean,
            .var = var,
            .gamma = gamma,
            .beta = beta,
            .folded_weight = folded_weight,
            .folded_bias = folded_bias,
            .eps = 1e-3};
  }

  /// The map, then batch_norm_inference in double.
  [[nodiscard]] std::vector<double> want() const {
    std::vector<double> y = c.run(x, weight, bias);
    const std::vector<double> g(gamma.begin(), gamma.end()), b(beta.begin(), beta.end());
    batch_norm_inference<double>({.extent = {1, c.outputs, volume(c.output())},
                                  .x = y,
                                  .mean = mean,
                                  .var = var,
                                  .gamma = g,
                                  .beta = b,
                                  .y = y,
                                  .eps = 1e-3});
    return y;
  }

  Convolution c;
  std::vector<double> x, mean, var;
  std::vector<T> weight;
  std::vector<param_t<T>> bias, gamma, beta;
};

/// What rounding the folded weights and biases once leaves of y, where weights may cancel a little.
template <class T>
constexpr double fold_tolerance = 4 * (is_half<T>                 ? half_step<T>
                                       : std::is_same_v<T, float> ? 0x1p-24
                                                                  : 1e-15);

template <class T>
class Fold : public ::testing::Test {};
TYPED_TEST_SUITE(Fold, AllDtypes);

TYPED_TEST(Fold, GivesWhatTheMapAndInferenceAfterItGive) {
  using T = TypeParam;
  for (const Convolution& c : convolutions()) {
    for (const bool has_bias : {true, false}) {
      SCOPED_TRACE(c.name + (has_bias ? "" : ", without bias"));
      Network<T> n(c);
      if (!has_bias) n.bias.clear();
      std::vector<T> weight(n.weight.size());
      std::vector<param_t<T>> bias(to_size(c.outputs));
      batch_norm_fold<T>(n.fold(weight, bias));
      EXPECT_LE(relative_l2(c.run(n.x, weight, bias), n.want()), fold_tolerance<T>);
    }
  }
}

TYPED_TEST(Fold, InPlaceItGivesTheSameBits) {
  using T = TypeParam;
  for (const Convolution& c : convolutions()) {
    Network<T> n(c);
    std::vector<T> weight(n.weight.size());
    std::vector<param_t<T>> bias(n.bias.size());
    batch_norm_fold<T>(n.fold(weight, bias));
    batch_norm_fold<T>(n.fold(n.weight, n.bias));
    EXPECT_TRUE(same_bits(n.weight, weight)) << c.name;
    EXPECT_TRUE(same_bits(n.bias, bias)) << c.name;
  }
}

TEST(FoldCases, WeightsWhoseOutputIsLastFoldLikeThoseWhoseOutputIsFirst) {
  for (const Convolution& c : convolutions()) {
    if (c.transposed) continue;
    const Network<float> n(c);
    std::vector<float> first(n.weight.size()), last(n.weight.size()), turned(n.weight.size());
    std::vector<float> bias(to_size(c.outputs)), bias_last(to_size(c.outputs));
    const std::size_t O = to_size(c.outputs), rest = n.weight.size() / O;
    for (std::size_t k = 0; k < n.weight.size(); ++k) turned[k % rest * O + k / rest] = n.weight[k];
    batch_norm_fold<float>(n.fold(first, bias));
    auto args = n.fold(last, bias_last);
    std::vector<int64_t> shape = c.shape();
    std::rotate(shape.begin(), shape.begin() + 1, shape.end());
    args.extent = WeightExtent::convolution_output_last(shape), args.weight = turned;
    batch_norm_fold<float>(args);
    for (std::size_t k = 0; k < n.weight.size(); ++k) EXPECT_EQ(last[k % rest * O + k / rest], first[k]) << c.name;
    EXPECT_EQ(bias_last, bias);
  }
}

TEST(FoldCases, MakersDescribeTheUsualWeights) {
  const std::vector<int64_t> conv = {8, 3, 5, 7}, transposed = {6, 4, 3, 3};
  EXPECT_EQ(WeightExtent::linear(10, 20), (WeightExtent{1, {1, 10, 20}}));
  EXPECT_EQ(WeightExtent::convolution(conv), (WeightExtent{1, {1, 8, 105}}));
  EXPECT_EQ(WeightExtent::convolution_output_last(conv), (WeightExtent{1, {120, 7, 1}}));
  EXPECT_EQ(WeightExtent::transposed_convolution(transposed, 3), (WeightExtent{3, {2, 4, 9}}));
  EXPECT_EQ(WeightExtent::transposed_convolution(transposed, 3).channels(), 12);
}

TEST(FoldCases, ScaleAndShiftAreInference) {
  const Network<float> n(convolutions()[1]);
  std::vector<double> scale(6), shift(6), x(6), y(6);
  std::vector<float> scale_f32(6), shift_f32(6);
  batch_norm_scale_and_shift<float, double>(
      {.mean = n.mean, .var = n.var, .gamma = n.gamma, .beta = n.beta, .scale = scale, .shift = shift, .eps = 1e-3});
  batch_norm_scale_and_shift<float>({.mean = n.mean,
                                     .var = n.var,
                                     .gamma = n.gamma,
                                     .beta = n.beta,
                                     .scale = scale_f32,
                                     .shift = shift_f32,
                                     .eps = 1e-3});
  for (std::size_t c = 0; c < 6; ++c) {
    const double rstd = 1 / std::sqrt(n.var[c] + 1e-3), gamma = n.gamma[c], beta = n.beta[c];
    EXPECT_NEAR(scale[c], gamma * rstd, 1e-15);
    EXPECT_NEAR(2.5 * scale[c] + shift[c], gamma * (2.5 - n.mean[c]) * rstd + beta, 1e-14);
    EXPECT_EQ(scale_f32[c], static_cast<float>(scale[c]));
    EXPECT_EQ(shift_f32[c], static_cast<float>(shift[c]));
  }
}

TEST(FoldCases, AbsentParametersAreOneAndZero) {
  const std::vector<double> mean = {3}, var = {0.25};
  std::vector<double> weight = {1, 2}, bias = {0};
  batch_norm_fold<double>({.extent = WeightExtent::linear(1, 2),
                           .weight = weight,
                           .mean = mean,
                           .var = var,
                           .folded_weight = weight,
                           .folded_bias = bias,
                           .eps = 0});
  EXPECT_EQ(weight, (std::vector<double>{2, 4}));
  EXPECT_EQ(bias, (std::vector<double>{-6}));
}

TEST(FoldRefuses, WeightsThatAreNeitherTheSameNorApart) {
  std::vector<float> memory(7, 2.0F), bias(2);
  const std::vector<double> ones = {1, 1};
  const std::span<float> all(memory);
  expect_error(ErrorCode::overlap, {"folded_weight", "weight", "exactly"}, [&] {
    batch_norm_fold<float>({.extent = WeightExtent::linear(2, 3),
                            .weight = all.first(6),
                            .mean = ones,
                            .var = ones,
                            .folded_weight = all.last(6),
                            .folded_bias = bias});
  });
  EXPECT_EQ(memory, std::vector<float>(7, 2.0F));
}

TEST(FoldRefuses, BadShapes) {
  const std::vector<int64_t> one = {4}, zero = {4, 0}, odd = {5, 2, 3}, large(5, int64_t{1} << 14);
  expect_error(ErrorCode::bad_extent, {"WeightExtent::linear", "0"}, [] { (void)WeightExtent::linear(0, 3); });
  expect_error(ErrorCode::bad_extent, {"WeightExtent::convolution", "rank 1"},
               [&] { (void)WeightExtent::convolution(one); });
  expect_error(ErrorCode::bad_extent, {"convolution_output_last", "0"},
               [&] { (void)WeightExtent::convolution_output_last(zero); });
  expect_error(ErrorCode::overflow, {"convolution", "64 bits"}, [&] { (void)WeightExtent::convolution(large); });
  expect_error(ErrorCode::bad_argument, {"transposed_convolution", "groups", "2", "5"},
               [&] { (void)WeightExtent::transposed_convolution(odd, 2); });
}

}  // namespace
}  // namespace unitvar::test
