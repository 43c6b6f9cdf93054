#include "bench/naive_batch_norm.hpp"

#include <cmath>

namespace unitvar::bench {

void naive_forward(const NaiveShape& shape, std::span<const float> x, std::span<const float> gamma,
                   std::span<const float> beta, float eps, std::span<float> y, std::span<float> mean,
                   std::span<float> rstd, int threads) {
  const std::size_t images = shape.images, channels = shape.channels, pixels = shape.pixels;
  const auto n = static_cast<double>(images * pixels);
#pragma omp parallel for num_threads(threads)
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::size_t image = 0; image < images; ++image) {
      const float* row = &x[(image * channels + c) * pixels];
      for (std::size_t i = 0; i < pixels; ++i) sum += row[i];
    }
    const double mu = sum / n;
    double squares = 0;
    for (std::size_t image = 0; image < images; ++image) {
      const float* row = &x[(image * channels + c) * pixels];
      for (std::size_t i = 0; i < pixels; ++i) squares += (row[i] - mu) * (row[i] - mu);
    }
    mean[c] = static_cast<float>(mu);
    rstd[c] = static_cast<float>(1 / std::sqrt(squares / n + eps));
    for (std::size_t image = 0; image < images; ++image) {
      const std::size_t first = (image * channels + c) * pixels;
      for (std::size_t i = first; i < first + pixels; ++i) y[i] = gamma[c] * ((x[i] - mean[c]) * rstd[c]) + beta[c];
    }
  }
}

void naive_backward(const NaiveShape& shape, std::span<const float> x, std::span<const float> dy,
                    std::span<const float> gamma, std::span<const float> mean, std::span<const float> rstd,
                    std::span<float> dx, std::span<float> dgamma, std::span<float> dbeta, int threads) {
  const std::size_t images = shape.images, channels = shape.channels, pixels = shape.pixels;
  const auto n = static_cast<float>(images * pixels);
#pragma omp parallel for num_threads(threads)
  for (std::size_t c = 0; c < channels; ++c) {
    double sum_dy = 0;
    double sum_dy_x_hat = 0;
    for (std::size_t image = 0; image < images; ++image) {
      const std::size_t first = (image * channels + c) * pixels;
      for (std::size_t i = first; i < first + pixels; ++i) {
        sum_dy += dy[i];
        sum_dy_x_hat += dy[i] * ((x[i] - mean[c]) * rstd[c]);
      }
    }
    dbeta[c] = static_cast<float>(sum_dy);
    dgamma[c] = static_cast<float>(sum_dy_x_hat);
    for (std::size_t image = 0; image < images; ++image) {
      const std::size_t first = (image * channels + c) * pixels;
      for (std::size_t i = first; i < first + pixels; ++i) {
        const float x_hat = (x[i] - mean[c]) * rstd[c];
        dx[i] = gamma[c] * rstd[c] / n * (n * dy[i] - dbeta[c] - x_hat * dgamma[c]);
      }
    }
  }
}

}  // namespace unitvar::bench
