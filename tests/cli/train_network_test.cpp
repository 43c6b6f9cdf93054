#include "train/network.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>

#include "train/random.hpp"
#include "train/softmax.hpp"

namespace unitvar::testing {
namespace {

using train::Activation;
using train::Architecture;
using train::Network;

constexpr std::int64_t batch = 7;

Architecture tiny(bool batch_norm, Activation activation = Activation::sigmoid) {
  return {.inputs = 6, .hidden = {5, 4}, .classes = 3, .activation = activation, .batch_norm = batch_norm};
}

template <class T>
struct Batch {
  std::vector<T> x = std::vector<T>(batch * 6);
  std::vector<std::uint8_t> labels = std::vector<std::uint8_t>(batch);
  explicit Batch(std::uint64_t seed) {
    train::Random random(seed, 99);
    for (T& value : x) value = static_cast<T>(random.uniform());
    for (std::uint8_t& label : labels) label = static_cast<std::uint8_t>(random.below(3));
  }
};

std::span<double> doubles(const train::Tensor& tensor) {
  return {reinterpret_cast<double*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(double)};
}

bool is_parameter(const std::string& name) {
  return name.ends_with("weight") || name.ends_with("bias") || name.ends_with("gamma") || name.ends_with("beta");
}

template <class T>
std::string bits_of(Network<T>& network) {
  std::string bits;
  for (const train::Tensor& tensor : network.tensors()) {
    bits.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return bits;
}

class NetworkGradient : public ::testing::TestWithParam<std::tuple<bool, Activation>> {};

// A step of length 1 moves each parameter by minus its gradient.
TEST_P(NetworkGradient, MatchesNumericDifferentiationInEveryParameter) {
  const auto [batch_norm, activation] = GetParam();
  const Batch<double> data(1);
  Network<double> network(tiny(batch_norm, activation), batch, 4);
  Network<double> moved = network;
  moved.train_step(data.x, data.labels, 1.0);
  const std::vector<train::Tensor> before = network.tensors(), after = moved.tensors();
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!is_parameter(before[i].name)) continue;
    double largest = 0;
    for (std::size_t j = 0; j < doubles(before[i]).size(); ++j) {
      double& value = doubles(before[i])[j];
      const double analytic = value - doubles(after[i])[j];
      const double kept = value;
      value = kept + h;
      const double up = network.training_loss(data.x, data.labels);
      value = kept - h;
      const double down = network.training_loss(data.x, data.labels);
      value = kept;
      EXPECT_NEAR(analytic, (up - down) / (2 * h), 1e-9) << before[i].name << " " << j;
      largest = std::max(largest, std::abs(analytic));
    }
    EXPECT_GT(largest, 1e-6) << before[i].name << ": nothing was tested";
  }
}

std::string gradient_case(const ::testing::TestParamInfo<NetworkGradient::ParamType>& instance) {
  const auto& [batch_norm, activation] = instance.param;
  return std::string(train::activation_name(activation)) + (batch_norm ? "Batch" : "None");
}

INSTANTIATE_TEST_SUITE_P(All, NetworkGradient,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(Activation::sigmoid, Activation::tanh, Activation::relu)),
                         gradient_case);

TEST(TrainNetwork, HasNoBiasWhereANormFollows) {
  Network<float> plain(tiny(false), batch, 1), normalized(tiny(true), batch, 1);
  const auto names = [](Network<float>& network) {
    std::string all;
    for (const train::Tensor& tensor : network.tensors()) all += tensor.name + " ";
    return all;
  };
  EXPECT_EQ(names(plain), "linear.0.weight linear.0.bias linear.1.weight linear.1.bias linear.2.weight linear.2.bias ");
  EXPECT_EQ(names(normalized),
            "linear.0.weight norm.0.gamma norm.0.beta norm.0.running_mean norm.0.running_var norm.0.batches_tracked "
            "linear.1.weight norm.1.gamma norm.1.beta norm.1.running_mean norm.1.running_var norm.1.batches_tracked "
            "linear.2.weight linear.2.bias ");
}

TEST(TrainNetwork, BeginsWithTheSameWeightsWithAndWithoutNorm) {
  Network<float> plain(tiny(false), batch, 1), normalized(tiny(true), batch, 1), other(tiny(true), batch, 2);
  const auto weights = [](Network<float>& network) {
    std::string bits;
    for (const train::Tensor& tensor : network.tensors()) {
      if (!tensor.name.ends_with("weight")) continue;
      bits.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    }
    return bits;
  };
  EXPECT_EQ(weights(plain), weights(normalized));
  EXPECT_NE(weights(other), weights(normalized));
}

TEST(TrainNetwork, TrainedTwiceHasTheSameBits) {
  for (bool batch_norm : {false, true}) {
    Network<float> first(tiny(batch_norm), batch, 1), second(tiny(batch_norm), batch, 1);
    const std::string untrained = bits_of(first);
    for (std::uint64_t step = 0; step < 20; ++step) {
      const Batch<float> data(step);
      EXPECT_EQ(first.train_step(data.x, data.labels, 0.5F), second.train_step(data.x, data.labels, 0.5F));
    }
    EXPECT_EQ(bits_of(first), bits_of(second));
    EXPECT_NE(bits_of(first), untrained);
  }
}

