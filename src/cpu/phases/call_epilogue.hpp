#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/kernels/epilogue.hpp"
#include "cpu/plan/tiling.hpp"

namespace unitvar::cpu {

/// Bytes of a row of bits: a row begins with a byte, so that threads never share one. Planar: the row of a channel;
/// interleaved: a row of all channels.
std::int64_t bytes_per_row_of_bits(const Tiling& tiling) noexcept;

/// Bytes of the bits of a tensor; eight more than they take, since kernels read eight at a time.
std::int64_t bytes_of_bits(const Tiling& tiling) noexcept;

/// Sums of a call's weights, by tiles, in an order that depends on the extent alone.
class TileWeights {
 public:
  /// `weights` holds outer * inner of them.
  template <class P>
  TileWeights(const Tiling& tiling, const P* weights);

  /// Of tiles [i, j).
  [[nodiscard]] double sum(std::int64_t i, std::int64_t j) const noexcept;
  [[nodiscard]] double total() const noexcept { return sum(0, static_cast<std::int64_t>(sums_.size())); }

  /// Four places in tile t whose elements have a weight, as distances from the tile's first element of any channel;
  /// some may be the same. Needs sum(t, t + 1) > 0.
  [[nodiscard]] const std::array<std::int64_t, 4>& samples(std::int64_t t) const noexcept {
    return samples_[static_cast<std::size_t>(t)];
  }

 private:
  std::vector<double> sums_;
  std::vector<std::array<std::int64_t, 4>> samples_;
};

/// What a call adds to the plain phases: an epilogue with pointers to the tensor's first element, its steps not yet
/// set, and the sums of its weights if it has some.
template <class T>
struct CallEpilogue {
  kernels::Epilogue<T> tensor = {};
  const TileWeights* weights = nullptr;
};

}  // namespace unitvar::cpu
