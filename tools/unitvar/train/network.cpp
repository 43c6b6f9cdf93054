#include "train/network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/stopwatch.hpp"
#include "train/matrix.hpp"
#include "train/random.hpp"
#include "train/softmax.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar::train {
namespace {

constexpr double weight_deviation = 0.1;
constexpr double norm_eps = 1e-5;
constexpr double norm_momentum = 0.1;

std::size_t product(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); }

template <class T>
void add_rows(std::span<const T> bias, std::span<T> y) {
  for (std::size_t row = 0; row < y.size(); row += bias.size()) {
    for (std::size_t i = 0; i < bias.size(); ++i) y[row + i] += bias[i];
  }
}

// values -= lr * (sum of the rows of dy)
template <class T>
void descend_rows(T lr, std::span<const T> dy, std::span<T> values) {
  for (std::size_t row = 0; row < dy.size(); row += values.size()) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= lr * dy[row + i];
  }
}

template <class T>
void descend(T lr, std::span<const T> gradient, std::span<T> values) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= lr * gradient[i];
}

template <class T>
void copy_column(std::span<const T> rows, std::int64_t width, std::span<T> column) {
  for (std::size_t i = 0; i < column.size(); ++i) column[i] = rows[i * static_cast<std::size_t>(width)];
}

// One thread: a batch of 60 x 100 is no work to share, and the networks already share the machine.
BatchNormConfig norm_config(Communicator* communicator) {
  BatchNormConfig config;
  config.eps = norm_eps;
  config.running.momentum = norm_momentum;
  config.options.cpu.threads = 1;
  config.options.communicator = communicator;
  return config;
}

}  // namespace

template <class T>
Network<T>::Network(const Architecture& architecture, std::int64_t batch, std::uint64_t seed, Ranks* ranks,
                    bool synchronized)
    : architecture_(architecture), ranks_(ranks), all_rows_(batch), batch_(batch) {
  Communicator* const communicator = shares() && synchronized ? ranks->communicator() : nullptr;
  if (shares()) batch_ = ranks->end(batch) - ranks->begin(batch);
  std::int64_t in = architecture.inputs;
  for (std::size_t i = 0; i <= architecture.hidden.size(); ++i) {
    Layer& layer = layers_.emplace_back();
    layer.hidden = i < architecture.hidden.size();
    layer.in = in;
    layer.out = layer.hidden ? architecture.hidden[i] : architecture.classes;
    layer.weight.resize(product(layer.out, layer.in));
    if (layer.hidden && architecture.batch_norm) {
      layer.norm.emplace(layer.out, norm_config(communicator));
      layer.linear.resize(product(batch_, layer.out));
    } else {
      layer.bias.resize(static_cast<std::size_t>(layer.out));
    }
    layer.active.resize(product(batch_, layer.out));
    if (layer.hidden) layer.delta.resize(layer.active.size());
    in = layer.out;
  }
  draw_weights(seed);
}

template <class T>
void Network<T>::draw_weights(std::uint64_t seed) {
  Random random(seed, 0);
  for (Layer& layer : layers_) {
    for (T& value : layer.weight) value = static_cast<T>(weight_deviation * random.normal());
  }
}

template <class T>
double Network<T>::train_step(std::span<const T> x, std::span<const std::uint8_t> labels, T lr) {
  const double loss = training_loss(x, labels);
  backward(x, lr);
  return loss;
}

template <class T>
double Network<T>::training_loss(std::span<const T> x, std::span<const std::uint8_t> labels) {
  forward(x);
  return softmax_cross_entropy(std::span<T>(layers_.back().active), labels, all_rows_);
}

template <class T>
void Network<T>::forward(std::span<const T> x) {
  const T* input = x.data();
  for (Layer& layer : layers_) {
    forward_layer(layer, input);
    input = layer.active.data();
  }
}

template <class T>
void Network<T>::forward_layer(Layer& layer, const T* x) {
  const std::span<T> y(layer.active);
  if (layer.norm) {
    linear_forward({batch_, layer.in, layer.out}, x, layer.weight.data(), layer.linear.data());
    const tool::Stopwatch watch(norm_seconds_.forward);
    layer.norm->forward(Extent::nc(batch_, layer.out), layer.linear, y);
  } else {
    linear_forward({batch_, layer.in, layer.out}, x, layer.weight.data(), y.data());
    add_rows(std::span<const T>(layer.bias), y);
  }
  if (layer.hidden) activate(architecture_.activation, std::span<const T>(y), y);
}

template <class T>
auto Network<T>::parameters_of(Layer& layer) -> Parameters {
  Parameters all{layer.weight, layer.bias, {}, {}};
  if (layer.norm) all.gamma = layer.norm->gamma(), all.beta = layer.norm->beta();
  return all;
}

// All ranks' gradients, added, move the same parameters on each.
template <class T>
void Network<T>::descend_together(T lr) {
  ranks_->add(std::span<T>(gradients_));
  const T* gradient = gradients_.data();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Parameters to = parameters_of(layers_[i]);
    for (const std::span<T> values : {to.weight, to.bias, to.gamma, to.beta}) {
      train::descend<T>(lr, {gradient, values.size()}, values);
      gradient += values.size();
    }
  }
}

