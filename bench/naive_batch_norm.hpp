#pragma once
#include <cstddef>
#include <span>

/// Batch normalization of NCHW floats as a programmer who knows the formulas first writes it. Loops over channels,
/// images and pixels stand inside each other. The statistics take two passes, with sums in double.
namespace unitvar::bench {

struct NaiveShape {
  std::size_t images, channels, pixels;
};

/// y = gamma * (x - mean) * rstd + beta; also gives mean and rstd = 1 / sqrt(biased var + eps).
void naive_forward(const NaiveShape& shape, std::span<const float> x, std::span<const float> gamma,
                   std::span<const float> beta, float eps, std::span<float> y, std::span<float> mean,
                   std::span<float> rstd, int threads);

/// dx = gamma * rstd / N * (N dy - dbeta - x_hat * dgamma).
void naive_backward(const NaiveShape& shape, std::span<const float> x, std::span<const float> dy,
                    std::span<const float> gamma, std::span<const float> mean, std::span<const float> rstd,
                    std::span<float> dx, std::span<float> dgamma, std::span<float> dbeta, int threads);

}  // namespace unitvar::bench
