// Training forward and backward of a channels-first tensor with the free functions.
#include <cmath>
#include <cstdio>
#include <vector>

#include "unitvar/unitvar.hpp"

namespace {

// Anything that is not constant.
std::vector<float> wavy(std::int64_t size, double step) {
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(std::sin(step * double(k * k)));
  return values;
}

double sum_of_channel(const unitvar::Extent& e, const std::vector<float>& values, std::int64_t c) {
  double sum = 0;
  for (std::int64_t o = 0; o < e.outer; ++o) {
    for (std::int64_t i = 0; i < e.inner; ++i) sum += static_cast<double>(values[std::size_t(e.index(o, c, i))]);
  }
  return sum;
}

}  // namespace

int main() {
  constexpr std::int64_t size = std::int64_t{8} * 3 * 32 * 32;
  const std::vector<float> x = wavy(size, 0.37), dy = wavy(size, 0.73);

  // clang-format off
  // [readme]
  const auto extent = unitvar::Extent::nchw(8, 3, 32, 32);
  const std::vector<float> gamma(3, 1.0F), beta(3, 0.0F);
  std::vector<float> y(x.size()), dx(x.size()), dgamma(3), dbeta(3);
  std::vector<double> mean(3), rstd(3);

  unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .gamma = gamma, .beta = beta,
                                      .y = y, .mean = mean, .rstd = rstd});
  unitvar::batch_norm_backward<float>({.extent = extent, .x = x, .dy = dy, .mean = mean, .rstd = rstd,
                                       .gamma = gamma, .dx = dx, .dgamma = dgamma, .dbeta = dbeta});
  // [readme]
  // clang-format on

  bool good = true;
  for (std::int64_t c = 0; c < extent.channels; ++c) {
    const auto k = static_cast<std::size_t>(c);
    const double sum_y = sum_of_channel(extent, y, c), sum_dx = sum_of_channel(extent, dx, c);
    std::printf("channel %zu: mean %+.4f  rstd %.4f  dgamma %+8.3f  dbeta %+8.3f  sum(y) %+.1e  sum(dx) %+.1e\n", k,
                mean[k], rstd[k], double(dgamma[k]), double(dbeta[k]), sum_y, sum_dx);
    good = good && std::abs(sum_y) < 1e-3 && std::abs(sum_dx) < 1e-3;
  }
  return good ? 0 : 1;
}
