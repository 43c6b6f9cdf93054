#pragma once
#include <cmath>

#include "bench/problem.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// The formulas as plain scalar loops without a check, a thread or a choice: what a call on a small tensor costs at
/// least. Each fills the outputs that the library's call fills.
template <class T>
void bare_forward(Problem<T>& p) {
  const auto [outer, channels, inner] = p.extent;
  const T* x = p.x.data();
  T* y = p.out.data();
  const auto count = static_cast<double>(outer * inner);
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0, m2 = 0;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) sum += static_cast<double>(x[(o * channels + c) * inner + i]);
    }
    const double mean = sum / count;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const double d = static_cast<double>(x[(o * channels + c) * inner + i]) - mean;
        m2 += d * d;
      }
    }
    const auto k = static_cast<std::size_t>(c);
    p.mean[k] = mean;
    p.var[k] = m2 / count;
    p.rstd[k] = 1 / std::sqrt(p.var[k] + eps);
    const double scale = p.gamma[k] * p.rstd[k], beta = p.beta[k];
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = (o * channels + c) * inner + i;
        y[at] = static_cast<T>((static_cast<double>(x[at]) - mean) * scale + beta);
      }
    }
  }
}

template <class T>
void bare_inference(Problem<T>& p) {
  const auto [outer, channels, inner] = p.extent;
  const T* x = p.x.data();
  T* y = p.out.data();
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto k = static_cast<std::size_t>(c);
    const double mean = p.running_mean[k], scale = p.gamma[k] / std::sqrt(p.running_var[k] + eps), beta = p.beta[k];
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = (o * channels + c) * inner + i;
        y[at] = static_cast<T>((static_cast<double>(x[at]) - mean) * scale + beta);
      }
    }
  }
}

template <class T>
void bare_backward(Problem<T>& p) {
  const auto [outer, channels, inner] = p.extent;
  const T *x = p.x.data(), *dy = p.dy.data();
  T* dx = p.out.data();
  const auto count = static_cast<double>(outer * inner);
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto k = static_cast<std::size_t>(c);
    const double mean = p.mean[k], rstd = p.rstd[k];
    double sum = 0, product = 0;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = (o * channels + c) * inner + i;
        sum += static_cast<double>(dy[at]);
        product += static_cast<double>(dy[at]) * (static_cast<double>(x[at]) - mean);
      }
    }
    p.dgamma[k] = static_cast<param_t<T>>(rstd * product);
    p.dbeta[k] = static_cast<param_t<T>>(sum);
    const double slope = product * rstd / count * rstd, mean_dy = sum / count, scale = p.gamma[k] * rstd;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t at = (o * channels + c) * inner + i;
        dx[at] = static_cast<T>((static_cast<double>(dy[at]) - mean_dy - (static_cast<double>(x[at]) - mean) * slope) *
                                scale);
      }
    }
  }
}

template <class T>
void run_bare_loop(Problem<T>& p, Pass pass) {
  switch (pass) {
    case Pass::forward:
      return bare_forward(p);
    case Pass::backward:
      return bare_backward(p);
    case Pass::inference:
      return bare_inference(p);
  }
}

}  // namespace unitvar::bench