template <class T>
void Network<T>::backward(std::span<const T> x, T lr) {
  if (shares()) gradients_.clear();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    if (layer.hidden) backward_layer(layer);
    const std::vector<T>& delta = layer.hidden ? layer.delta : layer.active;
    // Before the weights move.
    if (i > 0) {
      linear_backward({batch_, layer.in, layer.out}, delta.data(), layer.weight.data(), layers_[i - 1].delta.data());
    }
    const T* input = i > 0 ? layers_[i - 1].active.data() : x.data();
    Parameters to = parameters_of(layer);
    if (!shares()) {
      descend(layer, input, lr, to);
      continue;
    }
    // Descent by -1 from 0 is the gradient.
    const std::size_t begin = gradients_.size();
    gradients_.resize(begin + to.weight.size() + to.bias.size() + to.gamma.size() + to.beta.size());
    T* part = gradients_.data() + begin;
    for (std::span<T>* values : {&to.weight, &to.bias, &to.gamma, &to.beta}) {
      *values = {part, values->size()};
      part += values->size();
    }
    descend(layer, input, T{-1}, to);
  }
  if (shares()) descend_together(lr);
}

// From the gradient at the activation's output to that at the linear layer's output.
template <class T>
void Network<T>::backward_layer(Layer& layer) {
  const std::span<T> delta(layer.delta);
  activation_backward(architecture_.activation, std::span<const T>(layer.active), delta);
  if (!layer.norm) return;
  const tool::Stopwatch watch(norm_seconds_.backward);
  layer.norm->backward(Extent::nc(batch_, layer.out), layer.linear, delta, delta);
}

template <class T>
void Network<T>::descend(Layer& layer, const T* x, T lr, const Parameters& to) {
  const std::vector<T>& delta = layer.hidden ? layer.delta : layer.active;
  linear_descend({batch_, layer.in, layer.out}, lr, x, delta.data(), to.weight.data());
  if (layer.norm) {
    train::descend<T>(lr, layer.norm->dgamma(), to.gamma);
    train::descend<T>(lr, layer.norm->dbeta(), to.beta);
  } else {
    descend_rows<T>(lr, delta, to.bias);
  }
}

template <class T>
void Network<T>::infer(std::span<const T> x, Statistics statistics, InferenceBuffers<T>& buffers, std::span<T> logits,
                       std::span<T> watched) {
  const auto rows = static_cast<std::int64_t>(x.size()) / architecture_.inputs;
  const std::size_t largest = product(rows, *std::ranges::max_element(architecture_.hidden));
  for (std::vector<T>* buffer : {&buffers.linear, &buffers.front, &buffers.back}) buffer->resize(largest);
  const T* input = x.data();
  for (Layer& layer : layers_) {
    const std::span<T> y = layer.hidden ? std::span(buffers.back).first(product(rows, layer.out)) : logits;
    infer_layer(layer, statistics, input, buffers.linear, y);
    if (&layer + 1 == &layers_.back()) copy_column(std::span<const T>(y), layer.out, watched);
    if (layer.hidden) activate(architecture_.activation, std::span<const T>(y), y);
    buffers.front.swap(buffers.back);
    input = y.data();
  }
}

template <class T>
void Network<T>::infer_layer(Layer& layer, Statistics statistics, const T* x, std::span<T> linear, std::span<T> y) {
  const std::int64_t rows = static_cast<std::int64_t>(y.size()) / layer.out;
  if (!layer.norm) {
    linear_forward({rows, layer.in, layer.out}, x, layer.weight.data(), y.data());
    add_rows(std::span<const T>(layer.bias), y);
    return;
  }
  linear = linear.first(y.size());
  linear_forward({rows, layer.in, layer.out}, x, layer.weight.data(), linear.data());
  // The free functions: several threads may not call one BatchNorm.
  BatchNorm<T>& norm = *layer.norm;
  const Extent extent = Extent::nc(rows, layer.out);
  const BatchNormConfig& config = norm.config();
  Options options = config.options;
  options.communicator = nullptr;  // one rank infers alone
  if (statistics == Statistics::batch) {
    batch_norm_forward<T>(
        {.extent = extent, .x = linear, .gamma = norm.gamma(), .beta = norm.beta(), .y = y, .eps = config.eps},
        options);
  } else {
    batch_norm_inference<T>({.extent = extent,
                             .x = linear,
                             .mean = norm.running_mean(),
                             .var = norm.running_var(),
                             .gamma = norm.gamma(),
                             .beta = norm.beta(),
                             .y = y,
                             .eps = config.eps},
                            options);
  }
}

template <class T>
std::vector<Tensor> Network<T>::tensors() {
  std::vector<Tensor> all;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    all.push_back(make_tensor(fmt::format("linear.{}.weight", i), {layer.out, layer.in}, std::span(layer.weight)));
    if (!layer.norm) {
      all.push_back(make_tensor(fmt::format("linear.{}.bias", i), {layer.out}, std::span(layer.bias)));
      continue;
    }
    BatchNorm<T>& norm = *layer.norm;
    all.push_back(make_tensor(fmt::format("norm.{}.gamma", i), {layer.out}, norm.gamma()));
    all.push_back(make_tensor(fmt::format("norm.{}.beta", i), {layer.out}, norm.beta()));
    all.push_back(make_tensor(fmt::format("norm.{}.running_mean", i), {layer.out}, norm.running_mean()));
    all.push_back(make_tensor(fmt::format("norm.{}.running_var", i), {layer.out}, norm.running_var()));
    all.push_back(make_scalar(fmt::format("norm.{}.batches_tracked", i), norm.batches_tracked()));
  }
  return all;
}

template class Network<float>;
template class Network<double>;

}  // namespace unitvar::train
