#include "bench/digits.hpp"

#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "bench/data.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// Prints the tables of docs/numerics.md: relative L2 errors in f32 against the double reference on the same inputs.
/// The mean grows beside a standard deviation of 1; other rows have few distinct values. With PyTorch:
/// bench/pytorch_digits.py.
namespace unitvar::bench {
namespace {

constexpr float eps = 1e-5F;

Extent extent_of(const Images& i) {
  return i.channels_last ? Extent::nhwc(i.n, i.h, i.w, i.c) : Extent::nchw(i.n, i.c, i.h, i.w);
}

Images make_images(double mean, bool channels_last) {
  Images images{32, 16, 28, 28, channels_last, {}, {}};
  const std::int64_t size = extent_of(images).size();
  images.x = random_values<float>(size, mean, 1, 1);
  images.dy = random_values<float>(size, 0, 1, 2);
  return images;
}

Outcome run_library(const Images& images) {
  const Extent extent = extent_of(images);
  const auto channels = static_cast<std::size_t>(images.c);
  Outcome out{std::vector<float>(images.x.size()), std::vector<float>(images.x.size()), std::vector<float>(channels),
              std::vector<float>(channels)};
  std::vector<double> mean(channels), rstd(channels);
  batch_norm_forward<float>(
      {.extent = extent, .x = images.x, .y = out.y, .mean = mean, .rstd = rstd, .eps = static_cast<double>(eps)});
  batch_norm_backward<float>({.extent = extent,
                              .x = images.x,
                              .dy = images.dy,
                              .mean = mean,
                              .rstd = rstd,
                              .dx = out.dx,
                              .dgamma = out.dgamma,
                              .dbeta = out.dbeta});
  return out;
}

struct Expected {
  std::vector<double> y, dx, dgamma, dbeta;
};

Expected run_reference(const Images& images) {
  const std::vector<double> x(images.x.begin(), images.x.end()), dy(images.dy.begin(), images.dy.end());
  auto forward = reference::forward<double>(extent_of(images), x, {}, {}, static_cast<double>(eps));
  auto backward = reference::backward<double>(forward.cache, dy);
  return {std::move(forward.y), std::move(backward.dx), std::move(backward.dgamma), std::move(backward.dbeta)};
}

double relative_l2(const std::vector<float>& actual, const std::vector<double>& expected) {
  double error = 0, size = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    error += std::pow(static_cast<double>(actual[k]) - expected[k], 2);
    size += expected[k] * expected[k];
  }
  return std::sqrt(error / size);
}

void print_row(const char* who, double mean, const Outcome& out, const Expected& expected) {
  std::printf("| %s | %g | %.1e | %.1e | %.1e |\n", who, mean, relative_l2(out.y, expected.y),
              relative_l2(out.dx, expected.dx), relative_l2(out.dgamma, expected.dgamma));
}

void measure(double mean) {
  for (const bool channels_last : {false, true}) {
    const Images images = make_images(mean, channels_last);
    const Expected expected = run_reference(images);
    print_row(channels_last ? "unitvar NHWC" : "unitvar NCHW", mean, run_library(images), expected);
    if (const auto onednn = run_onednn(images, eps)) {
      print_row(channels_last ? "oneDNN NHWC" : "oneDNN NCHW", mean, *onednn, expected);
    }
  }
}

using Engine = std::mt19937;
using Value = double (*)(Engine&);

double normal(Engine& engine) { return std::normal_distribution<double>()(engine); }
double normal_around_1(Engine& engine) { return 1 + normal(engine); }
double byte_over_255(Engine& engine) { return std::uniform_int_distribution<int>(0, 255)(engine) / 255.0; }
double dropout(Engine& engine) { return engine() % 2 == 0 ? 0 : 1.4; }
double two_values(Engine& engine) { return engine() % 2 == 0 ? 0.1 : 0.7; }
double softmax_gradient(Engine& engine) { return engine() % 10 == 0 ? -0.9 : 0.1; }

void measure_few_values(const char* data, Value x, Value dy) {
  Engine engine(1);
  Images images{32, 3, 224, 224, false, {}, {}};
  const auto size = static_cast<std::size_t>(extent_of(images).size());
  for (std::size_t k = 0; k < size; ++k) images.x.push_back(static_cast<float>(x(engine)));
  for (std::size_t k = 0; k < size; ++k) images.dy.push_back(static_cast<float>(dy(engine)));
  const Expected expected = run_reference(images);
  const auto print = [&](const char* who, const Outcome& out) {
    std::printf("| %s | %s | %.1e | %.1e | %.1e | %.1e |\n", data, who, relative_l2(out.y, expected.y),
                relative_l2(out.dx, expected.dx), relative_l2(out.dgamma, expected.dgamma),
                relative_l2(out.dbeta, expected.dbeta));
  };
  print("unitvar", run_library(images));
  if (const auto onednn = run_onednn(images, eps)) print("oneDNN", *onednn);
}

}  // namespace
}  // namespace unitvar::bench

int main() {
  std::printf("| 32 x 16 x 28 x 28, f32, std 1 | mean | y | dx | dgamma |\n|---|---|---|---|---|\n");
  for (const double mean : {0.0, 1e2, 1e4, 1e5, 1e6}) unitvar::bench::measure(mean);
  using namespace unitvar::bench;
  std::printf("\n| x, dy of 32 x 3 x 224 x 224 | | y | dx | dgamma | dbeta |\n|---|---|---|---|---|---|\n");
  measure_few_values("byte / 255, N(1, 1)", byte_over_255, normal_around_1);
  measure_few_values("0 or 1.4, N(1, 1)", dropout, normal_around_1);
  measure_few_values("0.1 or 0.7, N(1, 1)", two_values, normal_around_1);
  measure_few_values("N(0, 1), 0.1 or -0.9", normal, softmax_gradient);
  measure_few_values("N(0, 1), N(1, 1)", normal, normal_around_1);
}