TEST(TrainNetwork, LowersTheLossOfABatchItSeesAgain) {
  for (bool batch_norm : {false, true}) {
    Network<double> network(tiny(batch_norm), batch, 1);
    const Batch<double> data(1);
    const double before = network.training_loss(data.x, data.labels);
    for (int step = 0; step < 200; ++step) network.train_step(data.x, data.labels, 0.5);
    EXPECT_LT(network.training_loss(data.x, data.labels), before - 0.1) << batch_norm;
  }
}

TEST(TrainNetwork, InfersByBatchStatisticsWhatItTrainsOn) {
  Network<double> network(tiny(true), batch, 1);
  const Batch<double> data(1);
  for (int step = 0; step < 5; ++step) network.train_step(data.x, data.labels, 0.5);
  train::InferenceBuffers<double> buffers;
  std::vector<double> logits(batch * 3), watched(batch);
  network.infer(data.x, train::Statistics::batch, buffers, logits, watched);
  const double loss = train::softmax_cross_entropy(std::span(logits), data.labels, std::ssize(data.labels));
  EXPECT_NEAR(loss, network.training_loss(data.x, data.labels), 1e-12);
  network.infer(data.x, train::Statistics::running, buffers, logits, {});
  EXPECT_GT(std::abs(train::softmax_cross_entropy(std::span(logits), data.labels, std::ssize(data.labels)) - loss),
            1e-6);
}

TEST(TrainNetwork, WatchesTheInputOfTheFirstUnitOfTheLastHiddenLayer) {
  Network<double> network(tiny(true), batch, 1);
  const Batch<double> data(1);
  train::InferenceBuffers<double> buffers;
  std::vector<double> logits(batch * 3), watched(batch);
  network.infer(data.x, train::Statistics::batch, buffers, logits, watched);
  double sum = 0, squares = 0;
  for (double value : watched) {
    sum += value;
    squares += value * value;
  }
  // Behind the norm of a new network: mean 0, variance nearly 1 (eps).
  EXPECT_NEAR(sum, 0, 1e-12);
  EXPECT_GT(squares / batch, 0.9);
  EXPECT_LT(squares / batch, 1);
}

TEST(TrainNetwork, InferenceOfSlicesIsThatOfTheWhole) {
  Network<double> network(tiny(true), batch, 1);
  const Batch<double> data(1);
  for (int step = 0; step < 5; ++step) network.train_step(data.x, data.labels, 0.5);
  train::InferenceBuffers<double> buffers;
  std::vector<double> whole(batch * 3), part(3 * 3);
  network.infer(data.x, train::Statistics::running, buffers, whole, {});
  network.infer(std::span(data.x).subspan(2 * 6, 3 * 6), train::Statistics::running, buffers, part, {});
  for (std::size_t i = 0; i < part.size(); ++i) EXPECT_NEAR(part[i], whole[2 * 3 + i], 1e-13);
}

TEST(SoftmaxCrossEntropy, SurvivesLargeLogits) {
  std::vector<float> logits = {1000, 0, -1000, 0, 1000, 0};
  const std::vector<std::uint8_t> labels = {0, 2};
  EXPECT_EQ(train::count_correct(std::span<const float>(logits), labels), 1);
  EXPECT_NEAR(train::softmax_cross_entropy(std::span(logits), labels, std::ssize(labels)), 500, 1e-3);
  EXPECT_EQ(logits, (std::vector<float>{0, 0, 0, 0, 0.5F, -0.5F}));
}

class ActivationFunction : public ::testing::TestWithParam<Activation> {
 protected:
  static std::vector<float> apply(const std::vector<float>& x) {
    std::vector<float> y(x.size());
    train::activate(GetParam(), std::span(x), y);
    return y;
  }
};

TEST_P(ActivationFunction, IsThatOfTheCLibraryToAFewUnitsInTheLastPlace) {
  std::vector<float> x;
  for (float value = -120; value <= 120; value += 0.0371F) x.push_back(value);
  const std::vector<double> wide(x.begin(), x.end());
  std::vector<double> wanted(x.size());
  train::activate(GetParam(), std::span(wide), wanted);
  const std::vector<float> y = apply(x);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], wanted[i], 4e-7 * std::abs(wanted[i]) + 1e-38) << x[i];
}

TEST_P(ActivationFunction, KeepsNanAndKnowsInfinity) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t length : {1U, 8U, 9U}) {
    std::vector<float> x(length, 0.25F);
    x.back() = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(apply(x).back())) << length;
  }
  const float top = GetParam() == Activation::relu ? infinity : 1;
  const float bottom = GetParam() == Activation::tanh ? -1.0F : 0.0F;
  EXPECT_EQ(apply({infinity}).front(), top);
  EXPECT_NEAR(apply({-infinity}).front(), bottom, 1e-37);
}

INSTANTIATE_TEST_SUITE_P(All, ActivationFunction,
                         ::testing::Values(Activation::sigmoid, Activation::tanh, Activation::relu),
                         [](const auto& one) { return std::string(train::activation_name(one.param)); });

}  // namespace
}  // namespace unitvar::testing
