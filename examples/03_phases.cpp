// Two ranks that hold unequal parts of one batch. Between the phases, ranks exchange three numbers a channel forward
// and two backward. A communicator (MPI, NCCL, ...) would stand where this program just calls merge or adds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

#include "unitvar/unitvar.hpp"

namespace {

constexpr std::int64_t kChannels = 5, kInner = 36, kRow = kChannels * kInner;
constexpr double kEps = 1e-5;

// What a rank holds: its part of the tensors, and its own statistics and sums.
struct Rank {
  unitvar::Extent extent;
  std::span<const float> x, dy;
  std::span<float> y, dx;
  std::vector<double> mean = std::vector<double>(kChannels), m2 = mean, sum_dy = mean, sum_dy_xmu = mean;

  [[nodiscard]] double count() const { return static_cast<double>(extent.count()); }
};

Rank make_rank(std::int64_t first, std::int64_t rows, const std::vector<float>& x, const std::vector<float>& dy,
               std::vector<float>& y, std::vector<float>& dx) {
  const auto begin = static_cast<std::size_t>(first * kRow), size = static_cast<std::size_t>(rows * kRow);
  return {{rows, kChannels, kInner},
          std::span(x).subspan(begin, size),
          std::span(dy).subspan(begin, size),
          std::span(y).subspan(begin, size),
          std::span(dx).subspan(begin, size)};
}

std::vector<float> wavy(std::int64_t size, double step, double offset) {
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::size_t k = 0; k < values.size(); ++k) {
    values[k] = static_cast<float>(offset + std::sin(step * double(k * k)));
  }
  return values;
}

void forward(Rank& a, Rank& b, std::vector<double>& mean, std::vector<double>& rstd) {
  for (Rank* rank : {&a, &b}) {
    unitvar::moments<float>({.extent = rank->extent, .x = rank->x, .mean = rank->mean, .m2 = rank->m2});
  }
  mean = a.mean;
  std::vector<double> m2 = a.m2;
  const double count = unitvar::merge_moments(a.count(), mean, m2, b.count(), b.mean, b.m2);
  unitvar::finish_moments(count, m2, kEps, {}, rstd);
  for (Rank* rank : {&a, &b}) {
    unitvar::normalize<float>({.extent = rank->extent, .x = rank->x, .mean = mean, .rstd = rstd, .y = rank->y});
  }
}

void backward(Rank& a, Rank& b, const std::vector<double>& mean, const std::vector<double>& rstd) {
  for (Rank* rank : {&a, &b}) {
    unitvar::gradient_sums<float>({.extent = rank->extent,
                                   .x = rank->x,
                                   .dy = rank->dy,
                                   .mean = mean,
                                   .sum_dy = rank->sum_dy,
                                   .sum_dy_xmu = rank->sum_dy_xmu});
  }
  std::vector<double> sum_dy = a.sum_dy, sum_dy_xmu = a.sum_dy_xmu;
  std::transform(sum_dy.begin(), sum_dy.end(), b.sum_dy.begin(), sum_dy.begin(), std::plus<>());
  std::transform(sum_dy_xmu.begin(), sum_dy_xmu.end(), b.sum_dy_xmu.begin(), sum_dy_xmu.begin(), std::plus<>());
  for (Rank* rank : {&a, &b}) {
    unitvar::input_gradient<float>({.extent = rank->extent,
                                    .x = rank->x,
                                    .dy = rank->dy,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .sum_dy = sum_dy,
                                    .sum_dy_xmu = sum_dy_xmu,
                                    .count = a.count() + b.count(),
                                    .dx = rank->dx});
  }
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0;
  for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(a[k] - b[k]));
  return largest;
}

}  // namespace

int main() {
  const unitvar::Extent whole{10, kChannels, kInner};
  const std::vector<float> x = wavy(whole.size(), 0.37, 100), dy = wavy(whole.size(), 0.73, 0);
  std::vector<float> y(x.size()), dx(x.size()), y_whole(x.size()), dx_whole(x.size());
  std::vector<double> mean(kChannels), rstd(kChannels), mean_whole(kChannels), rstd_whole(kChannels);

  Rank a = make_rank(0, 7, x, dy, y, dx), b = make_rank(7, 3, x, dy, y, dx);
  forward(a, b, mean, rstd);
  backward(a, b, mean, rstd);

  unitvar::batch_norm_forward<float>(
      {.extent = whole, .x = x, .y = y_whole, .mean = mean_whole, .rstd = rstd_whole, .eps = kEps});
  unitvar::batch_norm_backward<float>(
      {.extent = whole, .x = x, .dy = dy, .mean = mean_whole, .rstd = rstd_whole, .dx = dx_whole});

  const float y_off = largest_difference(y, y_whole), dx_off = largest_difference(dx, dx_whole);
  std::printf("two ranks against the whole batch: y differs by %.1e at most, dx by %.1e\n", double(y_off),
              double(dx_off));
  return y_off < 1e-6F && dx_off < 1e-6F ? 0 : 1;
}
