// The BatchNorm layer: training steps that move its parameters and running statistics, then evaluation.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "unitvar/unitvar.hpp"

namespace {

constexpr std::int64_t kBatch = 64, kChannels = 4;

// Channel c of the data has mean c and standard deviation c + 1.
std::vector<float> draw_batch(std::mt19937& random) {
  std::normal_distribution<double> normal;
  std::vector<float> x(kBatch * kChannels);
  for (std::size_t k = 0; k < x.size(); ++k) {
    const auto c = static_cast<double>(k % kChannels);
    x[k] = static_cast<float>(c + (c + 1) * normal(random));
  }
  return x;
}

// One step of gradient descent on L = sum((y - 2)^2) / 2, which is least for gamma = 0, beta = 2.
void train_step(unitvar::BatchNorm<float>& layer, const unitvar::Extent& extent, const std::vector<float>& x) {
  std::vector<float> y(x.size()), dy(x.size());
  layer.forward(extent, x, y);
  for (std::size_t k = 0; k < y.size(); ++k) dy[k] = y[k] - 2;
  layer.backward(extent, x, dy, {});
  for (std::size_t c = 0; c < kChannels; ++c) {
    layer.gamma()[c] -= 0.1F / kBatch * layer.dgamma()[c];
    layer.beta()[c] -= 0.1F / kBatch * layer.dbeta()[c];
  }
}

}  // namespace

int main() {
  const auto extent = unitvar::Extent::nc(kBatch, kChannels);
  unitvar::BatchNorm<float> layer(kChannels, {.running = {.momentum = 0.05}});
  std::mt19937 random(1);
  for (int step = 0; step < 200; ++step) train_step(layer, extent, draw_batch(random));

  layer.eval();
  const std::vector<float> one_sample = {0, 1, 2, 3};  // the mean of every channel
  std::vector<float> y(kChannels);
  layer.forward(unitvar::Extent::nc(1, kChannels), one_sample, y);

  bool good = true;
  for (std::size_t c = 0; c < kChannels; ++c) {
    const double mean = layer.running_mean()[c], std = std::sqrt(layer.running_var()[c]);
    std::printf("channel %zu: running mean %.2f  running std %.2f  gamma %+.4f  beta %.4f  y %.3f\n", c, mean, std,
                double(layer.gamma()[c]), double(layer.beta()[c]), double(y[c]));
    const auto n = static_cast<double>(c);
    good = good && std::abs(mean - n) < 0.3 * (n + 1) && std::abs(std - (n + 1)) < 0.2 * (n + 1);
    good = good && std::abs(y[c] - 2) < 0.01;
  }
  return good && layer.batches_tracked() == 200 ? 0 : 1;
}
