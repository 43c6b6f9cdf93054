#pragma once
#include <span>

namespace unitvar::train {

/// 1 / (1 + exp(-x)) and tanh(x) on the best instruction set of the machine; y may be x.
void sigmoid_simd(std::span<const float> x, std::span<float> y);
void tanh_simd(std::span<const float> x, std::span<float> y);

}  // namespace unitvar::train
