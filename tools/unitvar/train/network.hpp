#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "train/activation.hpp"
#include "train/ranks.hpp"
#include "train/safetensors.hpp"
#include "unitvar/batch_norm_layer.hpp"

namespace unitvar::train {

struct Architecture {
  std::int64_t inputs = 0;
  std::vector<std::int64_t> hidden;
  std::int64_t classes = 10;
  Activation activation = Activation::sigmoid;
  bool batch_norm = false;  ///< before each hidden activation; the linear layer before it then has no bias
};

/// Seconds spent in the calls of batch normalization while training.
struct NormSeconds {
  double forward = 0, backward = 0;
};

/// By which statistics an inference normalizes: the running ones, or those of the rows in hand, as in training.
enum class Statistics { running, batch };

/// Memory of one inference; one for each thread that infers.
template <class T>
struct InferenceBuffers {
  std::vector<T> linear, front, back;
};

/// A fully connected classifier trained by plain stochastic gradient descent on softmax cross-entropy.
template <class T>
class Network {
 public:
  /// Weights are normal with deviation 0.1, drawn from the seed: the same ones whether batch_norm or not. Biases and
  /// beta are 0, gamma is 1. `batch` is the number of rows of every training step, on all ranks together. Where there
  /// are several ranks, `synchronized` says whether batch normalization takes the statistics of all. `ranks` outlives
  /// the network.
  Network(const Architecture& architecture, std::int64_t batch, std::uint64_t seed, Ranks* ranks = nullptr,
          bool synchronized = true);

  /// One step of descent on this rank's rows of a batch (x is rows x inputs); returns their part of the loss before it.
  /// Where there is one rank, no memory is allocated.
  double train_step(std::span<const T> x, std::span<const std::uint8_t> labels, T lr);

  /// The loss of a batch in training mode, nothing changed but running statistics.
  double training_loss(std::span<const T> x, std::span<const std::uint8_t> labels);

  /// Logits of the rows of x; if `watched` is not empty, also each row's input to the first unit of the last hidden
  /// activation. Only reads the network: several threads may call it at a time, each with its own buffers.
  void infer(std::span<const T> x, Statistics statistics, InferenceBuffers<T>& buffers, std::span<T> logits,
             std::span<T> watched);

  /// Everything that training changes, by name, for reading and writing.
  std::vector<Tensor> tensors();

  [[nodiscard]] const Architecture& architecture() const { return architecture_; }
  [[nodiscard]] NormSeconds& norm_seconds() { return norm_seconds_; }

 private:
  struct Layer {
    std::int64_t in = 0, out = 0;
    bool hidden = true;
    std::vector<T> weight, bias;  // bias: empty where a norm follows
    std::optional<BatchNorm<T>> norm;
    std::vector<T> linear;  // the norm's input, batch x out; empty without a norm
    std::vector<T> active;  // after the activation; in the last layer the logits and then their gradient
    std::vector<T> delta;   // gradient with respect to active, then to the linear layer's output
  };

  void draw_weights(std::uint64_t seed);
  void forward(std::span<const T> x);
  void forward_layer(Layer& layer, const T* x);
  void backward(std::span<const T> x, T lr);
  void backward_layer(Layer& layer);
  /// What training moves of a layer, or the gradients of that.
  struct Parameters {
    std::span<T> weight, bias, gamma, beta;
  };
  static Parameters parameters_of(Layer& layer);
  void descend(Layer& layer, const T* x, T lr, const Parameters& to);
  void descend_together(T lr);
  void infer_layer(Layer& layer, Statistics statistics, const T* x, std::span<T> linear, std::span<T> y);

  [[nodiscard]] bool shares() const { return ranks_ != nullptr && ranks_->are_many(); }

  Architecture architecture_;
  Ranks* ranks_;
  std::int64_t all_rows_, batch_;  // of a training step: on all ranks, on this one
  std::vector<T> gradients_;       // of all layers' parameters, where ranks add them
  std::vector<Layer> layers_;
  NormSeconds norm_seconds_;
};

}  // namespace unitvar::train
