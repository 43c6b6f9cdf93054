#include "train/activation.hpp"

#include <algorithm>
#include <cmath>

#include "train/activation_simd.hpp"

namespace unitvar::train {
namespace {

template <class T>
void relu(std::span<const T> x, std::span<T> y) {
  // Written so that NaN stays NaN.
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] < 0 ? T{0} : x[i];
}

}  // namespace

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::tanh:
      return "tanh";
    case Activation::relu:
      return "relu";
  }
  return "";
}

void activate(Activation activation, std::span<const float> x, std::span<float> y) {
  switch (activation) {
    case Activation::sigmoid:
      return sigmoid_simd(x, y);
    case Activation::tanh:
      return tanh_simd(x, y);
    case Activation::relu:
      return relu(x, y);
  }
}

void activate(Activation activation, std::span<const double> x, std::span<double> y) {
  switch (activation) {
    case Activation::sigmoid:
      std::ranges::transform(x, y.begin(), [](double value) { return 1 / (1 + std::exp(-value)); });
      return;
    case Activation::tanh:
      std::ranges::transform(x, y.begin(), [](double value) { return std::tanh(value); });
      return;
    case Activation::relu:
      return relu(x, y);
  }
}

template <class T>
void activation_backward(Activation activation, std::span<const T> y, std::span<T> d) {
  switch (activation) {
    case Activation::sigmoid:
      for (std::size_t i = 0; i < d.size(); ++i) d[i] *= y[i] * (T{1} - y[i]);
      return;
    case Activation::tanh:
      for (std::size_t i = 0; i < d.size(); ++i) d[i] *= T{1} - y[i] * y[i];
      return;
    case Activation::relu:
      for (std::size_t i = 0; i < d.size(); ++i) d[i] = y[i] > 0 ? d[i] : T{0};
      return;
  }
}

template void activation_backward(Activation, std::span<const float>, std::span<float>);
template void activation_backward(Activation, std::span<const double>, std::span<double>);

}  // namespace unitvar::train
