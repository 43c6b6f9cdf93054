// A linear layer that feeds the statistics of the batch normalization after it. Each block of rows is added while it is
// in the cache. Batch normalization then takes one pass that reads and writes, and no pass of reading before it. The
// result has the bits of batch_norm_forward.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "unitvar/unitvar.hpp"

namespace {

constexpr std::int64_t kRows = 3000, kInputs = 8, kChannels = 24;
constexpr double kEps = 1e-5;

std::vector<float> wavy(std::int64_t size, double step) {
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(std::sin(step * double(k * k)));
  return values;
}

// z[row] = x[row] * weight for so many rows. A real one would be a matrix product of some library.
void multiply(const std::vector<float>& x, const std::vector<float>& weight, std::int64_t first, std::int64_t rows,
              std::vector<float>& z) {
  for (std::int64_t r = first; r < first + rows; ++r) {
    float* const to = z.data() + r * kChannels;
    std::fill_n(to, kChannels, 0.0F);
    for (std::int64_t i = 0; i < kInputs; ++i) {
      for (std::int64_t c = 0; c < kChannels; ++c)
        to[c] += x[std::size_t(r * kInputs + i)] * weight[std::size_t(i * kChannels + c)];
    }
  }
}

}  // namespace

int main() {
  const auto extent = unitvar::Extent::nc(kRows, kChannels);
  const std::vector<float> x = wavy(kRows * kInputs, 0.37), weight = wavy(kInputs * kChannels, 0.73);
  std::vector<float> z(static_cast<std::size_t>(extent.size())), y(z.size()), y_plain(z.size());
  std::vector<double> mean(kChannels), m2(kChannels), rstd(kChannels);

  // The rows of a block are those of a tile. Tiles may come in any order, from several threads, and a few channels at a
  // time; an accumulator serves one batch after another.
  unitvar::MomentsAccumulator<float> accumulator(extent);
  for (std::int64_t t = 0; t < accumulator.tiles(); ++t) {
    const unitvar::TileRange tile = accumulator.tile(t);
    multiply(x, weight, tile.outer, tile.outers, z);
    accumulator.add(t, 0, kChannels, z);
  }
  accumulator.finish(mean, m2);
  unitvar::finish_moments(double(extent.count()), m2, kEps, {}, rstd);
  unitvar::normalize<float>({.extent = extent, .x = z, .mean = mean, .rstd = rstd, .y = y});

  unitvar::batch_norm_forward<float>({.extent = extent, .x = z, .y = y_plain, .eps = kEps});
  std::printf("%lld rows in %lld tiles: %s\n", static_cast<long long>(kRows),
              static_cast<long long>(accumulator.tiles()), y == y_plain ? "same bits" : "DIFFERENT");
  return y == y_plain ? 0 : 1;
}
