#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bench/buffer.hpp"
#include "bench/shape.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::bench {

constexpr double eps = 1e-5;

/// The data as formulas, the same whatever the layout and dtype; bench/pytorch_compare.py makes the same ones.
namespace data {

/// Splitmix64 of element k of stream `stream`.
constexpr std::uint64_t hash(std::uint64_t k, std::uint64_t stream) {
  std::uint64_t z = (k + 1) * 0x9E3779B97F4A7C15U + stream * 0xD1B54A32D192ED03U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// About normal, mean 0, standard deviation 1: the sum of four uniform numbers of 16 bits.
constexpr double noise(std::uint64_t k, std::uint64_t stream) {
  const std::uint64_t bits = hash(k, stream);
  const std::uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return (static_cast<double>(sum) / 65536 - 2) * 1.7320508075688772;
}

/// The mean is never zero: zeros cancel what should be measured and judged.
constexpr double mean(std::int64_t c) { return 1 + 0.5 * static_cast<double>(c % 5); }
constexpr double std(std::int64_t c) { return 0.5 + 0.5 * static_cast<double>(c % 3); }
constexpr double x(std::int64_t k, std::int64_t c) {
  return mean(c) + std(c) * noise(static_cast<std::uint64_t>(k), 1);
}
constexpr double dy(std::int64_t k) { return 0.25 + noise(static_cast<std::uint64_t>(k), 2); }
constexpr double gamma(std::int64_t c) { return 1 + 0.1 * noise(static_cast<std::uint64_t>(c), 3); }
constexpr double beta(std::int64_t c) { return 0.5 + noise(static_cast<std::uint64_t>(c), 4); }

}  // namespace data

/// One tensor and all that normalizing it forward and backward takes, filled and touched.
template <class T>
struct Problem {
  Problem(const Shape& of, Layout in);

  /// Makes every output NaN, so that what is not computed is noticed.
  void poison() const;

  Shape shape;
  Layout layout;
  Extent extent;
  Buffer<T> x, dy, out;  ///< out: y or dx
  std::vector<param_t<T>> gamma, beta, dgamma, dbeta;
  std::vector<double> running_mean, running_var;
  std::vector<double> mean, var, rstd;  ///< saved by the library's forward
};

/// Calls fill(index in memory, index in channels-first order, channel) for each element, on all threads.
template <class Fill>
void for_each_element(const Shape& shape, Layout layout, const Fill& fill) {
  const std::int64_t C = shape.c, S = shape.points(), rows = shape.n * C;
  if (layout == Layout::channels_first) {
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t s = 0; s < S; ++s) fill(row * S + s, row * S + s, row % C);
    }
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t pixel = 0; pixel < shape.n * S; ++pixel) {
    for (std::int64_t c = 0; c < C; ++c) fill(pixel * C + c, (pixel / S * C + c) * S + pixel % S, c);
  }
}

template <class T>
Problem<T>::Problem(const Shape& of, Layout in)
    : shape(of),
      layout(in),
      extent(extent_of(of, in)),
      x(static_cast<std::size_t>(extent.size())),
      dy(x.size()),
      out(x.size()) {
  const auto C = static_cast<std::size_t>(shape.c);
  T *to_x = x.data(), *to_dy = dy.data(), *to_out = out.data();
  for_each_element(shape, layout, [=](std::int64_t to, std::int64_t k, std::int64_t c) {
    to_x[to] = static_cast<T>(data::x(k, c));
    to_dy[to] = static_cast<T>(data::dy(k));
    to_out[to] = static_cast<T>(0);
  });
  for (auto* values : {&running_mean, &running_var, &mean, &var, &rstd}) values->resize(C);
  for (auto* values : {&gamma, &beta, &dgamma, &dbeta}) values->resize(C);
  for (std::size_t i = 0; i < C; ++i) {
    const auto c = static_cast<std::int64_t>(i);
    gamma[i] = static_cast<param_t<T>>(data::gamma(c));
    beta[i] = static_cast<param_t<T>>(data::beta(c));
    running_mean[i] = data::mean(c);
    running_var[i] = data::std(c) * data::std(c);
  }
}

template <class T>
void Problem<T>::poison() const {
  std::memset(static_cast<void*>(out.data()), 0xff, out.bytes());
}

}  // namespace unitvar::bench
