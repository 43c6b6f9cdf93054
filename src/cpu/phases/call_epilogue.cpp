#include "cpu/phases/call_epilogue.hpp"

#include <algorithm>

#include "unitvar/dtype.hpp"

namespace unitvar::cpu {
namespace {

using std::int64_t;

/// The k-th of the weights > 0 in the tile, as a distance in a tensor whose rows are `stride` apart.
template <class P>
int64_t place_of(const P* weights, const Tile& tile, int64_t inner, int64_t stride, int64_t k) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t i = 0; i < tile.cols; ++i) {
      if (weights[(tile.row + r) * inner + tile.col + i] > 0 && k-- == 0) return r * stride + i;
    }
  }
  return 0;
}

struct Total {
  double sum;
  int64_t positive;  ///< so many weights are > 0
};

/// Lanes of it, as one sum would wait for each addition.
template <class P>
Total total_of(const P* weights, const Tile& tile, int64_t inner) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t positive = 0;
  for (int64_t r = tile.row; r < tile.row + tile.rows; ++r) {
    const P* const row = weights + r * inner + tile.col;
    for (int64_t i = 0; i < tile.cols; ++i) {
      sums[i % kSums] += static_cast<double>(row[i]);
      positive += row[i] > 0 ? 1 : 0;
    }
  }
  return {((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])), positive};
}

}  // namespace

int64_t bytes_per_row_of_bits(const Tiling& tiling) noexcept {
  const Extent& e = tiling.extent;
  return ((tiling.shape == Shape::planar ? e.inner : e.channels * e.inner) + 7) / 8;
}

int64_t bytes_of_bits(const Tiling& tiling) noexcept {
  const Extent& e = tiling.extent;
  const int64_t rows = tiling.shape == Shape::planar ? e.outer * e.channels : e.outer;
  return rows * bytes_per_row_of_bits(tiling) + 8;
}

template <class P>
TileWeights::TileWeights(const Tiling& tiling, const P* weights) {
  const Extent& e = tiling.extent;
  for (int64_t t = 0; t < tiling.tiles(); ++t) {
    const Tile tile = tiling.tile(t);
    const auto [sum, positive] = total_of(weights, tile, e.inner);
    sums_.push_back(sum);
    std::array<int64_t, 4> places{};
    const int64_t near = std::min<int64_t>(positive, tiling.shape == Shape::planar ? kernels::kNear / sizeof(P) : 4);
    for (int64_t k = 0; k < 4 && positive > 0; ++k) {
      places[static_cast<std::size_t>(k)] = place_of(weights, tile, e.inner, e.channels * e.inner, k * (near - 1) / 3);
    }
    samples_.push_back(places);
  }
}

double TileWeights::sum(int64_t i, int64_t j) const noexcept {
  double sum = 0;
  for (int64_t t = i; t < j && t < static_cast<int64_t>(sums_.size()); ++t) sum += sums_[static_cast<std::size_t>(t)];
  return sum;
}

template TileWeights::TileWeights(const Tiling&, const float*);
template TileWeights::TileWeights(const Tiling&, const double*);

}  // namespace unitvar::cpu
