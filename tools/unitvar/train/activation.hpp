#pragma once
#include <span>
#include <string_view>

namespace unitvar::train {

enum class Activation { sigmoid, tanh, relu };

[[nodiscard]] std::string_view activation_name(Activation activation);

/// y = activation(x); y may be x. The float version of sigmoid and tanh is vectorized (Highway's Exp and Tanh, within
/// a few units in the last place); the double version calls the C library. NaN stays NaN.
void activate(Activation activation, std::span<const float> x, std::span<float> y);
void activate(Activation activation, std::span<const double> x, std::span<double> y);

/// d *= activation'(x), from y = activation(x): y (1 - y), 1 - y^2, or y > 0.
template <class T>
void activation_backward(Activation activation, std::span<const T> y, std::span<T> d);

}  // namespace unitvar::train
